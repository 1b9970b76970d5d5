use fezz_sdk::fezz_function;

#[fezz_function]
struct NotAFunction;

fn main() {}
