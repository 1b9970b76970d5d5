//! Which function runs in which thread, in memory that outlives the process: when it crashes, the supervisor reads there
//! whose fault it was.
//!
//! A thread that enters a function writes the function's number to a place of its own, and takes it back when it leaves.
//! A handler of the signals that end a process writes down which thread's place was the one. Without a supervisor there
//! is no such memory, and none of this does anything.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Shared;

/// Signals that end a process which does not expect them.
const FATAL: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// Numbers of the words, each of 32 bits.
const HEARTBEAT: usize = 0;
const CRASHED: usize = 1;
const SIGNAL: usize = 2;
const FUNCTIONS: usize = 3;
const PLACES: usize = 16;
const TABLE: usize = PLACES + MAX_PLACES;

const MAX_PLACES: usize = 8192;
const MAX_FUNCTIONS: usize = 1024;
/// Words of a function's entry: the length of its name, its digest, its name.
const ENTRY: usize = 64;
const DIGEST: usize = 8;
const NAME_BYTES: usize = (ENTRY - 1 - DIGEST) * 4;

/// What stands in `CRASHED` for a thread that no call was running on.
const ELSEWHERE: u32 = u32::MAX;

/// How long the memory is, in bytes.
pub(crate) const RECORD_BYTES: usize = (TABLE + MAX_FUNCTIONS * ENTRY) * 4;

/// The record that this process writes; null without a supervisor. It stays for the life of the process.
static RECORD: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

/// What the handlers replaced, as `libc::sigaction` tells it, by signal.
static BEFORE: Mutex<Vec<(c_int, libc::sigaction)>> = Mutex::new(Vec::new());

thread_local! {
    /// This thread's place and one, so that a handler can read it: nothing is made when it is first used.
    static PLACE: Cell<u32> = const { Cell::new(0) };
    /// Gives the place back.
    static KEEPER: RefCell<Option<Keeper>> = const { RefCell::new(None) };
}

fn record() -> Option<&'static Shared> {
    let record = RECORD.load(Ordering::Acquire);
    // SAFETY: null, or leaked by `install`.
    unsafe { record.as_ref() }
}

/// Writes to this memory from here on, and watches for the end.
pub(crate) fn install(shared: Shared) {
    RECORD.store(Box::into_raw(Box::new(shared)), Ordering::Release);
    for signal in FATAL {
        watch(signal);
    }
    // SAFETY: the function takes nothing and does not unwind.
    unsafe { libc::atexit(on_exit) };
}

fn watch(signal: c_int) {
    // SAFETY: all zeroes is a valid value of this struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_crash as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: as above.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both structs are there; the handler is one of the kind that the flags say.
    if unsafe { libc::sigaction(signal, &raw const action, &raw mut before) } == 0 {
        BEFORE.lock().unwrap_or_else(PoisonError::into_inner).push((signal, before));
    }
}

/// Takes down where it happened, and lets what was there before do the rest: std says when a stack has overflowed.
extern "C" fn on_crash(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    note_crash(signal.unsigned_abs());
    // Without a lock: nobody writes any more, but a thread that holds it may be the one that crashed.
    let before =
        BEFORE.try_lock().ok().and_then(|all| all.iter().find(|(known, _)| *known == signal).copied());
    let handler = before.filter(|(_, action)| action.sa_flags & libc::SA_SIGINFO != 0);
    if let Some((_, action)) = handler
        && action.sa_sigaction != libc::SIG_DFL
        && action.sa_sigaction != libc::SIG_IGN
    {
        // SAFETY: it was set up as a handler with three arguments.
        let earlier: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
            unsafe { std::mem::transmute(action.sa_sigaction) };
        earlier(signal, info, context);
    }
    // SAFETY: all zeroes is a valid value of this struct, and means the default action.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is there.
    unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
    // SAFETY: it has no requirements; the signal arrives when this handler returns.
    unsafe { libc::raise(signal) };
}

/// A function that calls `exit` ends the process as surely.
extern "C" fn on_exit() {
    if PLACE.try_with(Cell::get).unwrap_or(0) != 0 && is_inside() {
        note_crash(0);
    }
}

fn is_inside() -> bool {
    let place = PLACE.try_with(Cell::get).unwrap_or(0);
    record().is_some_and(|record| {
        place != 0 && record.word(PLACES + place as usize - 1).load(Ordering::Relaxed) != 0
    })
}

fn note_crash(signal: u32) {
    let Some(record) = record() else { return };
    let place = if is_inside() { PLACE.try_with(Cell::get).unwrap_or(ELSEWHERE) } else { ELSEWHERE };
    // The first one is the cause of what follows, such as the abort after an overflow.
    if record.word(CRASHED).compare_exchange(0, place, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        record.word(SIGNAL).store(signal, Ordering::SeqCst);
    }
}

/// Shows that this process is not stuck.
pub(crate) fn beat() {
    if let Some(record) = record() {
        record.word(HEARTBEAT).fetch_add(1, Ordering::Relaxed);
    }
}

