//! The list of variables, and the C functions that read and change it.
//!
//! Readers take no lock, as in libc: C code reads `environ` by itself, and so does a child between `fork` and `exec`. So the
//! list is changed one pointer at a time and stays terminated, and what readers may still hold is kept: a list that was
//! outgrown for good (each is twice as long as the one before), a text that was replaced until [`KEPT_BYTES`] of later ones
//! have been.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much text is kept after it was replaced, and of how many variables at least.
const KEPT_BYTES: usize = 256 << 10;
const KEPT: usize = 64;
/// Length of the first list.
const CAPACITY: usize = 64;

type Slot = AtomicPtr<c_char>;

unsafe extern "C" {
    /// The list that programs see: the hidden symbol of `symbols`. C code may set it, too.
    safe static environ: AtomicPtr<*mut c_char>;
}

/// The entries of the list, each `NAME=value`.
fn entries() -> impl Iterator<Item = *mut c_char> {
    let mut next: *mut Slot = environ.load(Ordering::Acquire).cast();
    std::iter::from_fn(move || {
        // SAFETY: null after `environ = NULL` in C; else within a list, which ends with a null.
        let entry = unsafe { next.as_ref() }?.load(Ordering::Acquire);
        if entry.is_null() {
            return None;
        }
        next = next.wrapping_add(1);
        Some(entry)
    })
}

/// The value of an entry with this name.
fn value(entry: *mut c_char, name: &[u8]) -> Option<*mut c_char> {
    let mut at = entry.cast::<u8>();
    for byte in name.iter().chain(b"=") {
        // SAFETY: not beyond the terminating NUL, which is no byte of a name.
        if unsafe { at.read() } != *byte {
            return None;
        }
        at = at.wrapping_add(1);
    }
    Some(at.cast())
}

fn find(name: &[u8]) -> Option<*mut c_char> {
    entries().find_map(|entry| value(entry, name))
}

/// Has programs see this list: the one that the process was started with.
pub(super) fn adopt(list: *mut *mut c_char) {
    environ.store(list, Ordering::Release);
}

/// The list that programs see, for `exec`.
pub(super) fn current() -> *mut *mut c_char {
    environ.load(Ordering::Acquire)
}

/// A variable of the process, and not of this library.
pub(super) fn of_the_process(name: &CStr) -> Option<CString> {
    type Getenv = unsafe extern "C" fn(*const c_char) -> *mut c_char;
    // SAFETY: the names are terminated.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"getenv".as_ptr()) };
    // SAFETY: null, or the process' `getenv`, which has this type: that of the library is not exported.
    let getenv = unsafe { std::mem::transmute::<*mut libc::c_void, Option<Getenv>>(found) }?;
    // SAFETY: the name is terminated.
    let value = unsafe { getenv(name.as_ptr()) };
    // SAFETY: null, or a text; the host changes its environment before it loads anything, and never after.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_owned())
}

/// Sets a variable. One that cannot be set, with a `=` or a NUL in its name, is not.
pub(super) fn set(name: &[u8], value: &[u8], replaces: bool) {
    let is_name = !name.is_empty() && !name.contains(&b'=');
    if let (true, Ok(text)) = (is_name, CString::new([name, b"=", value].concat())) {
        List::lock().set(name, Text::Owned(text), replaces);
    }
}

/// A variable's `NAME=value`.
enum Text {
    Owned(CString),
    /// What C code has given to `putenv`, and keeps.
    Borrowed(*mut c_char),
}

/// Makes the changes.
struct List {
    /// The list of our own: as programs see it, or what will be.
    slots: &'static [Slot],
    /// The texts made here that the list refers to, by address. From `CString::into_raw`.
    owned: BTreeMap<usize, Slot>,
    /// Those that it does not refer to any more, oldest first.
    replaced: VecDeque<CString>,
    replaced_bytes: usize,
}

static LIST: Mutex<List> =
    Mutex::new(List { slots: &[], owned: BTreeMap::new(), replaced: VecDeque::new(), replaced_bytes: 0 });

