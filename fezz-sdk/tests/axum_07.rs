//! A router of axum 0.7, which has the same http and tower-service as 0.8, is served.

use std::collections::BTreeMap;

use axum_07::extract::{Json, Path, Query};
use axum_07::routing::{get, post};
use axum_07::{Extension, Router};
use fezz_sdk::Context;
use fezz_sdk::testing::TestRequest;
use serde_json::{Value, json};

fn app() -> Router {
    Router::new()
        .route(
            "/todos/:id",
            get(|Path(id): Path<u32>, Query(query): Query<BTreeMap<String, String>>| async move {
                format!("{id} {query:?}")
            }),
        )
        .route("/echo", post(|Json(value): Json<Value>| async move { Json(value) }))
        .route(
            "/id",
            get(|Extension(context): Extension<Context>| async move { context.request_id().to_owned() }),
        )
}

async fn fallible() -> Result<Router, Box<dyn std::error::Error>> {
    Ok(app())
}

#[test]
fn its_router_is_served() {
    TestRequest::get("/todos/7?a=b").call(app).assert_text("7 {\"a\": \"b\"}");
    TestRequest::post("/echo").json(&json!({ "a": 1 })).call(app).assert_text("{\"a\":1}");
    TestRequest::get("/id").request_id("r-7").call(fallible).assert_text("r-7");
    TestRequest::get("/nowhere").call(fallible).assert_status(404);
}
