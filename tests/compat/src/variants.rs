//! How each step is sent: as written, over HTTP/2, over HTTP/1.0, and with other methods.

use fezz_compat_apps::script::{Request, Step};

/// How many requests of a script the short run sends at most.
const SHORT: usize = 130;

/// Over which protocol a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http10,
    Http2,
}

/// A step with its protocol and its name in the report.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) step: Step,
}

/// All that is sent to an application. The long run sends each request in more ways.
pub(crate) fn of(script: Vec<Step>, full: bool) -> Vec<Sent> {
    let requests: Vec<_> = script.iter().filter_map(as_request).cloned().collect();
    let mut all: Vec<_> = script.into_iter().map(|step| sent(step, Protocol::Http1)).collect();
    let repeatable = requests.iter().filter(|request| !request.as_written);
    let over_http2 = repeatable.clone().filter(|request| !request.http1_only);
    all.extend(over_http2.cloned().map(|request| sent(request.into(), Protocol::Http2)));
    if !full {
        return sampled(all);
    }
    let gets = repeatable.filter(|request| request.method == "GET" && request.body.is_none());
    for request in gets.clone() {
        all.push(sent(request.clone().into(), Protocol::Http10));
    }
    for method in ["HEAD", "OPTIONS", "DELETE", "QUERY"] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let may = |request: &&Request| protocol == Protocol::Http1 || !request.http1_only;
            let changed = gets.clone().filter(may).cloned().map(|request| Request { method, ..request });
            all.extend(changed.map(|request| sent(request.into(), protocol)));
        }
    }
    all
}

/// The short run sends some of a long script, evenly spread. Requests that rest on each other are in short scripts.
fn sampled(all: Vec<Sent>) -> Vec<Sent> {
    let step = all.len().div_ceil(SHORT);
    all.into_iter().step_by(step.max(1)).collect()
}

fn as_request(step: &Step) -> Option<&Request> {
    match step {
        Step::Request(request) => Some(request),
        _ => None,
    }
}

fn sent(step: Step, protocol: Protocol) -> Sent {
    let version = match protocol {
        Protocol::Http1 => "1.1",
        Protocol::Http10 => "1.0",
        Protocol::Http2 => "2",
    };
    let name = match &step {
        Step::Request(request) => {
            let headers: String =
                request.headers.iter().map(|(name, value)| format!(" {name}={}", short(value))).collect();
            let body = request.body.as_ref().map_or(String::new(), |body| {
                format!(
                    " {}{:?}",
                    if request.chunked { "chunked " } else { "" },
                    short(&String::from_utf8_lossy(&body.concat()))
                )
            });
            format!("{version} {} {}{headers}{body}", request.method, short(&request.target))
        }
        Step::Raw(raw) => format!("raw {}", raw.name),
        Step::Call(call) => format!(
            "call {} {:?} {} {:?}",
            call.method,
            short(&call.names.join(",")),
            call.count,
            call.timeout
        ),
        Step::Socket(socket) => format!("socket {} {}", socket.target, socket.name),
    };
    Sent { name, protocol, step }
}

fn short(text: &str) -> String {
    const LENGTH: usize = 60;
    if text.chars().count() <= LENGTH {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(LENGTH).collect::<String>())
    }
}
