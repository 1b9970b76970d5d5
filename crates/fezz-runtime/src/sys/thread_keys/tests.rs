//! The functions behave as libc's do, far beyond libc's limit.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

fn new_key(destructor: Option<Destructor>) -> c_uint {
    let mut number = 0;
    // SAFETY: the number can be written.
    assert_eq!(unsafe { create(&raw mut number, destructor) }, 0);
    number
}

fn value(number: usize) -> *const c_void {
    ptr::without_provenance(number)
}

fn set_to(number: c_uint, to: usize) -> c_int {
    // SAFETY: any number may be asked about.
    unsafe { set(number, value(to)) }
}

fn get_of(number: c_uint) -> usize {
    // SAFETY: as above.
    unsafe { get(number) }.addr()
}

fn delete_key(number: c_uint) -> c_int {
    // SAFETY: as above.
    unsafe { delete(number) }
}

#[test]
fn there_are_many_more_keys_than_libc_has() {
    let keys: Vec<_> = (0..20_000).map(|_| new_key(None)).collect();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    assert!(!keys.contains(&0));
    for (index, key) in (1..).zip(&keys) {
        assert_eq!(get_of(*key), 0);
        assert_eq!(set_to(*key, index), 0);
    }
    for (index, key) in (1..).zip(&keys) {
        assert_eq!(get_of(*key), index);
    }
    // Another thread has values of its own.
    let last = keys[keys.len() - 1];
    assert_eq!(thread::spawn(move || get_of(last)).join().unwrap(), 0);
    keys.into_iter().for_each(|key| assert_eq!(delete_key(key), 0));
}

#[test]
fn a_deleted_key_is_gone_with_its_values() {
    let key = new_key(None);
    assert_eq!((set_to(key, 7), delete_key(key)), (0, 0));
    assert_eq!((get_of(key), set_to(key, 8), delete_key(key)), (0, libc::EINVAL, libc::EINVAL));
    // Whoever gets it next finds nothing of the value.
    let others: Vec<_> = (0..64).map(|_| new_key(None)).collect();
    assert!(others.iter().all(|key| get_of(*key) == 0));
    others.into_iter().for_each(|key| assert_eq!(delete_key(key), 0));
    assert_eq!(
        (get_of(c_uint::MAX), set_to(c_uint::MAX, 1), delete_key(c_uint::MAX)),
        (0, libc::EINVAL, libc::EINVAL)
    );
}

#[test]
fn destructors_run_at_a_threads_end_and_up_to_four_times() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    static AGAIN: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" fn count(value: *mut c_void) {
        RUNS.fetch_add(value.addr(), Ordering::SeqCst);
    }
    unsafe extern "C" fn set_again(value: *mut c_void) {
        RUNS.fetch_add(1, Ordering::SeqCst);
        assert_eq!(set_to(AGAIN.load(Ordering::SeqCst), value.addr()), 0);
    }
    let (once, without, gone) = (new_key(Some(count)), new_key(None), new_key(Some(count)));
    let run = move || {
        assert_eq!((set_to(once, 100), set_to(without, 1000), set_to(gone, 10_000)), (0, 0, 0));
        assert_eq!(delete_key(gone), 0);
    };
    thread::spawn(run).join().unwrap();
    assert_eq!(RUNS.swap(0, Ordering::SeqCst), 100);
    AGAIN.store(new_key(Some(set_again)), Ordering::SeqCst);
    thread::spawn(|| assert_eq!(set_to(AGAIN.load(Ordering::SeqCst), 5), 0)).join().unwrap();
    assert_eq!(RUNS.load(Ordering::SeqCst), 4);
}

#[test]
fn threads_create_and_delete_at_once() {
    let work = || {
        for round in 1..2000 {
            let key = new_key(None);
            assert_eq!((get_of(key), set_to(key, round)), (0, 0));
            assert_eq!((get_of(key), delete_key(key)), (round, 0));
        }
    };
    thread::scope(|scope| (0..8).for_each(|_| _ = scope.spawn(work)));
}
