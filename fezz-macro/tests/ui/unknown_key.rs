use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

#[fezz_function(route = "/todos")]
fn routed(_: FezzHttpRequest) -> FezzHttpResponse {
    FezzHttpResponse::ok()
}

fn main() {}
