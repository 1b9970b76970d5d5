use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

#[fezz_function(threads = 0)]
async fn threaded(_: FezzHttpRequest) -> FezzHttpResponse {
    FezzHttpResponse::ok()
}

fn main() {}
