//! The crash record: which function runs in which thread, in shared memory that outlives the process, so that the
//! supervisor can name the function that crashed.
//!
//! Each thread has a slot in the record. It writes the function's number there when it enters the function, and restores
//! the previous value when it leaves; the upper half of the slot keeps the last number. Handlers of the fatal signals record the slot of the crashed thread. Without a
//! supervisor there is no such memory, and all of this does nothing.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Shared;
use crate::Digest;

/// Signals whose default action ends the process with a fault.
const FATAL: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// Whether a signal says that the process itself was at fault. Any other comes from outside, or was asked for.
#[must_use]
pub fn is_fault(signal: i32) -> bool {
    FATAL.contains(&signal)
}

/// The layout: indices of 32-bit words.
const HEARTBEAT: usize = 0;
const CRASHED: usize = 1;
const SIGNAL: usize = 2;
const FUNCTIONS: usize = 3;
const SLOTS: usize = 16;
const TABLE: usize = SLOTS + MAX_SLOTS;

const MAX_SLOTS: usize = 8192;
const MAX_FUNCTIONS: usize = 1024;
/// Words of a function's entry: length of its name, digest, name.
const ENTRY: usize = 64;
const DIGEST: usize = 8;
const NAME_BYTES: usize = (ENTRY - 1 - DIGEST) * 4;

/// The half of a slot that holds the number of the function that runs.
const RUNNING: u32 = 0xffff;
/// How far above it the number of the function is that ran last.
const LAST: u32 = 16;

/// The value of `CRASHED` for a thread that was not in a function.
const OUTSIDE: u32 = u32::MAX;

/// Length of a record, in bytes.
pub const RECORD_BYTES: usize = (TABLE + MAX_FUNCTIONS * ENTRY) * 4;

/// The record that this process writes; null without a supervisor. Never unmapped.
static RECORD: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

/// The signal dispositions that the handlers replaced.
static PREVIOUS: Mutex<Vec<(c_int, libc::sigaction)>> = Mutex::new(Vec::new());

thread_local! {
    /// This thread's slot plus one; 0 for none. Without lazy initialisation, so that a signal handler can read it.
    static SLOT: Cell<u32> = const { Cell::new(0) };
    /// The number of the function that this thread belongs to; 0 for the host's own.
    static OWNED_BY: Cell<u32> = const { Cell::new(0) };
    /// Frees the slot when the thread ends.
    static SLOT_OWNER: RefCell<Option<SlotOwner>> = const { RefCell::new(None) };
}

fn record() -> Option<&'static Shared> {
    let record = RECORD.load(Ordering::Acquire);
    // SAFETY: null, or leaked by `install`.
    unsafe { record.as_ref() }
}

/// Makes this memory, of [`RECORD_BYTES`], the record of this process, and installs the signal handlers.
pub fn install(shared: Shared) {
    RECORD.store(Box::into_raw(Box::new(shared)), Ordering::Release);
    for signal in FATAL {
        handle(signal);
    }
    // SAFETY: the function takes nothing and does not unwind.
    unsafe { libc::atexit(on_exit) };
}

fn handle(signal: c_int) {
    // SAFETY: all zeroes is a valid value of this struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_crash as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: as above.
    let mut previous: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both structs are valid; the handler has the signature that SA_SIGINFO asks for.
    if unsafe { libc::sigaction(signal, &raw const action, &raw mut previous) } == 0 {
        PREVIOUS.lock().unwrap_or_else(PoisonError::into_inner).push((signal, previous));
    }
}

/// Records the crash, then runs the previous handler: std's reports stack overflows.
extern "C" fn on_crash(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    note_crash(signal.unsigned_abs());
    // Must not wait for the lock: the crashed thread may hold it.
    let previous =
        PREVIOUS.try_lock().ok().and_then(|all| all.iter().find(|(known, _)| *known == signal).copied());
    let handler = previous.filter(|(_, action)| action.sa_flags & libc::SA_SIGINFO != 0);
    if let Some((_, action)) = handler
        && action.sa_sigaction != libc::SIG_DFL
        && action.sa_sigaction != libc::SIG_IGN
    {
        // SAFETY: SA_SIGINFO says that the handler takes three arguments.
        let earlier: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
            unsafe { std::mem::transmute(action.sa_sigaction) };
        earlier(signal, info, context);
    }
    // SAFETY: all zeroes is a valid value of this struct, and means the default action.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is valid.
    unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
    // SAFETY: has no requirements; the signal is delivered when this handler returns.
    unsafe { libc::raise(signal) };
}

/// Records a call of `exit` from within a function as a crash, without a signal.
extern "C" fn on_exit() {
    if SLOT.try_with(Cell::get).unwrap_or(0) != 0 && is_inside() {
        note_crash(0);
    }
}

