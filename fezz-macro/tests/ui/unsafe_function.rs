use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

#[fezz_function]
unsafe fn dangerous(_: FezzHttpRequest) -> FezzHttpResponse {
    FezzHttpResponse::ok()
}

fn main() {}
