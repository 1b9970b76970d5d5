use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

#[fezz_function]
fn first(_: FezzHttpRequest) -> FezzHttpResponse {
    FezzHttpResponse::ok()
}

#[fezz_function]
fn second(_: FezzHttpRequest) -> FezzHttpResponse {
    FezzHttpResponse::ok()
}

fn main() {}
