//! Extractors: their values, and the problem document of each rejection.

use std::collections::HashMap;
use std::time::Duration;

use fezz_sdk::http::{HeaderMap, Method, StatusCode};
use fezz_sdk::testing::{CallError, TestRequest};
use fezz_sdk::{BodyStream, Bytes, Context, FezzError, FezzHttpRequest, Json, Path, Query};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Newest,
    Oldest,
}

#[derive(Debug, Deserialize)]
struct Filter {
    #[serde(default)]
    tag: Vec<String>,
    limit: Option<u8>,
    order: Order,
}

#[derive(Debug, Deserialize, Serialize)]
struct Todo {
    title: String,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Step {
    minutes: u32,
}

#[test]
fn a_path_is_a_value_a_tuple_a_struct_or_a_map() {
    fn one(Path(id): Path<u64>) -> String {
        id.to_string()
    }
    fn two(Path((shelf, book)): Path<(String, i8)>) -> String {
        format!("{shelf}/{book}")
    }
    #[derive(Deserialize)]
    struct Place {
        shelf: String,
        book: i8,
    }
    fn named(Path(place): Path<Place>) -> String {
        format!("{}/{}", place.shelf, place.book)
    }
    fn map(Path(place): Path<HashMap<String, String>>) -> String {
        format!("{}/{}", place["shelf"], place["book"])
    }
    TestRequest::get("/todos/7").route("/todos/{id}").call(one).assert_text("7");
    let request = || TestRequest::get("/a%20b/-7").route("/{shelf}/{book}");
    request().call(two).assert_text("a b/-7");
    request().call(named).assert_text("a b/-7");
    request().call(map).assert_text("a b/-7");

    let refused = TestRequest::get("/todos/seven").route("/todos/{id}").call(one);
    assert_eq!(refused.assert_problem(400).json()["errors"][0]["field"], "id");
    assert!(refused.text().contains("`seven` is not a whole number"), "{refused:?}");
    let refused = TestRequest::get("/a/300").route("/{shelf}/{book}").call(two);
    assert_eq!(refused.assert_problem(400).json()["errors"][0]["field"], "book");
    let refused = TestRequest::get("/a/b").route("/{shelf}/{book}").call(named);
    assert_eq!(refused.assert_problem(400).json()["errors"][0]["field"], "book");
}

#[test]
fn a_query_has_options_lists_and_variants() {
    fn list(Query(filter): Query<Filter>) -> String {
        format!("{:?}", (filter.tag, filter.limit, filter.order))
    }
    let call = |query: &str| TestRequest::get(&format!("/todos?{query}")).call(list);
    call("tag=a+b&order=newest&tag=c&limit=9&unknown=1").assert_text(r#"(["a b", "c"], Some(9), Newest)"#);
    call("order=oldest").assert_text("([], None, Oldest)");
    for (query, field) in [
        ("order=oldest&limit=256", "limit"),
        ("order=oldest&limit=1&limit=2", "limit"),
        ("order=sideways", "order"),
    ] {
        let refused = call(query);
        assert_eq!(refused.assert_problem(400).json()["errors"][0]["field"], field, "{query}: {refused:?}");
    }
    assert!(call("").assert_problem(400).text().contains("missing field `order`"));
}

#[test]
fn a_document_is_400_415_or_422_and_names_its_field() {
    fn create(Json(todo): Json<Todo>) -> (StatusCode, Json<Todo>) {
        (StatusCode::CREATED, Json(todo))
    }
    let todo = json!({ "title": "t", "steps": [{ "minutes": 1 }] });
    assert_eq!(TestRequest::post("/").json(&todo).call(create).assert_status(201).json(), todo);
    let kind = "application/vnd.todo+json; charset=utf-8";
    let answer = TestRequest::post("/").header("content-type", kind).body(todo.to_string()).call(create);
    answer.assert_status(201);

    TestRequest::post("/").body("{}").call(create).assert_problem(415);
    TestRequest::post("/").header("content-type", "text/json").body("{}").call(create).assert_problem(415);
    let json = |body: String| {
        TestRequest::post("/").header("content-type", "application/json").body(body).call(create)
    };
    json("{".to_owned()).assert_problem(400);
    json(String::new()).assert_problem(400);
    json(format!("{todo} x")).assert_problem(400);
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let refused = json(format!(r#"{{"title":{deep}}}"#));
    assert!(matches!(refused.status.as_u16(), 400 | 422), "{refused:?}");
    let anything = |Json(value): Json<serde_json::Value>| value.to_string();
    let refused = TestRequest::post("/").header("content-type", "application/json").body(deep).call(anything);
    assert!(refused.assert_problem(400).text().contains("recursion limit"), "{refused:?}");

    let refused = json(r#"{"title":"t","steps":[{"minutes":1},{"minutes":-1}]}"#.to_owned());
    assert_eq!(refused.assert_problem(422).json()["errors"][0]["field"], "steps[1].minutes");
}

#[test]
fn bodies_are_bytes_text_or_streams() {
    let body = || TestRequest::post("/").body(&b"\xffbody"[..]);
    assert_eq!(body().call(|body: Bytes| body).body, b"\xffbody");
    assert_eq!(body().call(|body: Vec<u8>| body).body, b"\xffbody");
    assert!(body().call(|body: String| body).assert_problem(400).text().contains("not UTF-8"));
    TestRequest::post("/").body("text").call(|body: String| body).assert_text("text");

    // A buffered body is a stream of one chunk. A stream can be taken once.
    fn read(mut body: BodyStream) -> Result<String, FezzError> {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut body, &mut text)?;
        Ok(text)
    }
    TestRequest::post("/").body("whole").call(read).assert_text("whole");
    TestRequest::post("/").body_stream(["a", "b", "c"]).call(read).assert_text("abc");
    async fn count(mut body: BodyStream) -> Result<String, FezzError> {
        let mut chunks = 0;
        while let Some(chunk) = body.next().await {
            chunk?;
            chunks += 1;
        }
        Ok(chunks.to_string())
    }
    TestRequest::post("/").body_stream(["a", "b", "c"]).call(count).assert_text("3");
    let twice = |_: BodyStream, _: BodyStream| "both";
    TestRequest::post("/").body_stream(["a"]).call(twice).assert_problem(500);
    TestRequest::post("/").body_stream(["a"]).call(|_: Bytes| "whole").assert_problem(500);
}

#[test]
fn arguments_may_be_in_any_order() {
    #[expect(clippy::too_many_arguments, reason = "the maximum")]
    async fn all(
        request: FezzHttpRequest,
        method: Method,
        body: String,
        Path(id): Path<u64>,
        headers: HeaderMap,
        Query(query): Query<HashMap<String, String>>,
        context: Context,
        refused: Result<Json<u8>, FezzError>,
    ) -> String {
        let refused = refused.map_err(|error| error.status().as_u16());
        format!(
            "{} {method} {body} {id} {:?} {query:?} {} {refused:?}",
            request.path(),
            headers["x-a"],
            context.request_id()
        )
    }
    let answer = TestRequest::put("/todos/7?b=c")
        .route("/todos/{id}")
        .header("X-A", "1")
        .body("text")
        .request_id("r-1")
        .call(all);
    answer.assert_text(r#"/todos/7 PUT text 7 "1" {"b": "c"} r-1 Err(415)"#);
}

#[test]
fn a_context_has_everything_besides_http() {
    #[expect(clippy::needless_pass_by_value, reason = "arguments are the function's own")]
    fn about(context: Context) -> String {
        let left = context.time_left().expect("a deadline");
        assert!(left <= Duration::from_secs(5) && context.deadline().is_some());
        assert_eq!(fezz_sdk::variable("KEY"), context.variable("KEY"));
        format!(
            "{}@{} {:?} {} {:?} {:?} {} {:?}",
            context.function_id(),
            context.function_version(),
            context.traceparent(),
            context.is_cancelled(),
            context.variable("KEY"),
            context.data_dir(),
            context.client_addr().expect("an address"),
            context.variables().collect::<Vec<_>>()
        )
    }
    let answer = TestRequest::get("/")
        .function("todos", "1.2.3")
        .traceparent("00-ab-cd-01")
        .timeout(Duration::from_secs(5))
        .cancelled()
        .variable("KEY", "value")
        .data_dir("/data")
        .client_addr("127.0.0.1:9".parse().expect("an address"))
        .call(about);
    answer.assert_text(
        r#"todos@1.2.3 Some("00-ab-cd-01") true Some("value") Some("/data") 127.0.0.1:9 [("KEY", "value")]"#,
    );
}

#[test]
fn a_call_is_cancelled_at_its_deadline() {
    async fn slow() -> &'static str {
        tokio_sleep(Duration::from_secs(60)).await;
        "done"
    }
    let timeout = Duration::from_millis(20);
    assert!(matches!(TestRequest::get("/").timeout(timeout).try_call(slow), Err(CallError::Deadline)));
    async fn quick() -> &'static str {
        tokio_sleep(Duration::from_millis(1)).await;
        "done"
    }
    TestRequest::get("/").call(quick).assert_text("done");
}

/// A timer of the call's runtime.
async fn tokio_sleep(time: Duration) {
    fezz_sdk::runtime().spawn(async move { tokio::time::sleep(time).await }).await.expect("it sleeps");
}