fn is_inside() -> bool {
    let slot = SLOT.try_with(Cell::get).unwrap_or(0);
    record().is_some_and(|record| {
        slot != 0 && record.word(SLOTS + slot as usize - 1).load(Ordering::Relaxed) & RUNNING != 0
    })
}

fn note_crash(signal: u32) {
    let Some(record) = record() else { return };
    let slot = crashed_slot(record);
    // Only the first crash counts: it may cause others, such as the abort after a stack overflow.
    if record.word(CRASHED).compare_exchange(0, slot, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        record.word(SIGNAL).store(signal, Ordering::SeqCst);
    }
}

/// The slot of this thread, if it runs a function or belongs to one.
fn crashed_slot(record: &Shared) -> u32 {
    let slot = SLOT.try_with(Cell::get).unwrap_or(0);
    let owner = OWNED_BY.try_with(Cell::get).unwrap_or(0);
    if is_inside() {
        return slot;
    }
    if slot == 0 || owner == 0 {
        return OUTSIDE;
    }
    record.word(SLOTS + slot as usize - 1).store(owner | owner << LAST, Ordering::Relaxed);
    slot
}

/// Called by a function: the thread is its own, unless the host has entered the function on it.
pub fn adopt(number: u32) {
    if number != 0 && OWNED_BY.get() != number && !is_inside() && slot().is_some() {
        OWNED_BY.set(number);
    }
}

/// Counts a heartbeat, by which the supervisor sees that the process is not stuck.
pub fn beat() {
    if let Some(record) = record() {
        record.word(HEARTBEAT).fetch_add(1, Ordering::Relaxed);
    }
}

/// A build's entry in the record. Its number stays the same while anybody holds one of its entries; later it may be
/// another build's.
#[derive(Debug, Default)]
pub struct Entry {
    number: u32,
    build: Option<FunctionBuild>,
}

impl Entry {
    /// The number; 0 without a record, or if it is full.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(build) = &self.build {
            ENTRIES.lock().unwrap_or_else(PoisonError::into_inner).release(build);
        }
    }
}

/// Which build has which number.
#[derive(Debug)]
struct Entries {
    /// The number of each build, and how many hold it.
    taken: BTreeMap<FunctionBuild, (u32, usize)>,
    /// Numbers that nobody holds any more, the longest free first: a library may be shut down a little later.
    free: VecDeque<u32>,
    /// The highest number so far.
    highest: u32,
}

static ENTRIES: Mutex<Entries> =
    Mutex::new(Entries { taken: BTreeMap::new(), free: VecDeque::new(), highest: 0 });

impl Entries {
    /// The number of this build, and whether it is new to it.
    fn take(&mut self, build: &FunctionBuild) -> Option<(u32, bool)> {
        if let Some((number, holders)) = self.taken.get_mut(build) {
            *holders += 1;
            return Some((*number, false));
        }
        let number = if (self.highest as usize) < MAX_FUNCTIONS {
            self.highest += 1;
            self.highest
        } else {
            self.free.pop_front()?
        };
        self.taken.insert(build.clone(), (number, 1));
        Some((number, true))
    }

    fn release(&mut self, build: &FunctionBuild) {
        let Some((number, holders)) = self.taken.get_mut(build) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.free.push_back(*number);
            self.taken.remove(build);
        }
    }
}

/// The entry of this build of a function.
#[must_use]
pub fn entry(name: &str, digest: Digest) -> Entry {
    let Some(record) = record() else { return Entry::default() };
    let build = FunctionBuild { name: name.to_owned(), digest };
    let mut entries = ENTRIES.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((number, is_new)) = entries.take(&build) else { return Entry::default() };
    if is_new {
        forget_last(record, number);
        write_entry(record, number as usize - 1, name, digest);
        record.word(FUNCTIONS).store(entries.highest, Ordering::Release);
    }
    Entry { number, build: Some(build) }
}

/// Makes sure that no thread is said to have run this number last, when it becomes another build's.
fn forget_last(record: &Shared, number: u32) {
    for slot in 0..MAX_SLOTS {
        let slot = record.word(SLOTS + slot);
        // Where the thread enters a function meanwhile, it writes both.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| {
            (value >> LAST == number).then_some(value & RUNNING)
        });
    }
}

fn write_entry(record: &Shared, index: usize, name: &str, digest: Digest) {
    let start = TABLE + index * ENTRY;
    let name = &name.as_bytes()[..name.len().min(NAME_BYTES)];
    record.word(start).store(u32::try_from(name.len()).unwrap_or_default(), Ordering::Relaxed);
    for (offset, bytes) in digest.bytes().chunks(4).chain(name.chunks(4)).enumerate() {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        record.word(start + 1 + offset).store(u32::from_le_bytes(word), Ordering::Relaxed);
    }
}

