//! A plain function that streams uploads and answers at length, for the host's tests.

use std::io::sink;
use std::thread;
use std::time::Duration;

use fezz_sdk::http::{HeaderName, HeaderValue, StatusCode};
use fezz_sdk::{BodyStream, FezzHttpRequest, FezzHttpResponse, fezz_function};

/// Dispatches by the matched route.
#[fezz_function(stream)]
pub fn upload(req: FezzHttpRequest, mut body: BodyStream) -> FezzHttpResponse {
    let ok = FezzHttpResponse::ok();
    let number = req.params().next().and_then(|(_, number)| number.parse::<usize>().ok()).unwrap_or(0);
    match req.matched_route() {
        "/ping" => ok.text("pong"),
        "/upload" => match std::io::copy(&mut body, &mut sink()) {
            Ok(count) => ok.text(count.to_string()),
            Err(error) => FezzHttpResponse::new(StatusCode::BAD_REQUEST).text(error.to_string()),
        },
        // Reads nothing for a while.
        "/upload-late/{ms}" => {
            thread::sleep(Duration::from_millis(number as u64));
            ok.text(std::io::copy(&mut body, &mut sink()).unwrap_or(0).to_string())
        }
        "/headers/{count}" => headers(number),
        "/bytes/{count}" => ok.bytes(vec![b'x'; number]),
        "/log/{bytes}" => {
            print(number);
            ok
        }
        "/abort" => abort(),
        _ => FezzHttpResponse::new(StatusCode::NOT_IMPLEMENTED),
    }
}

/// To everything that a function can write to.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "functions print")]
fn print(bytes: usize) {
    log::info!("{}", "x".repeat(bytes));
    eprintln!("{}", "y".repeat(bytes));
    println!("{}", "z".repeat(bytes));
}

#[expect(clippy::print_stderr, reason = "functions print")]
fn abort() -> ! {
    log::error!("about to abort");
    eprintln!("these are my last words");
    std::process::abort()
}

fn headers(count: usize) -> FezzHttpResponse {
    let mut response = FezzHttpResponse::ok();
    for index in 0..count {
        let name = HeaderName::try_from(format!("x-{index}"));
        // A map that is full is what the host has to cope with, not this function.
        if let Ok(name) = name
            && response.headers_mut().try_append(name, HeaderValue::from_static("v")).is_err()
        {
            break;
        }
    }
    response
}
