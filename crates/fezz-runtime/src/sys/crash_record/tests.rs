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
    record.word(SLOTS + 5).store(2, Ordering::Relaxed);
    record.word(SLOTS + MAX_SLOTS - 1).store(1, Ordering::Relaxed);
    record.word(CRASHED).store(6, Ordering::Relaxed);
    let (first, second) = (
        FunctionBuild { name: "first@1.0.0".into(), digest: Digest::new([1; 32]) },
        FunctionBuild { name: long, digest: Digest::new([2; 32]) },
    );
    let found = read(&record);
    assert_eq!(found, Crash { culprit: Some(second.clone()), outside: false, running: vec![first, second] });
    record.word(CRASHED).store(OUTSIDE, Ordering::Relaxed);
    assert_eq!((read(&record).culprit, read(&record).outside), (None, true));
    // A faulty process may have overwritten the record.
    record.word(SLOTS).store(4_000_000_000, Ordering::Relaxed);
    record.word(CRASHED).store(1, Ordering::Relaxed);
    record.word(TABLE).store(u32::MAX, Ordering::Relaxed);
    assert_eq!((read(&record).culprit, read(&record).running.len()), (None, 1));
}
