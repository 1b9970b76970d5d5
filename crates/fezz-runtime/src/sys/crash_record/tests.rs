//! Writing a crash record and reading it back.

use super::*;

#[test]
fn a_record_is_read_as_it_was_written() {
    let (record, _fd) = Shared::create("test", RECORD_BYTES).unwrap();
    assert_eq!(read(&record), Crash::default());
    write_entry(&record, 0, "first@1.0.0", Digest::new([1; 32]));
    let long = format!("{}@latest", "n".repeat(63));
    write_entry(&record, 1, &long, Digest::new([2; 32]));
    record.word(FUNCTIONS).store(2, Ordering::Relaxed);
    record.word(SLOTS + 5).store(2 | 2 << LAST, Ordering::Relaxed);
    record.word(SLOTS + 6).store(1 << LAST, Ordering::Relaxed);
    record.word(SLOTS + MAX_SLOTS - 1).store(1, Ordering::Relaxed);
    record.word(CRASHED).store(6, Ordering::Relaxed);
    let (first, second) = (
        FunctionBuild { name: "first@1.0.0".into(), digest: Digest::new([1; 32]) },
        FunctionBuild { name: long, digest: Digest::new([2; 32]) },
    );
    let found = read(&record);
    let both = vec![first, second.clone()];
    assert_eq!(
        found,
        Crash { culprit: Some(second), outside: false, running: both.clone(), recent: both.clone() }
    );
    record.word(SLOTS + 5).store(2 << LAST, Ordering::Relaxed);
    let found = read(&record);
    assert_eq!((found.running, found.recent), (both[..1].to_vec(), both));
    record.word(CRASHED).store(OUTSIDE, Ordering::Relaxed);
    assert_eq!((read(&record).culprit, read(&record).outside), (None, true));
    // A faulty process may have overwritten the record.
    record.word(SLOTS).store(4_000_000_000, Ordering::Relaxed);
    record.word(CRASHED).store(1, Ordering::Relaxed);
    record.word(TABLE).store(u32::MAX, Ordering::Relaxed);
    assert_eq!((read(&record).culprit, read(&record).recent.len()), (None, 1));
}

#[test]
fn numbers_are_used_again_when_nobody_holds_them() {
    let mut entries = Entries { taken: BTreeMap::new(), free: VecDeque::new(), highest: 0 };
    let build =
        |number: usize| FunctionBuild { name: format!("f@1.0.{number}"), digest: Digest::new([0; 32]) };
    for index in 0..MAX_FUNCTIONS {
        assert_eq!(entries.take(&build(index)), Some((u32::try_from(index + 1).unwrap(), true)));
    }
    assert_eq!(entries.take(&build(MAX_FUNCTIONS)), None, "it is full");
    assert_eq!(entries.take(&build(6)), Some((7, false)));
    entries.release(&build(6));
    assert_eq!(entries.take(&build(MAX_FUNCTIONS)), None, "one is held twice");
    for index in [8, 6] {
        entries.release(&build(index));
    }
    assert_eq!(entries.take(&build(MAX_FUNCTIONS)), Some((9, true)), "the longest free first");
    assert_eq!(entries.take(&build(6)), Some((7, true)));
}

#[test]
fn a_number_that_is_used_again_was_nobodys_last() {
    let (record, _fd) = Shared::create("test", RECORD_BYTES).unwrap();
    record.word(SLOTS).store(3 | 7 << LAST, Ordering::Relaxed);
    record.word(SLOTS + 1).store(8 << LAST, Ordering::Relaxed);
    forget_last(&record, 7);
    assert_eq!(record.word(SLOTS).load(Ordering::Relaxed), 3);
    assert_eq!(record.word(SLOTS + 1).load(Ordering::Relaxed), 8 << LAST);
}
