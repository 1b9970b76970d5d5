//! A gRPC service, as one writes it for tonic: the router that `axum::serve` would take is the function.
//!
//! gRPC is HTTP/2 with trailers. Its clients reach the function at `/rpc/greeter@1.0.0` if they take an origin with a path,
//! as tonic's do (`GreeterClient::with_origin`); others need a mount on a host name.

mod greeter;

use std::error::Error;

use axum::Router;
use fezz_sdk::fezz_function;
use tonic::service::Routes;
use tonic_reflection::server::Builder;

use greeter::Greeter;
use proto::greeter_server::GreeterServer;

/// What `build.rs` makes of `proto/`.
#[allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    clippy::use_self,
    reason = "generated code"
)]
pub mod proto {
    tonic::include_proto!("greeter.v1");

    /// The service's description, for the reflection service.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/greeter.bin"));
}

/// The greeter, and the services for health and reflection beside it.
#[fezz_function]
pub async fn app() -> Result<Router, Box<dyn Error>> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<GreeterServer<Greeter>>().await;
    let reflection =
        Builder::configure().register_encoded_file_descriptor_set(proto::DESCRIPTORS).build_v1()?;
    let routes = Routes::new(GreeterServer::new(Greeter)).add_service(health).add_service(reflection);
    Ok(routes.prepare().into_axum_router())
}
