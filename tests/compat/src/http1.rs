//! A client of HTTP/1 that hides nothing: it sends what it is told, and keeps what came as it was on the wire.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use fezz_compat_apps::script::{Raw, Request};

use crate::answer::{Answer, End, Seen};
use crate::jar::Jar;
use crate::server::Place;

/// How long it waits for bytes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between the parts of a raw step.
const PAUSE: Duration = Duration::from_millis(30);

/// Sends a request on a connection of its own, and reads the answer.
pub(crate) fn send(place: &Place, request: &Request, version: &str, jar: &mut Jar) -> Seen {
    let connection = connect(place.address);
    let mut connection = match connection {
        Ok(connection) => connection,
        Err(error) => return event(format!("no connection: {:?}", error.kind())),
    };
    let port = connection.stream.local_addr().map_or(0, |address| address.port());
    let bytes = encode(place, request, version, port, jar);
    let mut seen = Seen::default();
    // A server may answer and close before it has read everything: what it has sent is still read.
    let written = connection.stream.write_all(&bytes);
    loop {
        match connection.answer(request.method, request.leave_after) {
            Ok(Some(mut answer)) => {
                jar.keep(&answer);
                answer.normalize(request);
                let interim = (100..200).contains(&answer.status) && answer.status != 101;
                seen.answers.push(answer);
                if !interim {
                    return seen;
                }
            }
            Ok(None) => seen.events.push("closed without an answer".into()),
            Err(error) => seen.events.push(describe(&error)),
        }
        if !seen.events.is_empty() {
            if let Err(error) = written {
                seen.events.push(format!("sending: {}", describe(&error)));
            }
            return seen;
        }
    }
}

/// Sends the bytes of a raw step, and reads answers until the connection ends.
pub(crate) fn send_raw(place: &Place, raw: &Raw) -> Seen {
    let mut connection = match connect(place.address) {
        Ok(connection) => connection,
        Err(error) => return event(format!("no connection: {:?}", error.kind())),
    };
    let mut methods = Vec::new();
    for (at, part) in raw.parts.iter().enumerate() {
        if at > 0 {
            thread::sleep(PAUSE);
        }
        let part = replace(part, b"(host)", place.host.as_bytes());
        methods.extend(methods_in(&part));
        if connection.stream.write_all(&part).is_err() {
            break;
        }
    }
    let mut methods = methods.into_iter();
    let mut method = methods.next().unwrap_or_default();
    let mut seen = Seen::default();
    loop {
        match connection.answer(&method, None) {
            Ok(Some(answer)) => {
                let (end, status) = (answer.end, answer.status);
                seen.answers.push(answer);
                if end != End::Whole {
                    return seen;
                }
                if status >= 200 {
                    method = methods.next().unwrap_or_default();
                }
            }
            Ok(None) => {
                seen.events.push("closed".into());
                return seen;
            }
            Err(error) => {
                seen.events.push(describe(&error));
                return seen;
            }
        }
    }
}

fn event(text: String) -> Seen {
    Seen { answers: Vec::new(), events: vec![text] }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".into(),
        // Whether a close is seen as a reset depends on what was under way.
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "closed without an answer".into(),
        _ => error.to_string(),
    }
}

