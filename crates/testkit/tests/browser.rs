//! The browser opens pages of hosts that exist for the test alone, and ends with its handle.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use fezz_testkit::Browser;

/// A server that answers every request with a form, the host's name and the path, until the process ends.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let target = lines.next().unwrap_or_default();
                let host =
                    lines.find_map(|line| Some(line.to_ascii_lowercase().strip_prefix("host: ")?.to_owned()));
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let body = format!(
                    "<h1>{}</h1><p>{target}</p><form><input name=q value=old><button>Go</button></form>",
                    host.unwrap_or_default()
                );
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n";
                let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
            });
        }
    });
    address
}

#[test]
fn pages_of_any_host_are_opened_and_used() {
    let address = server();
    let browser = Browser::start(&[("*.example.test", address)]);
    browser.open("http://one.example.test/a");
    assert_eq!(browser.text("h1"), "one.example.test");
    browser.fill("input", "new words");
    browser.click("button");
    browser.until(|browser| browser.url(), &"http://one.example.test/a?q=new+words".to_owned());
    assert_eq!(browser.evaluate("return (await fetch('/b')).status"), 200);
    assert!(browser.has("p") && !browser.has("table"));

    let first = browser.tab();
    let second = browser.new_tab();
    browser.open("http://two.example.test/");
    assert_eq!(browser.text("h1"), "two.example.test");
    browser.switch_to(&first);
    assert_eq!(browser.text("h1"), "one.example.test");
    browser.switch_to(&second);
    assert_eq!(browser.run(async |client| client.source().await).matches("<h1>").count(), 1);
    assert!(browser.screenshot().starts_with(b"\x89PNG"));
}
