//! A record as it is written, and as it is read.

use super::*;

#[test]
fn a_record_is_read_as_it_was_written() {
    let (record, _fd) = Shared::create("test", RECORD_BYTES).unwrap();
    assert_eq!(read(&record), Found::default());
    write_entry(&record, 0, "first@1.0.0", [1; 32]);
    let long = format!("{}@latest", "n".repeat(63));
    write_entry(&record, 1, &long, [2; 32]);
    record.word(FUNCTIONS).store(2, Ordering::Relaxed);
    record.word(PLACES + 5).store(2, Ordering::Relaxed);
    record.word(PLACES + MAX_PLACES - 1).store(1, Ordering::Relaxed);
    record.word(CRASHED).store(6, Ordering::Relaxed);
    let (first, second) =
        (Named { name: "first@1.0.0".into(), digest: [1; 32] }, Named { name: long, digest: [2; 32] });
    let found = read(&record);
    assert_eq!(
        found,
        Found { culprit: Some(second.clone()), elsewhere: false, running: vec![first, second] }
    );
    record.word(CRASHED).store(ELSEWHERE, Ordering::Relaxed);
    assert_eq!((read(&record).culprit, read(&record).elsewhere), (None, true));
    // A process that ran wild may have written anything.
    record.word(PLACES).store(4_000_000_000, Ordering::Relaxed);
    record.word(CRASHED).store(1, Ordering::Relaxed);
    record.word(TABLE).store(u32::MAX, Ordering::Relaxed);
    assert_eq!((read(&record).culprit, read(&record).running.len()), (None, 1));
}
