//! The suite's applications as functions: the variable `APP` in `fezz.json` names one; without it, the host name of each
//! request says which.
//!
//! One function with all of them is deployed in the time of one. None of the applications sees the difference.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::http::header::HOST;
use axum::response::{IntoResponse, Response};
use fezz_compat_apps::{APPS, Setup};
use fezz_sdk::{Body, FezzError, fezz_function};
use tower_service::Service;

/// What an author hands to `axum::serve`.
type Application = IntoMakeServiceWithConnectInfo<Router, SocketAddr>;

/// Applications by their names. It is a make-service, as each of them is.
#[derive(Clone)]
pub struct Apps(Arc<BTreeMap<&'static str, Application>>);

/// The applications for one client.
pub struct Client {
    apps: Apps,
    address: SocketAddr,
}

/// The application that `APP` names, or all of them.
#[fezz_function]
pub fn app() -> Result<Apps, FezzError> {
    let only = fezz_sdk::variable("APP");
    let folder = fezz_sdk::data_dir().ok_or_else(|| FezzError::internal("there is no data folder"))?;
    let wanted = APPS.iter().filter(|app| only.is_none_or(|name| name == app.name));
    let make = |app: &fezz_compat_apps::App| {
        let router = (app.router)(&Setup { folder: folder.join(app.name) });
        (app.name, router.into_make_service_with_connect_info())
    };
    Ok(Apps(Arc::new(wanted.map(make).collect())))
}

impl Service<SocketAddr> for Apps {
    type Response = Client;
    type Error = Infallible;
    type Future = Ready<Result<Client, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: SocketAddr) -> Self::Future {
        ready(Ok(Client { apps: self.clone(), address }))
    }
}

impl Client {
    /// The only application, or the one of the request's host name, such as `path.compat.example`.
    fn application(&self, request: &http::Request<Body>) -> Option<Application> {
        let apps = &self.apps.0;
        if apps.len() == 1 {
            return apps.values().next().cloned();
        }
        let header = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = request.uri().host().or_else(header)?;
        apps.get(host.split('.').next()?).cloned()
    }
}

impl Service<http::Request<Body>> for Client {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (application, address) = (self.application(&request), self.address);
        Box::pin(async move {
            let Some(mut application) = application else {
                return Ok("there is no such application".into_response());
            };
            let mut service = application.call(address).await?;
            service.call(request).await.map(IntoResponse::into_response)
        })
    }
}
