//! The same requests over HTTP/2 without TLS, with hyper's client.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use fezz_compat_apps::script::Request;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::answer::{Answer, End, Seen};
use crate::server::Place;

const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a request on a connection of its own. None if no client could send it.
pub(crate) async fn send(place: &Place, request: &Request) -> Option<Seen> {
    let (stream, port) = match TcpStream::connect(place.address).await {
        Ok(stream) => {
            let port = stream.local_addr().map_or(0, |address| address.port());
            (stream, port)
        }
        Err(error) => return Some(event(format!("no connection: {:?}", error.kind()))),
    };
    let message = message(place, request, port)?;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = match handshake {
        Ok(parts) => parts,
        Err(error) => return Some(event(format!("no handshake: {error}"))),
    };
    let connection = tokio::spawn(connection);
    let seen = match timeout(PATIENCE, sender.send_request(message)).await {
        Err(_) => event("no answer in time".into()),
        Ok(Err(_)) => event("closed without an answer".into()),
        Ok(Ok(response)) => {
            let mut answer = read(response, request.leave_after).await;
            answer.normalize(request);
            Seen { answers: vec![answer], events: Vec::new() }
        }
    };
    drop(sender);
    connection.abort();
    Some(seen)
}

fn event(text: String) -> Seen {
    Seen { answers: Vec::new(), events: vec![text] }
}

type Body = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

fn message(
    place: &Place,
    request: &Request,
    port: u16,
) -> Option<http::Request<http_body_util::Either<Body, http_body_util::Full<Bytes>>>> {
    use http_body_util::{Either, Full};
    let uri = format!("http://{}{}", place.host, request.target);
    let mut builder = http::Request::builder().method(request.method).uri(uri);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value.replace("{port}", &port.to_string()));
    }
    let chunks = request.body.as_deref().unwrap_or_default();
    let body = if request.chunked {
        let data = chunks.iter().map(|chunk| Frame::data(Bytes::from(chunk.clone())));
        let mut frames: Vec<_> = data.map(Ok).collect();
        if !request.trailers.is_empty() {
            let pairs = request.trailers.iter();
            let trailers: HeaderMap = pairs
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            frames.push(Ok(Frame::trailers(trailers)));
        }
        Either::Left(StreamBody::new(stream::iter(frames)))
    } else {
        Either::Right(Full::from(chunks.concat()))
    };
    builder.body(body).ok()
}

async fn read(response: http::Response<hyper::body::Incoming>, leave_after: Option<usize>) -> Answer {
    let (head, mut body) = response.into_parts();
    let mut answer = Answer {
        version: format!("{:?}", head.version),
        status: head.status.as_u16(),
        headers: pairs(&head.headers),
        body: Vec::new(),
        trailers: Vec::new(),
        end: End::Whole,
    };
    loop {
        match timeout(PATIENCE, body.frame()).await {
            Err(_) => answer.end = End::Open,
            Ok(None) => {}
            Ok(Some(Err(_))) => answer.end = End::Cut,
            Ok(Some(Ok(frame))) => {
                match frame.into_data() {
                    Ok(data) => answer.body.extend_from_slice(&data),
                    Err(frame) => answer.trailers = frame.trailers_ref().map(pairs).unwrap_or_default(),
                }
                match leave_after {
                    Some(limit) if answer.body.len() >= limit => {
                        answer.body.truncate(limit);
                        answer.end = End::Left;
                    }
                    _ => continue,
                }
            }
        }
        return answer;
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
