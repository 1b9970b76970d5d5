//! Memory shared by two processes, as atomic 32-bit words.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

use rustix::fs::fstat;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::platform;

/// A mapping of shared memory. New memory is zeroed.
#[derive(Debug)]
pub struct Shared {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory is accessed only through atomics.
unsafe impl Send for Shared {}
// SAFETY: as for Send.
unsafe impl Sync for Shared {}

impl Shared {
    /// New memory of `length` bytes, and the descriptor with which another process maps it. The size is sealed, since
    /// truncation would raise SIGBUS in a reader.
    ///
    /// # Errors
    /// Those of memfd_create(2) and mmap(2); `Unsupported` outside of Linux.
    pub fn create(name: &str, length: usize) -> io::Result<(Self, OwnedFd)> {
        let fd = platform::memory(name, length)?;
        Ok((Self::map(&fd, length, ProtFlags::READ | ProtFlags::WRITE)?, fd))
    }

    /// Maps another process's memory for reading and writing.
    ///
    /// # Errors
    /// Those of mmap(2), and `InvalidData` if the memory is shorter than 8 bytes.
    pub fn open(fd: &OwnedFd) -> io::Result<Self> {
        Self::map(fd, size(fd)?, ProtFlags::READ | ProtFlags::WRITE)
    }

    /// Maps another process's memory for reading. Storing to a word would raise SIGSEGV.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_read_only(fd: &OwnedFd) -> io::Result<Self> {
        Self::map(fd, size(fd)?, ProtFlags::READ)
    }

    fn map(fd: impl AsFd, length: usize, protection: ProtFlags) -> io::Result<Self> {
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, fd, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// The word with this index modulo their number.
    #[must_use]
    pub fn word(&self, index: usize) -> &AtomicU32 {
        let index = index % (self.length / size_of::<u32>());
        // SAFETY: within the mapping.
        let place = unsafe { self.start.as_ptr().add(index * size_of::<u32>()) };
        // SAFETY: aligned, since the mapping is to pages; mapped while `self` lives; accessed only through atomics.
        unsafe { AtomicU32::from_ptr(place.cast()) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made. All borrows of it borrow `self`, so none is left. An error would leave it
        // mapped, which is harmless.
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
    fn a_store_is_seen_through_the_other_mapping() {
        let (host, fd) = Shared::create("test", 4096).unwrap();
        platform::seal_writes(&fd).unwrap();
        let worker = Shared::open_read_only(&fd).unwrap();
        assert!(Shared::open(&fd).is_err(), "it can be mapped for writing");
        host.word(1023).store(7, Ordering::Relaxed);
        assert_eq!(worker.word(1023).load(Ordering::Relaxed), 7);
        assert_eq!(worker.word(2047).load(Ordering::Relaxed), 7);
    }
}
