//! Results of functions: their responses, and which part of an error the client sees.

use std::borrow::Cow;
use std::io::{self, Read as _};

use fezz_sdk::http::{HeaderMap, HeaderValue, Response, StatusCode};
use fezz_sdk::testing::{CallError, TestRequest, TestResponse};
use fezz_sdk::{Body, Bytes, Event, FezzError, FezzHttpResponse, IntoFezzResponse, Json, Sse};
use futures_util::stream;

/// The response of a function with this result.
fn answer<R: IntoFezzResponse + 'static>(value: impl Fn() -> R + Send + Sync + 'static) -> TestResponse {
    TestRequest::get("/").call(move |_: Bytes| value())
}

#[test]
fn values_become_responses() {
    let text = answer(|| "text");
    assert_eq!(
        text.assert_status(200).assert_text("text").header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    answer(|| "owned".to_owned()).assert_text("owned");
    answer(|| Cow::Borrowed("either")).assert_text("either");
    let bytes = answer(|| vec![0_u8, 255]);
    assert_eq!(
        (bytes.body.as_slice(), bytes.header("content-type")),
        (&[0, 255][..], Some("application/octet-stream"))
    );
    answer(|| Bytes::from_static(b"bytes")).assert_text("bytes");
    let json = answer(|| Json([1, 2]));
    assert_eq!(json.assert_text("[1,2]").header("content-type"), Some("application/json"));
    answer(|| StatusCode::IM_A_TEAPOT).assert_status(418).assert_text("");
    answer(|| ()).assert_status(200).assert_text("");
    answer(|| FezzHttpResponse::ok().text("built")).assert_text("built");
    let response = || Response::builder().status(202).header("x-a", "b").body("http").expect("valid");
    assert_eq!(answer(response).assert_status(202).assert_text("http").header("x-a"), Some("b"));
}

#[test]
fn tuples_change_status_and_headers() {
    let created = answer(|| (StatusCode::CREATED, "made"));
    created.assert_status(201).assert_text("made");
    let headers = || HeaderMap::from_iter([("x-a".parse().expect("a name"), HeaderValue::from_static("1"))]);
    let all =
        answer(move || (StatusCode::ACCEPTED, headers(), [("x-b", "2"), ("content-type", "text/x")], "all"));
    assert_eq!(all.assert_status(202).assert_text("all").header("x-a"), Some("1"));
    assert_eq!((all.header("x-b"), all.header("content-type")), (Some("2"), Some("text/x")));
    let split = TestRequest::get("/").try_call(|_: Bytes| ([("x-a", "1\r\nx-b: 2")], "text"));
    assert!(matches!(split, Err(CallError::Failed(_))), "{split:?}");
}

#[test]
fn options_and_results_become_responses() {
    answer(|| Some("there")).assert_status(200).assert_text("there");
    answer(|| None::<&str>).assert_problem(404);
    answer(|| Ok::<_, FezzError>("fine")).assert_text("fine");
    answer(|| Err::<&str, _>((StatusCode::CONFLICT, "no"))).assert_status(409).assert_text("no");
}

#[derive(Debug, thiserror::Error)]
#[error("the database said no")]
struct Database(#[source] io::Error);

#[test]
fn an_error_is_a_problem_document_without_its_causes() {
    fn read() -> Result<String, FezzError> {
        Err(Database(io::Error::other("password hunter2 is wrong")))?
    }
    let error = read().expect_err("it fails");
    assert_eq!(error.to_string(), "the database said no: password hunter2 is wrong");
    let problem = answer(read);
    assert!(!problem.assert_problem(500).text().contains("database"), "{problem:?}");
    assert_eq!(problem.json()["request_id"], "test-request");

    let conflict = answer(|| {
        Err::<&str, _>(
            FezzError::new(StatusCode::CONFLICT, "it is taken")
                .field("name", "must be new")
                .caused_by(io::Error::other("inner")),
        )
    });
    let json = conflict.assert_problem(409).json();
    assert_eq!((&json["detail"], &json["errors"][0]["field"]), (&"it is taken".into(), &"name".into()));
    assert!(!conflict.text().contains("inner"));
}

#[test]
fn bodies_are_streamed() {
    answer(|| Body::from_chunks(["a", "b"])).assert_text("ab");
    answer(|| Body::from_reader(io::repeat(b'x').take(200_000))).assert_status(200);
    answer(|| Body::from_stream(stream::iter(["a", "b"].map(Ok::<_, io::Error>)))).assert_text("ab");
    let events = answer(|| {
        Sse::from_events([Event::data("a"), Event::build(Some("e"), Some("7"), "b\nc"), Event::keep_alive()])
    });
    events.assert_text("data: a\n\nevent: e\nid: 7\ndata: b\ndata: c\n\n:\n\n");
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let broken = TestRequest::get("/")
        .try_call(|_: Bytes| Body::from_fallible_chunks([Ok("a"), Err(Database(io::Error::other("cause")))]));
    assert!(
        matches!(&broken, Err(CallError::BrokeOff(reason)) if reason == "the database said no: cause"),
        "{broken:?}"
    );
}

#[test]
fn panics_are_errors_of_a_test_call() {
    let panicked = TestRequest::get("/").try_call(|_: Bytes| -> &'static str { panic!("on purpose") });
    assert!(matches!(&panicked, Err(CallError::Panicked(message)) if message.starts_with("on purpose (at ")));
    async fn later() -> &'static str {
        std::future::ready(()).await;
        panic!("later")
    }
    assert!(matches!(TestRequest::get("/").try_call(later), Err(CallError::Panicked(_))));
}
