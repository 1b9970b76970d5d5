use fezz_sdk::{FezzHttpRequest, fezz_function};

fn start() -> u64 {
    7
}

#[fezz_function(init = start)]
fn hello(_: FezzHttpRequest) -> String {
    String::new()
}

fn main() {}
