//! Thread-specific keys without libc's limit of 1,024 a process.
//!
//! Nearly every library takes a key or more (Rust's standard library one, mimalloc another), and none is given back, since
//! libraries are never unmapped. With libc's own functions a process aborts after some 500 to 1,000 libraries. The functions
//! here have the same behaviour (pthread_key_create(3p)) and room for 131,071 keys; each thread keeps its values in a table
//! of its own, which is the value of a single key of libc's. The program exports them (`hhrf/build.rs`), so that libraries
//! which are loaded find these before libc's.
//!
//! They may run before `main`, and within an allocator: no locks, no allocation but by mmap(2), no thread-locals with
//! destructors.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

type Destructor = unsafe extern "C" fn(*mut c_void);

/// Keys of a chunk, and slots of a thread's page: 4 KiB of slots.
const PER_PAGE: usize = 256;
/// Pages of a thread's table, and chunks of keys.
const PAGES: usize = 512;
/// How often destructors are called while values are set again: `PTHREAD_DESTRUCTOR_ITERATIONS`.
const PASSES: u32 = 4;

/// One key. `sequence` is odd while it is in use, and grows with each use: values of an earlier use do not count.
struct Key {
    sequence: AtomicUsize,
    /// Null for none.
    destructor: AtomicPtr<c_void>,
    /// The next one that is free, while this one is.
    next_free: AtomicU32,
}

type Chunk = [Key; PER_PAGE];

static CHUNKS: [AtomicPtr<Chunk>; PAGES] = [const { AtomicPtr::new(ptr::null_mut()) }; PAGES];
/// The number of keys ever handed out. Key 0 is not: some programs take it for none.
static NEXT: AtomicU32 = AtomicU32::new(1);
/// The first of the free keys (0: none), and above it a count of changes, so that no change goes unnoticed.
static FREE: AtomicU64 = AtomicU64::new(0);
/// libc's key for the threads' tables, plus one; 0 for none yet.
static TABLES: AtomicUsize = AtomicUsize::new(0);

/// A thread's value of one key, set while the key had this sequence.
#[derive(Clone, Copy)]
#[repr(C)]
struct Slot {
    sequence: usize,
    value: *mut c_void,
}

/// A thread's values.
#[repr(C)]
struct Table {
    pages: [*mut [Slot; PER_PAGE]; PAGES],
}

thread_local! {
    static TABLE: Cell<*mut Table> = const { Cell::new(ptr::null_mut()) };
    /// Passes over the destructors that this thread's end has made.
    static PASSED: Cell<u32> = const { Cell::new(0) };
}

/// Memory of zeroes; null if there is none.
fn map<T>() -> *mut T {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping touches no other memory.
    let memory = unsafe { libc::mmap(ptr::null_mut(), size_of::<T>(), protection, flags, -1, 0) };
    if memory == libc::MAP_FAILED { ptr::null_mut() } else { memory.cast() }
}

/// # Safety
/// The memory is of [`map`] for the same type, and nothing uses it any more.
unsafe fn unmap<T>(memory: *mut T) {
    // SAFETY: the caller vouches for it.
    unsafe { libc::munmap(memory.cast(), size_of::<T>()) };
}

/// libc's function of this name, behind the one that this program exports.
fn of_libc(name: &CStr, cache: &AtomicPtr<c_void>) -> *mut c_void {
    let known = cache.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    // SAFETY: the name ends in NUL.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    cache.store(found, Ordering::Relaxed);
    found
}

/// libc's key for the threads' tables.
fn tables_key() -> Option<c_uint> {
    static CREATE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    let known = TABLES.load(Ordering::Acquire);
    if let Some(key) = known.checked_sub(1) {
        return c_uint::try_from(key).ok();
    }
    let create = of_libc(c"pthread_key_create", &CREATE);
    if create.is_null() {
        return None;
    }
    // SAFETY: pthread_key_create(3p) has this type.
    let create: unsafe extern "C" fn(*mut c_uint, Option<Destructor>) -> c_int = unsafe { transmute(create) };
    let mut key = 0;
    // SAFETY: the key can be written, and the destructor has the type that it asks for.
    if unsafe { create(&raw mut key, Some(thread_ends)) } != 0 {
        return None;
    }
    // If another thread was faster, one of libc's keys is wasted.
    match TABLES.compare_exchange(0, key as usize + 1, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(key),
        Err(other) => c_uint::try_from(other - 1).ok(),
    }
}

