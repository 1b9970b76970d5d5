//! [`Sse`]: server-sent events (WHATWG HTML, section 9.2).

use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde::Serialize;

use crate::body::BoxError;
use crate::{Body, FezzHttpResponse, IntoFezzResponse};

/// Turns off response buffering in nginx and compatible proxies.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An event stream; each event is sent as soon as it is produced. Dropped when the client disconnects.
///
/// ```
/// use fezz_sdk::{Event, Sse, fezz_function};
/// use futures_util::stream;
///
/// #[fezz_function]
/// pub async fn ticks() -> Sse {
///     Sse::new(stream::iter((0..3).map(|number| Ok::<_, std::io::Error>(Event::data(number.to_string())))))
/// }
/// ```
#[derive(Debug)]
pub struct Sse(Body);

impl Sse {
    /// Events of a stream, which must not block. An error closes the connection, and the client reconnects.
    pub fn new<S, E>(events: S) -> Self
    where
        S: Stream<Item = Result<Event, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(Body::from_stream(Encoded { events: Box::pin(events) }))
    }

    /// Events of an iterator, which may block.
    pub fn from_events<I>(events: I) -> Self
    where
        I: IntoIterator<Item = Event, IntoIter: Send + 'static>,
    {
        Self(Body::from_chunks(events.into_iter().map(|event| event.0)))
    }
}

impl IntoFezzResponse for Sse {
    fn into_fezz_response(self) -> FezzHttpResponse {
        let mut response = FezzHttpResponse::ok().with_body(self.0);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
        response
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(Bytes);

impl Event {
    /// An event with this text, which may have several lines.
    #[must_use]
    pub fn data(text: impl AsRef<str>) -> Self {
        Self::build(None, None, text.as_ref())
    }

    /// An event with a value as JSON.
    ///
    /// # Errors
    /// If the value cannot be serialized.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::data(serde_json::to_string(value)?))
    }

    /// An event with a name, and an id that the client sends when it reconnects (`Last-Event-ID`). Both are cut at the
    /// first line break.
    #[must_use]
    pub fn build(name: Option<&str>, id: Option<&str>, text: &str) -> Self {
        let mut event = String::with_capacity(text.len() + 16);
        for (field, value) in [("event", name), ("id", id)] {
            if let Some(value) = value.and_then(|value| value.split(['\r', '\n', '\0']).next()) {
                let _ = writeln!(event, "{field}: {value}");
            }
        }
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        for line in text.split('\n') {
            let _ = writeln!(event, "data: {line}");
        }
        event.push('\n');
        Self(event.into())
    }

    /// A comment, which clients ignore: it keeps proxies from closing an idle connection.
    #[must_use]
    pub const fn keep_alive() -> Self {
        Self(Bytes::from_static(b":\n\n"))
    }
}

struct Encoded<S> {
    events: Pin<Box<S>>,
}

impl<S: Stream<Item = Result<Event, E>>, E> Stream for Encoded<S> {
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(self.events.as_mut().poll_next(cx));
        Poll::Ready(event.map(|event| event.map(|event| event.0)))
    }
}
