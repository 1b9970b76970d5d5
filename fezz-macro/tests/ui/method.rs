use fezz_sdk::{FezzHttpResponse, fezz_function};

struct Server;

impl Server {
    #[fezz_function]
    fn method(&self) -> FezzHttpResponse {
        FezzHttpResponse::ok()
    }
}

fn main() {}