/// Makes libc call [`thread_ends`] with this table, in this pass or the next.
fn keep(table: *mut Table) -> c_int {
    static SET: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    let Some(key) = tables_key() else { return libc::EAGAIN };
    let set = of_libc(c"pthread_setspecific", &SET);
    if set.is_null() {
        return libc::EAGAIN;
    }
    // SAFETY: pthread_setspecific(3p) has this type.
    let set: unsafe extern "C" fn(c_uint, *const c_void) -> c_int = unsafe { transmute(set) };
    // SAFETY: it is a key of libc's.
    unsafe { set(key, table.cast()) }
}

/// The key of this number, if there has ever been one.
fn key(number: c_uint) -> Option<&'static Key> {
    let number = number as usize;
    let chunk = CHUNKS.get(number / PER_PAGE)?.load(Ordering::Acquire);
    // SAFETY: null, or a chunk that is never unmapped. Zeroes are valid keys.
    let chunk = unsafe { chunk.as_ref() }?;
    Some(&chunk[number % PER_PAGE])
}

/// A key that was in use before.
fn take_free() -> Option<c_uint> {
    let mut free = FREE.load(Ordering::Acquire);
    loop {
        let number = first(free);
        if number == 0 {
            return None;
        }
        let next = key(number)?.next_free.load(Ordering::Relaxed);
        match FREE.compare_exchange_weak(free, tagged(free, next), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Some(number),
            Err(now) => free = now,
        }
    }
}

fn give_back(number: c_uint, key: &Key) {
    let mut free = FREE.load(Ordering::Acquire);
    loop {
        key.next_free.store(first(free), Ordering::Relaxed);
        match FREE.compare_exchange_weak(free, tagged(free, number), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(now) => free = now,
        }
    }
}

/// The first of the free keys; 0 for none.
const fn first(free: u64) -> u32 {
    let [a, b, c, d, ..] = free.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The head of the free keys after one more change.
const fn tagged(free: u64, number: u32) -> u64 {
    ((free >> 32).wrapping_add(1) << 32) | number as u64
}

/// A key that has not been in use before.
fn take_new() -> Result<c_uint, c_int> {
    let one_more = |next: u32| ((next as usize) < PER_PAGE * PAGES).then_some(next + 1);
    let number =
        NEXT.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).map_err(|_| libc::EAGAIN)?;
    let chunk = &CHUNKS[number as usize / PER_PAGE];
    if chunk.load(Ordering::Acquire).is_null() {
        let new = map::<Chunk>();
        if new.is_null() {
            return Err(libc::ENOMEM);
        }
        if chunk.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: nobody else knows it.
            unsafe { unmap(new) };
        }
    }
    Ok(number)
}

/// `pthread_key_create`.
unsafe extern "C" fn create(out: *mut c_uint, destructor: Option<Destructor>) -> c_int {
    let number = match take_free().map_or_else(take_new, Ok) {
        Ok(number) => number,
        Err(error) => return error,
    };
    let Some(key) = key(number) else { return libc::EAGAIN };
    let destructor = destructor.map_or(ptr::null_mut(), |destructor| destructor as *mut c_void);
    key.destructor.store(destructor, Ordering::Relaxed);
    key.sequence.fetch_add(1, Ordering::Release);
    // SAFETY: the caller gives a place for it, as pthread_key_create(3p) asks.
    unsafe { *out = number };
    0
}

/// `pthread_key_delete`.
unsafe extern "C" fn delete(number: c_uint) -> c_int {
    let Some(key) = key(number) else { return libc::EINVAL };
    let now = key.sequence.load(Ordering::Acquire);
    let is_used = now % 2 == 1;
    if !is_used || key.sequence.compare_exchange(now, now + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return libc::EINVAL;
    }
    give_back(number, key);
    0
}

/// `pthread_getspecific`.
unsafe extern "C" fn get(number: c_uint) -> *mut c_void {
    let table = TABLE.get();
    if table.is_null() || number as usize >= PER_PAGE * PAGES {
        return ptr::null_mut();
    }
    // SAFETY: this thread's own table, which lives until its end.
    let page = unsafe { (*table).pages[number as usize / PER_PAGE] };
    // SAFETY: null, or a page of this table's.
    let Some(slot) = (unsafe { page.as_ref() }).map(|page| page[number as usize % PER_PAGE]) else {
        return ptr::null_mut();
    };
    if slot.value.is_null() {
        return ptr::null_mut();
    }
    match key(number) {
        Some(key) if key.sequence.load(Ordering::Acquire) == slot.sequence => slot.value,
        _ => ptr::null_mut(),
    }
}

