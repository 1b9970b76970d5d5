use axum_06::Router;
use fezz_sdk::fezz_function;

#[fezz_function]
fn app() -> Router {
    Router::new()
}

fn main() {}
