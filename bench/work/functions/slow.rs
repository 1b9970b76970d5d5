//! Blocks its thread for 20 ms, as a call to another system would.

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// The answer of `hello`, after 20 ms.
#[fezz_function]
pub fn slow(_req: FezzHttpRequest) -> FezzHttpResponse {
    std::thread::sleep(fezz_bench_work::SLOW);
    FezzHttpResponse::ok().header("content-type", "application/json").bytes(fezz_bench_work::HELLO.as_bytes())
}