/// `pthread_setspecific`.
unsafe extern "C" fn set(number: c_uint, value: *const c_void) -> c_int {
    let Some(key) = key(number) else { return libc::EINVAL };
    let sequence = key.sequence.load(Ordering::Acquire);
    if sequence % 2 == 0 {
        return libc::EINVAL;
    }
    let mut table = TABLE.get();
    if table.is_null() {
        if value.is_null() {
            return 0;
        }
        table = map();
        if table.is_null() {
            return libc::ENOMEM;
        }
        // First, since libc may allocate, and the allocator come here.
        TABLE.set(table);
        let error = keep(table);
        if error != 0 {
            TABLE.set(ptr::null_mut());
            // SAFETY: nobody else knows it.
            unsafe { unmap(table) };
            return error;
        }
    }
    // SAFETY: this thread's own table, which nothing else refers to now.
    let page = unsafe { &mut (*table).pages[number as usize / PER_PAGE] };
    if page.is_null() {
        if value.is_null() {
            return 0;
        }
        *page = map();
    }
    // SAFETY: null, or a page of this table's, which nothing else refers to now.
    let Some(page) = (unsafe { page.as_mut() }) else { return libc::ENOMEM };
    page[number as usize % PER_PAGE] = Slot { sequence, value: value.cast_mut() };
    0
}

/// Called by libc at a thread's end, again for as long as the table is kept: one pass over all values.
unsafe extern "C" fn thread_ends(table: *mut c_void) {
    let table = table.cast::<Table>();
    PASSED.set(PASSED.get() + 1);
    let mut called = false;
    for page in 0..PAGES {
        for slot in 0..PER_PAGE {
            called |= destroy(table, page, slot);
        }
    }
    // A destructor may have set values again.
    if called && PASSED.get() < PASSES && keep(table) == 0 {
        return;
    }
    TABLE.set(ptr::null_mut());
    PASSED.set(0);
    for page in 0..PAGES {
        // SAFETY: this thread's table, which lives until the end of this function.
        let page = unsafe { (*table).pages[page] };
        if !page.is_null() {
            // SAFETY: the table is gone for this thread, and no other one knows it.
            unsafe { unmap(page) };
        }
    }
    // SAFETY: as above.
    unsafe { unmap(table) };
}

/// Takes one value out of a thread's table and calls its destructor. No reference is held meanwhile: the destructor may
/// use the table.
fn destroy(table: *mut Table, page: usize, slot: usize) -> bool {
    // SAFETY: this thread's table, which lives until the end of `thread_ends`.
    let page_memory = unsafe { (*table).pages[page] };
    if page_memory.is_null() {
        return false;
    }
    // SAFETY: a page of this table's; the index is in it.
    let place = unsafe { &raw mut (*page_memory)[slot] };
    // SAFETY: as above.
    let Slot { sequence, value } = unsafe { place.read() };
    if value.is_null() {
        return false;
    }
    // SAFETY: as above.
    unsafe { place.write(Slot { sequence, value: ptr::null_mut() }) };
    let number = c_uint::try_from(page * PER_PAGE + slot).unwrap_or_default();
    let Some(key) = key(number).filter(|key| key.sequence.load(Ordering::Acquire) == sequence) else {
        return false;
    };
    let destructor = key.destructor.load(Ordering::Acquire);
    if destructor.is_null() {
        return false;
    }
    // SAFETY: it was stored as a function of this type.
    let destructor: Destructor = unsafe { transmute(destructor) };
    // SAFETY: the key's owner has given it for values of this key, and this is one.
    unsafe { destructor(value) };
    true
}

/// The exported symbols. Not `#[no_mangle]`: each of two names is to be the same function, and Rust must not take them
/// for the declarations that the standard library has of them.
macro_rules! export {
    ($($name:literal = $function:path;)*) => {$(
        std::arch::global_asm!(
            concat!(".pushsection .text.", $name, ",\"axR\",@progbits"),
            concat!(".globl ", $name),
            concat!(".type ", $name, ",@function"),
            concat!($name, ":"),
            #[cfg(target_arch = "x86_64")]
            "jmp {function}",
            #[cfg(target_arch = "aarch64")]
            "b {function}",
            concat!(".size ", $name, ", .-", $name),
            ".popsection",
            function = sym $function,
        );
    )*};
}

export! {
    "pthread_key_create" = create;
    "__pthread_key_create" = create;
    "pthread_key_delete" = delete;
    "pthread_getspecific" = get;
    "__pthread_getspecific" = get;
    "pthread_setspecific" = set;
    "__pthread_setspecific" = set;
}

/// Links this module into the program.
pub fn install() {
    // The symbols are used by the standard library; a reference to one of the functions brings them along.
    std::hint::black_box(get as *const ());
}

#[cfg(test)]
mod tests;
