//! The chat on the real host: two clients, and two tabs of a real browser.

use std::time::Duration;

use fezz_sdk::testing::{RunningTestHost, TestHost};
use fezz_testkit::Browser;
use futures_util::{SinkExt, StreamExt};
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn enter(host: &RunningTestHost) -> Socket {
    let url = host.url("/room").replace("http://", "ws://");
    connect_async(url).await.expect("the room is open").0
}

/// Waits for this event, past others.
async fn expect(socket: &mut Socket, event: &str) {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.as_str() == event => return,
            Some(Ok(_)) => {}
            other => panic!("{other:?} where {event} was to come"),
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limited = async { tokio::time::timeout(Duration::from_secs(30), test).await };
    runtime.block_on(limited).expect("it ends in time");
}

#[test]
fn everybody_hears_everybody() {
    let host = TestHost::new().start();
    run(async {
        let (mut ann, mut bob) = (enter(&host).await, enter(&host).await);
        expect(&mut ann, r#"{"event":"present","present":2}"#).await;
        ann.send(Message::text(r#"{"name":"Ann","text":"hello"}"#)).await.expect("sent");
        for socket in [&mut ann, &mut bob] {
            expect(socket, r#"{"event":"said","name":"Ann","text":"hello"}"#).await;
        }
        bob.close(None).await.expect("closed");
        expect(&mut ann, r#"{"event":"present","present":1}"#).await;
        ann.send(Message::text("no JSON")).await.expect("sent");
        let Some(Ok(Message::Close(Some(goodbye)))) = ann.next().await else { panic!("no goodbye") };
        assert_eq!(u16::from(goodbye.code), 1007);
    });
}

#[test]
fn the_page_chats_in_a_browser_and_connects_again_after_a_hand_over() {
    let host = TestHost::new().start();
    let browser = Browser::start(&[]);
    let state = |browser: &Browser| browser.text("#state");
    let present = |browser: &Browser| browser.text("#present");
    let said = |browser: &Browser| browser.text("#said");
    browser.open(&host.url("/"));
    browser.until(state, &"connected".to_owned());
    let first = browser.tab();
    let second = browser.new_tab();
    browser.switch_to(&second);
    browser.open(&host.url(""));
    browser.until(present, &"2".to_owned());
    browser.fill("#name", "Ann");
    browser.fill("#text", "hello <b>Bob</b>");
    browser.click("button");
    browser.switch_to(&first);
    browser.until(said, &"Ann: hello <b>Bob</b>".to_owned());
    // The socket is told, and the page finds the next process.
    host.running().signal(Signal::HUP);
    host.wait_for_log(|line| line.message() == "handed over");
    browser.until(present, &"2".to_owned());
    browser.fill("#name", "Bob");
    browser.until(
        |browser| {
            browser.fill("#text", "hello Ann");
            browser.click("button");
            said(browser).ends_with("Bob: hello Ann")
        },
        &true,
    );
}
