//! Streamed bodies in both directions, and their failures.

use std::future::ready;
use std::io;
use std::time::Duration;

use fezz_sdk::{
    Body, BodyStream, Bytes, Event, FezzError, FezzHttpRequest, FezzHttpResponse, IntoFezzResponse, Sse,
};
use futures_util::{StreamExt, stream};

use crate::{Alive, number};

/// The size of a chunk.
const CHUNK: usize = 64 * 1024;

pub(crate) async fn answer(
    req: &FezzHttpRequest,
    mut body: BodyStream,
) -> Result<FezzHttpResponse, FezzError> {
    let ok = FezzHttpResponse::ok();
    Ok(match req.matched_route() {
        "/stream/{pieces}" => ok.with_body(chunks(number(req))),
        "/stream-slow" => ok.with_body(slow()),
        "/stream-error" => ok.with_body(breaks(|| Err(io::Error::other("the disk is on fire")))),
        "/stream-panic" => ok.with_body(breaks(|| panic!("in a stream"))),
        "/stream-forever" => ok.with_body(forever()),
        "/sse" => events().into_fezz_response(),
        "/upload" => {
            let mut count = 0;
            while let Some(chunk) = body.next().await {
                count += chunk?.len();
            }
            ok.text(count.to_string())
        }
        "/upload-late/{ms}" => {
            tokio::time::sleep(Duration::from_millis(number(req))).await;
            ok.text(body.count().await.to_string())
        }
        "/upload-unread" => ok.text("unread"),
        "/echo" => ok.with_body(Body::from_stream(body)),
        _ => return Err(FezzError::not_found("no such path")),
    })
}

fn chunks(count: u64) -> Body {
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, io::Error>(chunk.clone()))))
}

fn slow() -> Body {
    Body::from_stream(stream::iter(0..3).then(|number| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, io::Error>(format!("{number}\n"))
    }))
}

fn breaks(how: fn() -> io::Result<Bytes>) -> Body {
    let first = stream::once(ready(Ok(Bytes::from_static(b"the beginning"))));
    Body::from_stream(first.chain(stream::once(async move { how() })))
}

/// Never ends.
fn forever() -> Body {
    let alive = Alive::new();
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    Body::from_stream(stream::repeat_with(move || {
        let _alive = &alive;
        Ok::<_, io::Error>(chunk.clone())
    }))
}

fn events() -> Sse {
    Sse::new(stream::iter(["one", "two\nlines"].map(|text| Ok::<_, io::Error>(Event::data(text)))))
}
