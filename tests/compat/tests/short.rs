//! The short version of the suite: each request as it is written.

use fezz_compat::{Options, run};

#[test]
fn applications_answer_as_on_their_own_listener() {
    let equal =
        run(&Options { full: false, apps: Vec::new(), show: 20, itself: false }).expect("the servers start");
    assert!(equal, "there are differences that known.json does not list: see above");
}
