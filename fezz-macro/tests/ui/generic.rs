use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

#[fezz_function]
fn generic<T>(_: FezzHttpRequest) -> FezzHttpResponse {
    FezzHttpResponse::ok()
}

fn main() {}
