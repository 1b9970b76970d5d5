//! What holds in the host's own process alone.

use serde_json::json;

use crate::async_host;

/// A worker's thread is its own: there, a poll that blocks holds up nobody.
#[test]
fn a_poll_that_blocks_is_logged_and_counted() {
    let host = async_host(json!({})).env("HHRF_SLOW_POLL_MS", "50").start();
    host.request("GET", "/rpc/async@1.0.0/block/200", &[("x-request-id", "slow")], b"").assert_status(200);
    let line = host.wait_for_log(|line| line.message().starts_with("a poll of the function blocked"));
    assert_eq!((line.field("function"), line.field("request_id")), ("async@1.0.0", "slow"));
    assert!(line.0["fields"]["millis"].as_u64().is_some_and(|millis| millis >= 200), "{line:?}");
    let metrics = host.admin("/metrics");
    assert!(
        metrics.text().contains("fezz_slow_polls_total{function=\"async\",version=\"1.0.0\"} 1"),
        "{metrics:?}"
    );
}