/// Marks this thread as running a function until dropped.
#[derive(Debug)]
pub struct Inside {
    slot: Option<(&'static AtomicU32, u32)>,
    /// Not Send, since the slot is this thread's.
    _not_send: std::marker::PhantomData<*const ()>,
}

/// Marks this thread as running the function with this number; 0 does nothing.
#[must_use]
pub fn enter(number: u32) -> Inside {
    let slot = (number != 0).then(slot).flatten().map(|slot| {
        // No other thread writes here, but for `forget_last`.
        let former = slot.swap(number | number << LAST, Ordering::Relaxed);
        (slot, former & RUNNING | number << LAST)
    });
    Inside { slot, _not_send: std::marker::PhantomData }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some((slot, former)) = self.slot {
            slot.store(former, Ordering::Relaxed);
        }
    }
}

/// This thread's slot; `None` without a record, or if all slots are taken.
fn slot() -> Option<&'static AtomicU32> {
    let record = record()?;
    let slot = SLOT.try_with(Cell::get).unwrap_or(0);
    let slot = if slot == 0 { take_slot()? } else { slot };
    Some(record.word(SLOTS + slot as usize - 1))
}

/// Slots freed by threads that have ended, and the number of slots ever taken.
static FREE: Mutex<(Vec<u32>, u32)> = Mutex::new((Vec::new(), 0));

fn take_slot() -> Option<u32> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let slot = free.0.pop().or_else(|| {
        free.1 += 1;
        (free.1 as usize <= MAX_SLOTS).then_some(free.1)
    })?;
    drop(free);
    let kept = SLOT_OWNER.try_with(|owner| *owner.borrow_mut() = Some(SlotOwner(slot)));
    kept.ok()?;
    SLOT.set(slot);
    Some(slot)
}

struct SlotOwner(u32);

impl Drop for SlotOwner {
    fn drop(&mut self) {
        let _ = SLOT.try_with(|slot| slot.set(0));
        FREE.lock().unwrap_or_else(PoisonError::into_inner).0.push(self.0);
    }
}

/// One build of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionBuild {
    /// `id@version`.
    pub name: String,
    /// The library's digest.
    pub digest: Digest,
}

/// What a record says about the process that has ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Crash {
    /// The function that the crashed thread was running.
    pub culprit: Option<FunctionBuild>,
    /// Whether the crashed thread is known and was not running a function.
    pub outside: bool,
    /// The functions that any thread was running.
    pub running: Vec<FunctionBuild>,
    /// The functions that any thread was running or had run last: one of them may have started the thread that crashed.
    pub recent: Vec<FunctionBuild>,
}

/// Reads a record; safe also while it is being written.
#[must_use]
pub fn read(record: &Shared) -> Crash {
    let crashed = record.word(CRASHED).load(Ordering::SeqCst);
    let slot = |slot: usize| record.word(SLOTS + slot).load(Ordering::Relaxed);
    let build = |number: u32| (number as usize).checked_sub(1).and_then(|index| read_entry(record, index));
    let running = builds((0..MAX_SLOTS).map(|index| slot(index) & RUNNING), build);
    let recent = builds((0..MAX_SLOTS).map(|index| slot(index) >> LAST), build);
    let culprit = (crashed as usize).checked_sub(1).filter(|slot| *slot < MAX_SLOTS);
    let culprit = culprit.and_then(|index| build(slot(index) & RUNNING));
    Crash { culprit, outside: crashed == OUTSIDE, running, recent }
}

fn builds(
    numbers: impl Iterator<Item = u32>,
    build: impl Fn(u32) -> Option<FunctionBuild>,
) -> Vec<FunctionBuild> {
    let numbers: BTreeSet<_> = numbers.collect();
    let builds: BTreeSet<_> = numbers.into_iter().filter_map(build).collect();
    builds.into_iter().collect()
}

/// The number of heartbeats so far.
#[must_use]
pub fn heartbeat(record: &Shared) -> u32 {
    record.word(HEARTBEAT).load(Ordering::Relaxed)
}

fn read_entry(record: &Shared, index: usize) -> Option<FunctionBuild> {
    if index >= record.word(FUNCTIONS).load(Ordering::Acquire) as usize {
        return None;
    }
    let start = TABLE + index * ENTRY;
    let word = |offset: usize| record.word(start + 1 + offset).load(Ordering::Relaxed).to_le_bytes();
    let bytes: Vec<u8> = (0..ENTRY - 1).flat_map(word).collect();
    let (digest, name) = bytes.split_first_chunk::<32>()?;
    let length = record.word(start).load(Ordering::Relaxed) as usize;
    let name = String::from_utf8_lossy(name.get(..length)?).into_owned();
    Some(FunctionBuild { name, digest: Digest::new(*digest) })
}

#[cfg(test)]
mod tests;
