//! [`TestRequest`]: in-process calls of a function.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fezz_testkit::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::Host;
use crate::entry::current;
use crate::entry::mock::{self, CallError, Parts};
use crate::handler::Function;

/// A request to a function, which is called through the C ABI as the host does, but in this process.
///
/// ```
/// use fezz_sdk::testing::TestRequest;
/// use fezz_sdk::{Json, Path, Query, fezz_function};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// pub struct Greeting {
///     #[serde(default)]
///     loud: bool,
/// }
///
/// #[fezz_function]
/// pub fn greet(Path(name): Path<String>, Query(greeting): Query<Greeting>) -> String {
///     let word = fezz_sdk::variable("WORD").unwrap_or("hello");
///     format!("{word} {name}{}", if greeting.loud { "!" } else { "" })
/// }
///
/// let answer = TestRequest::get("/greet/you?loud=true")
///     .route("/greet/{name}")
///     .variable("WORD", "good day")
///     .call(greet);
/// answer.assert_status(200).assert_text("good day you!");
/// ```
///
/// The variables of such a call are visible to the call itself, and not to threads and tasks that the function starts.
#[derive(Debug)]
pub struct TestRequest {
    parts: Parts,
    function: (String, String),
    variables: Vec<(String, String)>,
    data_dir: PathBuf,
    assets: Option<PathBuf>,
}

impl TestRequest {
    /// A request with any method for `target`, the path and query below the function's own prefix.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parts = Parts {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            route: path.to_owned(),
            request_id: "test-request".to_owned(),
            client_addr: "127.0.0.1:50000".to_owned(),
            timeout: Some(Duration::from_secs(30)),
            ..Parts::default()
        };
        let function = ("test".to_owned(), "0.0.0".to_owned());
        Self { parts, function, variables: Vec::new(), data_dir: std::env::temp_dir(), assets: None }
    }

    /// `GET target`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST target`.
    #[must_use]
    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// `PUT target`.
    #[must_use]
    pub fn put(target: &str) -> Self {
        Self::new("PUT", target)
    }

    /// `PATCH target`.
    #[must_use]
    pub fn patch(target: &str) -> Self {
        Self::new("PATCH", target)
    }

    /// `DELETE target`.
    #[must_use]
    pub fn delete(target: &str) -> Self {
        Self::new("DELETE", target)
    }

    /// Sets the route of `fezz.json`, and with it the path parameters: `/todos/{id}`.
    ///
    /// # Panics
    /// If the path does not match it.
    #[must_use]
    #[track_caller]
    pub fn route(mut self, pattern: &str) -> Self {
        let Some(params) = params(pattern, &self.parts.path) else {
            panic!("the path `{}` does not match the route `{pattern}`", self.parts.path);
        };
        self.parts.params = params;
        pattern.clone_into(&mut self.parts.route);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.parts.headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.parts.body = body.into();
        self
    }

    /// Sets the body as a stream of chunks, for a function with `stream` in its attribute.
    #[must_use]
    pub fn body_stream<T: Into<Bytes>>(mut self, chunks: impl IntoIterator<Item = T>) -> Self {
        self.parts.chunks = Some(chunks.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the body to a value as JSON, and the content type.
    ///
    /// # Panics
    /// If the value cannot be serialized.
    #[must_use]
    #[track_caller]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let body = serde_json::to_vec(value).expect("the value can be written as JSON");
        self.header("content-type", "application/json").body(body)
    }

    /// Sets a variable or a secret of the function.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the function's data directory. Default: the system's temporary directory.
    #[must_use]
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = folder.into();
        self
    }

    /// Sets the folder of the function's assets, as it is beside the library. Default: none.
    #[must_use]
    pub fn assets(mut self, folder: impl Into<PathBuf>) -> Self {
        self.assets = Some(folder.into());
        self
    }

    /// Sets the function's id and version.
    #[must_use]
    pub fn function(mut self, id: &str, version: &str) -> Self {
        self.function = (id.to_owned(), version.to_owned());
        self
    }

    /// Sets the deadline. Default: 30 s. Cancels an `async fn`; a plain `fn` only sees the deadline.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.parts.timeout = Some(timeout);
        self
    }

    /// Marks the request as cancelled.
    #[must_use]
    pub const fn cancelled(mut self) -> Self {
        self.parts.cancelled = true;
        self
    }

    /// Sets the request's id.
    #[must_use]
    pub fn request_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.parts.request_id);
        self
    }

    /// Sets the W3C trace parent.
    #[must_use]
    pub fn traceparent(mut self, traceparent: &str) -> Self {
        traceparent.clone_into(&mut self.parts.traceparent);
        self
    }

    /// Sets the client's address.
    #[must_use]
    pub fn client_addr(mut self, address: std::net::SocketAddr) -> Self {
        self.parts.client_addr = address.to_string();
        self
    }

    /// Calls a function, and collects its response.
    ///
    /// # Panics
    /// If there is none, see [`CallError`].
    #[track_caller]
    pub fn call<F: Function<M>, M>(self, function: F) -> Response {
        self.try_call(function).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`call`](Self::call).
    ///
    /// # Errors
    /// Why there is no response.
    pub fn try_call<F: Function<M>, M>(self, function: F) -> Result<Response, CallError> {
        let request_id = self.parts.request_id.clone();
        let host = leak(Host {
            table: 0,
            function_id: self.function.0,
            function_version: self.function.1,
            data_dir: self.data_dir,
            assets: self.assets,
            variables: self.variables,
            log: None,
        });
        let answer = current::with_host(host, || mock::call(function, self.parts))?;
        let mut headers = HeaderMap::new();
        for (name, value) in answer.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&name), HeaderValue::from_bytes(&value)) {
                headers.append(name, value);
            }
        }
        // As the host does.
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert("x-request-id", id);
        }
        let status = u16::try_from(answer.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.ok_or_else(|| CallError::Failed(format!("status {}", answer.status)))?;
        Ok(Response { status, headers, body: answer.body })
    }
}

/// Leaks the host, as the real one lives as long as the process: a function may keep references into it.
fn leak(host: Host) -> &'static Host {
    static HOSTS: Mutex<Vec<&'static Host>> = Mutex::new(Vec::new());

    let host: &'static Host = Box::leak(Box::new(host));
    // Still reachable, so that leak detectors do not report it.
    HOSTS.lock().unwrap_or_else(PoisonError::into_inner).push(host);
    host
}

/// The parameters of a path, as the host extracts them; none if it does not match.
fn params(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = path;
    for segment in pattern.split('/').skip(1) {
        rest = rest.strip_prefix('/')?;
        let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        if let Some(name) = name.and_then(|name| name.strip_prefix('*')) {
            found.push((name.to_owned(), decoded(rest)?));
            return Some(found);
        }
        let end = rest.find('/').unwrap_or(rest.len());
        let value = &rest[..end];
        match name {
            Some(name) => found.push((name.to_owned(), decoded(value)?)),
            None if value != segment => return None,
            None => {}
        }
        rest = &rest[end..];
    }
    rest.is_empty().then_some(found)
}

/// Percent-decoded; none if that is not UTF-8. In a path, `+` is not a space.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = (byte == b'%').then(|| tail.get(..2)).flatten();
        let code = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}
