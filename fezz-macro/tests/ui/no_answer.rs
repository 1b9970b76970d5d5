use fezz_sdk::{FezzHttpRequest, fezz_function};

#[fezz_function]
fn no_answer(_: FezzHttpRequest) {}

fn main() {}