/// A function's number in the record; the same for the same function, and 0 where there is no record.
pub(crate) fn number(name: &str, digest: [u8; 32]) -> u32 {
    static KNOWN: Mutex<Option<HashMap<Named, u32>>> = Mutex::new(None);
    let Some(record) = record() else { return 0 };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let named = Named { name: name.to_owned(), digest };
    if let Some(number) = known.get(&named) {
        return *number;
    }
    let index = known.len();
    if index >= MAX_FUNCTIONS {
        return 0;
    }
    write_entry(record, index, name, digest);
    let number = u32::try_from(index + 1).unwrap_or_default();
    known.insert(named, number);
    record.word(FUNCTIONS).store(number, Ordering::Release);
    number
}

fn write_entry(record: &Shared, index: usize, name: &str, digest: [u8; 32]) {
    let start = TABLE + index * ENTRY;
    let name = &name.as_bytes()[..name.len().min(NAME_BYTES)];
    record.word(start).store(u32::try_from(name.len()).unwrap_or_default(), Ordering::Relaxed);
    for (offset, bytes) in digest.chunks(4).chain(name.chunks(4)).enumerate() {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        record.word(start + 1 + offset).store(u32::from_le_bytes(word), Ordering::Relaxed);
    }
}

/// Says, until it is dropped, that this thread is inside a function.
#[derive(Debug)]
pub(crate) struct Inside {
    place: Option<(&'static AtomicU32, u32)>,
    /// Another thread's place is not this one's.
    _here: std::marker::PhantomData<*const ()>,
}

/// Enters the function with this number.
pub(crate) fn enter(number: u32) -> Inside {
    let place = (number != 0).then(place).flatten().map(|place| {
        let before = place.swap(number, Ordering::Relaxed);
        (place, before)
    });
    Inside { place, _here: std::marker::PhantomData }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some((place, before)) = self.place {
            place.store(before, Ordering::Relaxed);
        }
    }
}

/// This thread's place; none where there is no record, or no place in it.
fn place() -> Option<&'static AtomicU32> {
    let record = record()?;
    let place = PLACE.try_with(Cell::get).unwrap_or(0);
    let place = if place == 0 { take_place()? } else { place };
    Some(record.word(PLACES + place as usize - 1))
}

/// Places that threads have given back, and how many were ever given out.
static FREE: Mutex<(Vec<u32>, u32)> = Mutex::new((Vec::new(), 0));

fn take_place() -> Option<u32> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = free.0.pop().or_else(|| {
        free.1 += 1;
        (free.1 as usize <= MAX_PLACES).then_some(free.1)
    })?;
    drop(free);
    let kept = KEEPER.try_with(|keeper| *keeper.borrow_mut() = Some(Keeper(place)));
    kept.ok()?;
    PLACE.set(place);
    Some(place)
}

struct Keeper(u32);

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = PLACE.try_with(|place| place.set(0));
        FREE.lock().unwrap_or_else(PoisonError::into_inner).0.push(self.0);
    }
}

/// A function as the record names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) digest: [u8; 32],
}

/// What a record says after the end of the process that wrote it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// What ran in the thread that ended the process.
    pub(crate) culprit: Option<Named>,
    /// Whether that thread is known, and ran no function.
    pub(crate) elsewhere: bool,
    /// All that ran, in any thread.
    pub(crate) running: Vec<Named>,
}

/// Reads a record, which nobody writes any more, or does not mind being read.
pub(crate) fn read(record: &Shared) -> Found {
    let crashed = record.word(CRASHED).load(Ordering::SeqCst);
    let at = |place: usize| {
        let number = record.word(PLACES + place).load(Ordering::Relaxed);
        (number as usize).checked_sub(1).and_then(|index| entry(record, index))
    };
    let mut running: Vec<_> = (0..MAX_PLACES).filter_map(at).collect();
    running.sort();
    running.dedup();
    let place = (crashed as usize).checked_sub(1).filter(|place| *place < MAX_PLACES);
    Found { culprit: place.and_then(at), elsewhere: crashed == ELSEWHERE, running }
}

/// How often the process that writes this record has shown that it is not stuck.
pub(crate) fn heartbeat(record: &Shared) -> u32 {
    record.word(HEARTBEAT).load(Ordering::Relaxed)
}

fn entry(record: &Shared, index: usize) -> Option<Named> {
    if index >= record.word(FUNCTIONS).load(Ordering::Acquire) as usize {
        return None;
    }
    let start = TABLE + index * ENTRY;
    let word = |offset: usize| record.word(start + 1 + offset).load(Ordering::Relaxed).to_le_bytes();
    let bytes: Vec<u8> = (0..ENTRY - 1).flat_map(word).collect();
    let (digest, name) = bytes.split_first_chunk::<32>()?;
    let length = record.word(start).load(Ordering::Relaxed) as usize;
    let name = String::from_utf8_lossy(name.get(..length)?).into_owned();
    Some(Named { name, digest: *digest })
}

#[cfg(test)]
mod tests;
