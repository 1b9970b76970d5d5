//! A clock as server-sent events: `curl -N …/rpc/clock?every_ms=500`. It stops when the client disconnects.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use fezz_sdk::{Event, FezzError, Query, Sse, fezz_function};
use futures_util::stream;
use serde::Deserialize;
use tokio::time::{Interval, interval};

/// The interval of the ticks, and their maximum number.
#[derive(Debug, Deserialize)]
pub struct Ticks {
    #[serde(default = "second")]
    every_ms: u64,
    count: Option<u64>,
}

fn second() -> u64 {
    1000
}

/// An event at each tick, with the milliseconds since the first.
#[fezz_function]
pub async fn clock(Query(ticks): Query<Ticks>) -> Result<Sse, FezzError> {
    if !(1..=60_000).contains(&ticks.every_ms) {
        return Err(FezzError::unprocessable("that is no clock").field("every_ms", "is from 1 to 60000"));
    }
    let timer = interval(Duration::from_millis(ticks.every_ms));
    let start = (timer, Instant::now(), 0);
    Ok(Sse::new(stream::unfold(start, move |(timer, begin, sent)| tick(timer, begin, sent, ticks.count))))
}

type State = (Interval, Instant, u64);

async fn tick(
    mut timer: Interval,
    begin: Instant,
    sent: u64,
    count: Option<u64>,
) -> Option<(Result<Event, Infallible>, State)> {
    if count.is_some_and(|count| sent >= count) {
        return None;
    }
    timer.tick().await;
    let event = Event::build(Some("tick"), Some(&sent.to_string()), &begin.elapsed().as_millis().to_string());
    Some((Ok(event), (timer, begin, sent + 1)))
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;

    use super::*;

    #[test]
    fn it_sends_the_requested_number_of_ticks() {
        let answer = TestRequest::get("/?every_ms=1&count=3").call(clock);
        let text = answer.assert_status(200).text();
        assert_eq!(text.matches("event: tick\n").count(), 3, "{text}");
        assert!(text.starts_with("event: tick\nid: 0\ndata: "), "{text}");
    }

    #[test]
    fn an_interval_of_zero_is_refused() {
        let answer = TestRequest::get("/?every_ms=0").call(clock);
        assert_eq!(answer.assert_problem(422).json()["errors"][0]["field"], "every_ms");
    }
}
