//! The calls of the gRPC service, with tonic's client.

use std::time::Duration;

use fezz_compat_apps::grpc::{Greeting, Hello};
use fezz_compat_apps::script::Call;
use http::Uri;
use http::uri::PathAndQuery;
use tokio_stream::{Stream, StreamExt};
use tonic::client::Grpc;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::answer::Seen;
use crate::server::Place;

/// How long a call may take that states no deadline.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the call and tells all that the client has seen.
pub(crate) async fn call(place: &Place, call: &Call) -> Seen {
    let mut seen = Seen::default();
    let told = match tokio::time::timeout(PATIENCE, tell(place, call, &mut seen.events)).await {
        Ok(told) => told,
        Err(_) => {
            seen.events.push("no end in time".into());
            Ok(())
        }
    };
    if let Err(status) = told {
        let details = status.details();
        seen.events.push(format!(
            "status {:?} {:?} {details:?} {}",
            status.code(),
            status.message(),
            metadata(status.metadata())
        ));
    }
    seen
}

async fn tell(place: &Place, call: &Call, events: &mut Vec<String>) -> Result<(), Status> {
    let failed = |error: &dyn std::error::Error| Status::unavailable(format!("no connection: {error}"));
    let origin = format!("http://{}", place.host).parse::<Uri>().map_err(|error| failed(&error))?;
    let endpoint =
        Endpoint::from_shared(format!("http://{}", place.address)).map_err(|error| failed(&error))?;
    let channel = endpoint.origin(origin).connect().await.map_err(|error| failed(&error))?;
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| failed(&error))?;
    let path = PathAndQuery::from_maybe_shared(format!("/compat.Greeter/{}", call.method))
        .map_err(|error| failed(&error))?;
    let messages: Vec<_> =
        call.names.iter().map(|name| Hello { name: name.clone(), count: call.count }).collect();
    let first = messages.first().cloned().unwrap_or_default();
    make(&mut client, call, path, first, messages, events).await
}

async fn make(
    client: &mut Grpc<Channel>,
    call: &Call,
    path: PathAndQuery,
    first: Hello,
    all: Vec<Hello>,
    events: &mut Vec<String>,
) -> Result<(), Status> {
    let codec = ProstCodec::<Hello, Greeting>::default();
    let all = tokio_stream::iter(all);
    match call.method {
        "ServerStream" => {
            let answered = client.server_streaming(prepared(call, first), path, codec).await?;
            events.push(metadata(answered.metadata()));
            messages(answered.into_inner(), events).await
        }
        "ClientStream" => {
            let answered = client.client_streaming(prepared(call, all), path, codec).await?;
            events.push(metadata(answered.metadata()));
            events.push(answered.into_inner().text);
            Ok(())
        }
        "Both" => {
            let answered = client.streaming(prepared(call, paced(all)), path, codec).await?;
            events.push(metadata(answered.metadata()));
            messages(answered.into_inner(), events).await
        }
        _ => {
            let answered = client.unary(prepared(call, first), path, codec).await?;
            events.push(metadata(answered.metadata()));
            events.push(answered.into_inner().text);
            Ok(())
        }
    }
}

/// One message after the other, so that answers come in between.
fn paced(messages: impl Stream<Item = Hello> + Send + 'static) -> impl Stream<Item = Hello> + Send + 'static {
    messages.then(|message| async {
        tokio::task::yield_now().await;
        message
    })
}

fn prepared<T>(call: &Call, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-echo", tonic::metadata::MetadataValue::from_static("echoed"));
    if let Some(timeout) = call.timeout {
        request.set_timeout(Duration::from_millis(timeout));
    }
    request
}

async fn messages(mut stream: Streaming<Greeting>, events: &mut Vec<String>) -> Result<(), Status> {
    while let Some(greeting) = stream.message().await? {
        events.push(greeting.text);
    }
    let trailers = stream.trailers().await?;
    events.push(format!("trailers {}", trailers.as_ref().map_or("none".into(), metadata)));
    Ok(())
}

/// Metadata but for the host's own and the date.
fn metadata(map: &MetadataMap) -> String {
    let own = ["date", "x-request-id", "x-fezz-function", "x-fezz-digest"];
    let pair = |pair: KeyAndValueRef<'_>| match pair {
        KeyAndValueRef::Ascii(name, value) => (name.as_str().to_owned(), format!("{value:?}")),
        KeyAndValueRef::Binary(name, value) => (name.as_str().to_owned(), format!("{value:?}")),
    };
    let mut pairs: Vec<_> = map.iter().map(pair).filter(|(name, _)| !own.contains(&name.as_str())).collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}
