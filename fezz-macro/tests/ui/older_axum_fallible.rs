use axum_06::Router;
use fezz_sdk::fezz_function;

#[fezz_function]
async fn app() -> Result<Router, Box<dyn std::error::Error>> {
    Ok(Router::new())
}

fn main() {}
