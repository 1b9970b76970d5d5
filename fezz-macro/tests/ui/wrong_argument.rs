use fezz_sdk::fezz_function;

#[fezz_function]
fn wrong_argument(number: u64) -> String {
    number.to_string()
}

fn main() {}
