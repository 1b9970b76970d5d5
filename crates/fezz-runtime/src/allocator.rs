//! The host's memory allocator: mimalloc, by its plain entry points where they do.
//!
//! The `mimalloc` crate asks for aligned memory in every case. mimalloc then takes a slower path, and one that
//! over-allocates when its list of free blocks is empty. Its plain allocations are aligned to 16 bytes as they are, which
//! is enough for nearly every type. The difference is some 40 of the 60 instructions of an allocation.

#![expect(unsafe_code, reason = "an allocator is unsafe by its trait: each block says why it is sound")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys as mimalloc;

/// What mimalloc's plain allocations are aligned to, if they are at least as large (its `MI_MAX_ALIGN_SIZE`).
const PLAIN_ALIGNMENT: usize = 16;

/// mimalloc, for `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct Allocator;

const fn is_plain(alignment: usize, size: usize) -> bool {
    alignment <= PLAIN_ALIGNMENT && alignment <= size
}

// SAFETY: mimalloc keeps the contract of an allocator, and `is_plain` tells where its plain functions keep the alignment.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, alignment) = (layout.size(), layout.align());
        if is_plain(alignment, size) {
            // SAFETY: any size may be asked for.
            return unsafe { mimalloc::mi_malloc(size) }.cast();
        }
        // SAFETY: a layout's alignment is a power of two.
        unsafe { mimalloc::mi_malloc_aligned(size, alignment) }.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, alignment) = (layout.size(), layout.align());
        if is_plain(alignment, size) {
            // SAFETY: any size may be asked for.
            return unsafe { mimalloc::mi_zalloc(size) }.cast();
        }
        // SAFETY: a layout's alignment is a power of two.
        unsafe { mimalloc::mi_zalloc_aligned(size, alignment) }.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: the caller's memory is mimalloc's.
        unsafe { mimalloc::mi_free(memory.cast()) };
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let alignment = layout.align();
        if is_plain(alignment, size) {
            // SAFETY: the caller's memory is mimalloc's.
            return unsafe { mimalloc::mi_realloc(memory.cast(), size) }.cast();
        }
        // SAFETY: the caller's memory is mimalloc's, and a layout's alignment is a power of two.
        unsafe { mimalloc::mi_realloc_aligned(memory.cast(), size, alignment) }.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Allocates, grows and frees one layout, and looks at the alignment and the content.
    fn use_layout(layout: Layout, zeroed: bool) {
        let memory = if zeroed {
            // SAFETY: the layout is not empty.
            unsafe { Allocator.alloc_zeroed(layout) }
        } else {
            // SAFETY: the layout is not empty.
            unsafe { Allocator.alloc(layout) }
        };
        assert!(!memory.is_null() && memory.addr() % layout.align() == 0, "{layout:?}");
        for at in 0..layout.size() {
            // SAFETY: within the allocation.
            let byte = unsafe { memory.add(at) };
            if zeroed {
                // SAFETY: zeroed memory is initialised.
                assert_eq!(unsafe { byte.read() }, 0);
            }
            // SAFETY: within the allocation.
            unsafe { byte.write(0xa5) };
        }
        let size = layout.size() * 3;
        // SAFETY: the memory is of this layout.
        let memory = unsafe { Allocator.realloc(memory, layout, size) };
        assert!(!memory.is_null() && memory.addr() % layout.align() == 0, "{layout:?}, grown");
        for at in 0..layout.size() {
            // SAFETY: within the allocation, whose begin was copied.
            let byte = unsafe { memory.add(at) };
            // SAFETY: as above.
            assert_eq!(unsafe { byte.read() }, 0xa5);
        }
        let grown = Layout::from_size_align(size, layout.align()).unwrap();
        // SAFETY: the memory is of this layout.
        unsafe { Allocator.dealloc(memory, grown) };
    }

    #[test]
    fn every_size_has_its_alignment() {
        for power in 0..13 {
            // Many of each: the first block of a page lies well by chance.
            for size in (1..300).chain([1 << 10, 1 << 14, 1 << 20]) {
                for zeroed in [false, true] {
                    use_layout(Layout::from_size_align(size, 1 << power).unwrap(), zeroed);
                }
            }
        }
    }
}
