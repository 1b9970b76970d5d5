use fezz_sdk::{FezzHttpRequest, fezz_function};

#[fezz_function]
fn wrong_answer(_: FezzHttpRequest) -> u64 {
    7
}

fn main() {}
