//! The clock on the real host: events arrive one by one, and end when the client disconnects.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use fezz_sdk::testing::TestHost;

#[test]
fn events_arrive_one_by_one_and_end_with_their_client() {
    let host = TestHost::new().manifest("max_concurrency", 1).start();
    for _ in 0..3 {
        let mut client = TcpStream::connect(host.address()).expect("the host accepts");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        write!(client, "GET /rpc/clock@1.0.0?every_ms=5 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        let mut lines = BufReader::new(&client).lines().map(|line| line.expect("it goes on"));
        assert!(lines.any(|line| line == "content-type: text/event-stream"));
        assert_eq!(lines.by_ref().filter(|line| line == "event: tick").take(3).count(), 3);
        drop(client);
        // The only permit is free again: the stream was dropped.
        host.running().until(|host| host.status("clock@1.0.0")["in_flight"].clone(), |count| *count == 0);
    }
}