/// The methods of the requests in these bytes, as far as their lines look like any.
fn methods_in(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter(|line| line.ends_with("HTTP/1.1") || line.ends_with("HTTP/1.0"));
    lines.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

/// The bytes with one text in the place of another.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

fn encode(place: &Place, request: &Request, version: &str, port: u16, jar: &Jar) -> Vec<u8> {
    let mut bytes =
        format!("{} {} {version}\r\nhost: {}\r\n", request.method, request.target, place.host).into_bytes();
    for (name, value) in &request.headers {
        let value = value.replace("{port}", &port.to_string()).replace("{cookies}", &jar.header());
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    let body = request.body.as_deref().unwrap_or_default();
    match (&request.body, request.chunked) {
        (None, _) => bytes.extend(b"\r\n"),
        (Some(_), false) => {
            let length: usize = body.iter().map(Vec::len).sum();
            bytes.extend(format!("content-length: {length}\r\n\r\n").bytes());
            bytes.extend(body.concat());
        }
        (Some(_), true) => {
            bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in body {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n");
            for (name, value) in &request.trailers {
                bytes.extend(format!("{name}: {value}\r\n").bytes());
            }
            bytes.extend(b"\r\n");
        }
    }
    bytes
}

/// A connection, and what of it was received and not yet looked at.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// Opens a connection with the client's patience.
pub(crate) fn connect(address: SocketAddr) -> io::Result<Connection> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(Connection { stream, buffer: Vec::new() })
}

impl Connection {
    /// The next answer to this method, or none if the connection ends in front of it.
    pub(crate) fn answer(&mut self, method: &str, leave_after: Option<usize>) -> io::Result<Option<Answer>> {
        let Some(head) = self.until(b"\r\n\r\n")? else { return Ok(None) };
        let head: String = head.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let mut words = line.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let Some(status) = words.next().and_then(|word| word.parse().ok()) else {
            return Err(io::Error::other(format!("no answer: {line:?}")));
        };
        let headers = fields(lines);
        let mut answer =
            Answer { version, status, headers, body: Vec::new(), trailers: Vec::new(), end: End::Whole };
        if method != "HEAD" && status >= 200 && status != 204 && status != 304 {
            answer.end = match self.body(&mut answer, leave_after) {
                Ok(end) => end,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    End::Open
                }
                Err(_) => End::Cut,
            };
        }
        Ok(Some(answer))
    }

    fn body(&mut self, answer: &mut Answer, leave_after: Option<usize>) -> io::Result<End> {
        let field = |name: &str| {
            answer.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
        };
        let limit = leave_after.unwrap_or(usize::MAX);
        if field("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
            return self.chunked(answer, limit);
        }
        let length = field("content-length").and_then(|length| length.parse().ok());
        let wanted = length.unwrap_or(usize::MAX).min(limit);
        while answer.body.len() < wanted {
            if self.buffer.is_empty() && !self.fill()? {
                return Ok(if length.is_some() { End::Cut } else { End::Whole });
            }
            let count = self.buffer.len().min(wanted - answer.body.len());
            answer.body.extend(self.buffer.drain(..count));
        }
        Ok(if leave_after.is_some() { End::Left } else { End::Whole })
    }

    fn chunked(&mut self, answer: &mut Answer, limit: usize) -> io::Result<End> {
        loop {
            let Some(line) = self.until(b"\r\n")? else { return Ok(End::Cut) };
            let text = String::from_utf8_lossy(&line).into_owned();
            let Ok(size) = usize::from_str_radix(text.split(';').next().unwrap_or_default(), 16) else {
                return Err(io::Error::other(format!("no chunk: {text:?}")));
            };
            if size == 0 {
                let mut lines = Vec::new();
                loop {
                    let Some(line) = self.until(b"\r\n")? else { return Ok(End::Cut) };
                    if line.is_empty() {
                        break;
                    }
                    lines.push(line.iter().map(|byte| char::from(*byte)).collect::<String>());
                }
                answer.trailers = fields(lines.iter().map(String::as_str));
                return Ok(End::Whole);
            }
            while self.buffer.len() < size + 2 {
                if !self.fill()? {
                    answer.body.append(&mut self.buffer);
                    return Ok(End::Cut);
                }
            }
            answer.body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
            if answer.body.len() >= limit {
                answer.body.truncate(limit);
                let _ = self.stream.shutdown(Shutdown::Both);
                return Ok(End::Left);
            }
        }
    }

    /// What comes in front of this delimiter; none if the connection has ended without another byte.
    fn until(&mut self, delimiter: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut from = 0;
        loop {
            let found = self.buffer[from..].windows(delimiter.len()).position(|window| window == delimiter);
            if let Some(at) = found.map(|at| at + from) {
                let head = self.buffer.drain(..at).collect();
                self.buffer.drain(..delimiter.len());
                return Ok(Some(head));
            }
            from = self.buffer.len().saturating_sub(delimiter.len());
            if !self.fill()? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// So many bytes; none if the connection has ended in front of them.
    pub(crate) fn take(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        while self.buffer.len() < count {
            if !self.fill()? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
        Ok(Some(self.buffer.drain(..count).collect()))
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 65536];
        let count = self.stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let pairs = lines.map(|line| line.split_once(':').unwrap_or((line, "")));
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()
}
