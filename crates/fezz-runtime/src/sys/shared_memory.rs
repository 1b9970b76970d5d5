//! Memory that two processes share, seen as atomic 32-bit words.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

use rustix::fs::fstat;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::platform;

/// A mapping of memory that another process may have mapped too. It starts as zeros.
#[derive(Debug)]
pub struct Shared {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory is only ever reached as atomics.
unsafe impl Send for Shared {}
// SAFETY: as for Send.
unsafe impl Sync for Shared {}

impl Shared {
    /// New memory of `length` bytes, and the descriptor by which another process maps it. Its size is sealed: truncating
    /// it would raise SIGBUS in a reader.
    ///
    /// # Errors
    /// Those of memfd_create(2) and mmap(2); `Unsupported` outside of Linux.
    pub fn create(name: &str, length: usize) -> io::Result<(Self, OwnedFd)> {
        let fd = platform::memory(name, length)?;
        Ok((Self::map(&fd, length, ProtFlags::READ | ProtFlags::WRITE)?, fd))
    }

    /// Maps the memory of another process, for reading and writing.
    ///
    /// # Errors
    /// Those of mmap(2), and `InvalidData` for a descriptor of too little memory.
    pub fn open(fd: &OwnedFd) -> io::Result<Self> {
        Self::map(fd, size(fd)?, ProtFlags::READ | ProtFlags::WRITE)
    }

    /// Maps the memory of another process, for reading.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_read_only(fd: &OwnedFd) -> io::Result<Self> {
        Self::map(fd, size(fd)?, ProtFlags::READ)
    }

    fn map(fd: impl AsFd, length: usize, protection: ProtFlags) -> io::Result<Self> {
        // SAFETY: a new mapping, where the kernel likes it.
        let start = unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, fd, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// The word with this index, modulo their number.
    pub fn word(&self, index: usize) -> &AtomicU32 {
        let index = index % (self.length / size_of::<u32>());
        // SAFETY: within the mapping.
        let place = unsafe { self.start.as_ptr().add(index * size_of::<u32>()) };
        // SAFETY: aligned, as the mapping is to pages; mapped for as long as `self`; and only ever reached as atomics.
        unsafe { AtomicU32::from_ptr(place.cast()) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, which nobody uses any more: what was borrowed from it borrowed `self`.
        // An error would leave it mapped, which harms nobody.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

fn size(fd: &OwnedFd) -> io::Result<usize> {
    let size = usize::try_from(fstat(fd)?.st_size).ok().filter(|size| *size >= size_of::<u64>());
    size.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn both_sides_see_the_same_numbers() {
        let (host, fd) = Shared::create("test", 4096).unwrap();
        platform::seal_writes(&fd).unwrap();
        let worker = Shared::open_read_only(&fd).unwrap();
        assert!(Shared::open(&fd).is_err(), "it can be written by others");
        host.word(1023).store(7, Ordering::Relaxed);
        assert_eq!(worker.word(1023).load(Ordering::Relaxed), 7);
        assert_eq!(worker.word(2047).load(Ordering::Relaxed), 7);
    }
}
