use std::rc::Rc;

use fezz_sdk::{FezzHttpRequest, fezz_function};

#[fezz_function]
async fn not_send(_: FezzHttpRequest) -> String {
    let text = Rc::new(String::new());
    std::future::ready(()).await;
    text.to_string()
}

fn main() {}
