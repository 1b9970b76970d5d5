//! The service on the real host, called by tonic's own client over HTTP/2 without TLS.

use std::time::Duration;

use fezz_sdk::testing::{RunningTestHost, TestHost};
use futures_util::{StreamExt, stream};
use grpc_greeter::proto::greeter_client::GreeterClient;
use grpc_greeter::proto::{CountdownRequest, HelloRequest, SumRequest, TalkRequest};
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// In the host's process, and in a worker.
fn hosts() -> [RunningTestHost; 2] {
    let start = |isolation| TestHost::new().manifest("isolation", isolation).start();
    [start("none"), start("process")]
}

async fn channel(host: &RunningTestHost) -> Channel {
    let endpoint = Endpoint::from_shared(host.url("")).expect("an address");
    endpoint.connect().await.expect("connected")
}

/// The function's own prefix is a part of the origin.
async fn client(host: &RunningTestHost) -> GreeterClient<Channel> {
    GreeterClient::with_origin(channel(host).await, host.url("").parse().expect("an address"))
}

#[tokio::test]
async fn one_request_has_one_answer() {
    for host in hosts() {
        let mut client = client(&host).await;
        let hello = |name: &str| HelloRequest { name: name.to_owned() };
        for name in ["you", "me"] {
            let answer = client.hello(hello(name)).await.expect("an answer");
            assert_eq!(answer.into_inner().text, format!("hello {name}"));
        }
        let refused = client.hello(hello("")).await.expect_err("nobody is greeted");
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "whom shall I greet?"));
    }
}

#[tokio::test]
async fn answers_are_streamed() {
    for host in hosts() {
        let mut client = client(&host).await;
        let answer = client.countdown(CountdownRequest { from: 3, pause_ms: 1 }).await.expect("an answer");
        let numbers: Vec<_> =
            answer.into_inner().map(|reply| reply.expect("a number").number).collect().await;
        assert_eq!(numbers, [3, 2, 1, 0]);
    }
}

#[tokio::test]
async fn requests_are_streamed() {
    for host in hosts() {
        let mut client = client(&host).await;
        let numbers =
            |numbers: Vec<i64>| stream::iter(numbers.into_iter().map(|number| SumRequest { number }));
        let answer = client.sum(numbers((1..=10_000).collect())).await.expect("an answer");
        assert_eq!(answer.into_inner().sum, 50_005_000);
        let refused = client.sum(numbers(vec![i64::MAX, 1])).await.expect_err("an overflow");
        assert_eq!(refused.code(), Code::OutOfRange);
    }
}

/// Each message is answered before the next one is sent.
#[tokio::test]
async fn both_sides_talk_at_once() {
    for host in hosts() {
        let mut client = client(&host).await;
        let (say, said) = mpsc::channel(1);
        let said = stream::unfold(said, |mut said| async { said.recv().await.map(|text| (text, said)) });
        let mut replies = client.talk(said).await.expect("an answer").into_inner();
        for text in ["one", "two", "three"] {
            say.send(TalkRequest { text: text.to_owned() }).await.expect("it listens");
            let reply = replies.message().await.expect("no error").expect("a reply");
            assert_eq!(reply.text, text.to_uppercase());
        }
        say.send(TalkRequest { text: "quit".to_owned() }).await.expect("it listens");
        let end = replies.message().await.expect_err("it ends");
        assert_eq!((end.code(), end.message()), (Code::Aborted, "as you like"));
    }
}

/// The function's work ends with it.
#[tokio::test]
async fn a_deadline_ends_the_call() {
    for host in hosts() {
        let mut client = client(&host).await;
        let mut request = Request::new(stream::pending::<SumRequest>());
        request.set_timeout(Duration::from_millis(200));
        let end = client.sum(request).await.expect_err("it has no end");
        assert!(matches!(end.code(), Code::Cancelled | Code::DeadlineExceeded), "{end:?}");
        host.running().until(|host| host.status("greeter@1.0.0")["in_flight"].clone(), |calls| calls == 0);
    }
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    for host in hosts() {
        let origin = host.url("/nothing").parse().expect("an address");
        let mut client = GreeterClient::with_origin(channel(&host).await, origin);
        let refused = client.hello(HelloRequest::default()).await.expect_err("there is nothing");
        assert_eq!(refused.code(), Code::Unimplemented, "{refused:?}");
    }
}

#[tokio::test]
async fn health_and_reflection_answer() {
    for host in hosts() {
        let origin = || host.url("").parse().expect("an address");
        let mut health = HealthClient::with_origin(channel(&host).await, origin());
        let check = HealthCheckRequest { service: "greeter.v1.Greeter".to_owned() };
        let answer = health.check(check).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
        let unknown = health.check(HealthCheckRequest { service: "other".to_owned() }).await;
        assert_eq!(unknown.expect_err("there is none").code(), Code::NotFound);

        let mut reflection = ServerReflectionClient::with_origin(channel(&host).await, origin());
        let list = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..ServerReflectionRequest::default()
        };
        let mut answers =
            reflection.server_reflection_info(stream::iter([list])).await.expect("an answer").into_inner();
        let answer = answers.message().await.expect("no error").expect("a list");
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("{answer:?}");
        };
        assert!(list.service.iter().any(|service| service.name == "greeter.v1.Greeter"), "{list:?}");
    }
}