impl List {
    /// Locks it, with what programs see in a list of our own.
    fn lock() -> MutexGuard<'static, Self> {
        let mut list = LIST.lock().unwrap_or_else(PoisonError::into_inner);
        if list.slots.is_empty() || !ptr::eq(list.slots.as_ptr(), current().cast()) {
            let seen: Vec<_> = entries().collect();
            list.write(&seen);
            list.forget_unseen(&seen);
        }
        list
    }

    /// Has the list hold these, in a longer one if need be, and has programs see it.
    fn write(&mut self, entries: &[*mut c_char]) {
        if entries.len() >= self.slots.len() {
            let length = (entries.len() + 1).next_power_of_two().max(CAPACITY);
            let longer: Vec<_> = (0..length).map(|_| Slot::default()).collect();
            self.slots = longer.leak();
        }
        for (index, slot) in self.slots.iter().enumerate() {
            slot.store(entries.get(index).copied().unwrap_or_default(), Ordering::Release);
        }
        adopt(self.slots.as_ptr().cast_mut().cast());
    }

    /// Texts that another list has not, after C code has set `environ`.
    fn forget_unseen(&mut self, seen: &[*mut c_char]) {
        let unseen: Vec<_> = self.owned.keys().copied().collect();
        for address in unseen.into_iter().filter(|address| !seen.iter().any(|entry| entry.addr() == *address))
        {
            self.replaced(address);
        }
    }

    fn index(&self, name: &[u8]) -> Option<usize> {
        entries().position(|entry| value(entry, name).is_some())
    }

    fn set(&mut self, name: &[u8], text: Text, replaces: bool) {
        let found = self.index(name);
        let slot = found.and_then(|index| self.slots.get(index));
        let old = slot.map(|slot| slot.load(Ordering::Acquire));
        if old.is_some_and(|old| !replaces || text.is(old)) {
            return;
        }
        let entry = self.keep(text);
        match (slot, old) {
            (Some(slot), Some(old)) => {
                slot.store(entry, Ordering::Release);
                self.replaced(old.addr());
            }
            _ => self.push(entry),
        }
    }

    fn push(&mut self, entry: *mut c_char) {
        let count = entries().count();
        match self.slots.get(count) {
            // The last one stays null.
            Some(slot) if count + 1 < self.slots.len() => slot.store(entry, Ordering::Release),
            _ => {
                let all: Vec<_> = entries().chain([entry]).collect();
                self.write(&all);
            }
        }
    }

    /// Removes all of this name. Each step leaves a list that has an entry twice at most.
    fn remove(&mut self, name: &[u8]) {
        while let Some(index) = self.index(name) {
            let old = self.slots.get(index).map(|slot| slot.load(Ordering::Acquire));
            for pair in self.slots.get(index..).unwrap_or_default().windows(2) {
                let [slot, next] = pair else { continue };
                let next = next.load(Ordering::Acquire);
                slot.store(next, Ordering::Release);
                if next.is_null() {
                    break;
                }
            }
            if let Some(old) = old {
                self.replaced(old.addr());
            }
        }
    }

    fn keep(&mut self, text: Text) -> *mut c_char {
        match text {
            Text::Borrowed(text) => text,
            Text::Owned(text) => {
                let text = text.into_raw();
                self.owned.insert(text.addr(), Slot::new(text));
                text
            }
        }
    }

    /// The list does not refer to the text at this address any more. Frees what was replaced long ago.
    fn replaced(&mut self, address: usize) {
        let Some(text) = self.owned.remove(&address) else { return };
        // SAFETY: from `CString::into_raw`, and taken out of the map for good.
        let text = unsafe { CString::from_raw(text.into_inner()) };
        self.replaced_bytes += text.count_bytes();
        self.replaced.push_back(text);
        while self.replaced_bytes > KEPT_BYTES && self.replaced.len() > KEPT {
            let freed = self.replaced.pop_front().map_or(0, |text| text.count_bytes());
            self.replaced_bytes -= freed;
        }
    }
}

impl Text {
    /// Whether it says the same as this entry, which then may stay: what reads it goes on.
    fn is(&self, entry: *mut c_char) -> bool {
        // SAFETY: an entry of the list is a text.
        matches!(self, Self::Owned(text) if unsafe { CStr::from_ptr(entry) } == text.as_c_str())
    }
}

/// # Safety
/// `text` is a text, as for all functions of libc.
unsafe fn bytes<'a>(text: *const c_char) -> &'a [u8] {
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// `getenv(3)` and `secure_getenv(3)`: a host is not started with privileges that its environment could misuse.
///
/// # Safety
/// `name` is a text.
pub(super) unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: the caller vouches for it.
    find(unsafe { bytes(name) }).unwrap_or_default()
}

/// `setenv(3)`.
///
/// # Safety
/// `name` and `value` are texts.
pub(super) unsafe extern "C" fn setenv(name: *const c_char, value: *const c_char, replaces: c_int) -> c_int {
    if name.is_null() {
        return invalid();
    }
    // SAFETY: the caller vouches for it.
    let name = unsafe { bytes(name) };
    // SAFETY: as above.
    let value = unsafe { bytes(value) };
    if name.is_empty() || name.contains(&b'=') {
        return invalid();
    }
    set(name, value, replaces != 0);
    0
}

/// `unsetenv(3)`.
///
/// # Safety
/// `name` is a text.
pub(super) unsafe extern "C" fn unsetenv(name: *const c_char) -> c_int {
    if name.is_null() {
        return invalid();
    }
    // SAFETY: the caller vouches for it.
    let name = unsafe { bytes(name) };
    if name.is_empty() || name.contains(&b'=') {
        return invalid();
    }
    List::lock().remove(name);
    0
}

/// `putenv(3)`: the text itself becomes an entry.
///
/// # Safety
/// `text` is a text, and stays one as long as it is in the list.
pub(super) unsafe extern "C" fn putenv(text: *mut c_char) -> c_int {
    // SAFETY: the caller vouches for it.
    let whole = unsafe { bytes(text) };
    let Some(end) = whole.iter().position(|byte| *byte == b'=') else {
        // SAFETY: as above.
        return unsafe { unsetenv(text) };
    };
    List::lock().set(&whole[..end], Text::Borrowed(text), true);
    0
}

/// `clearenv(3)`.
pub(super) extern "C" fn clearenv() -> c_int {
    let mut list = List::lock();
    list.write(&[]);
    list.forget_unseen(&[]);
    0
}

fn invalid() -> c_int {
    super::exec::fail(libc::EINVAL)
}
