//! The application on axum's own listener, which prints its address.

use axum::Router;

/// The host's allocator, so that allocators are not what is compared.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    fezz_bench_axum::serve(|| Router::new().nest("/rpc/sockets@latest", fezz_bench_sockets::app()))
}
