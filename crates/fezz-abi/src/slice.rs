//! Borrowed bytes, and name-value pairs of them.

/// Borrowed bytes. `ptr` may be null when `len` is 0. Text is UTF-8 where the field says so, and never NUL-terminated.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FezzSlice {
    /// First byte.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

impl FezzSlice {
    /// No bytes.
    pub const EMPTY: Self = Self { ptr: core::ptr::null(), len: 0 };

    /// Borrows `bytes`; the caller keeps them alive as long as the field's contract says.
    #[must_use]
    pub const fn new(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// Whether the slice is invalid: a null pointer with a length, or a length over `isize::MAX`.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        (self.ptr.is_null() && self.len != 0) || self.len > isize::MAX as usize
    }

    /// The bytes; empty if the slice is null or malformed.
    ///
    /// # Safety
    /// A slice that is not malformed points at `len` initialised bytes, which stay unchanged for `'a`.
    #[must_use]
    #[expect(unsafe_code, reason = "turns the contract's pointer and length back into a slice")]
    pub const unsafe fn as_bytes<'a>(&self) -> &'a [u8] {
        if self.ptr.is_null() || self.is_malformed() {
            return &[];
        }
        // SAFETY: not null, and the caller guarantees `len` bytes that live for 'a.
        unsafe { core::slice::from_raw_parts(self.ptr, self.len) }
    }
}

/// A name and a value: a header, a path parameter, a variable, a log field.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FezzPair {
    /// The name.
    pub name: FezzSlice,
    /// The value; bytes of any kind.
    pub value: FezzSlice,
}

/// A borrowed array of pairs, in order; names may repeat.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FezzPairs {
    /// First pair; may be null when `len` is 0.
    pub ptr: *const FezzPair,
    /// Number of pairs.
    pub len: usize,
}

impl FezzPairs {
    /// No pairs.
    pub const EMPTY: Self = Self { ptr: core::ptr::null(), len: 0 };

    /// Borrows `pairs`; the caller keeps them alive as long as the field's contract says.
    #[must_use]
    pub const fn new(pairs: &[FezzPair]) -> Self {
        Self { ptr: pairs.as_ptr(), len: pairs.len() }
    }

    /// Whether the array is invalid: null or misaligned with a length, or larger than `isize::MAX` bytes.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        (self.len != 0 && (self.ptr.is_null() || !self.ptr.is_aligned()))
            || self.len > isize::MAX as usize / size_of::<FezzPair>()
    }

    /// The pairs; empty if the array is null or malformed.
    ///
    /// # Safety
    /// An array that is not malformed points at `len` initialised pairs, which stay unchanged for `'a`.
    #[must_use]
    #[expect(unsafe_code, reason = "turns the contract's pointer and length back into a slice")]
    pub unsafe fn as_slice<'a>(&self) -> &'a [FezzPair] {
        if self.ptr.is_null() || self.is_malformed() {
            return &[];
        }
        // SAFETY: not null and aligned, and the caller guarantees `len` pairs that live for 'a.
        unsafe { core::slice::from_raw_parts(self.ptr, self.len) }
    }
}
