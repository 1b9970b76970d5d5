//! What a client does with an application: a list of [`Step`]s, sent to axum's listener and to the host alike.

use std::borrow::Cow;

/// One thing that a client does.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request on a connection of its own.
    Request(Request),
    /// Bytes on a connection of their own, as they are.
    Raw(Raw),
    /// A call of the gRPC service.
    Call(Call),
    /// A connection that is upgraded.
    Socket(Socket),
}

/// A call of the gRPC service.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method's name. That of a method which takes one message gets the first.
    pub method: &'static str,
    /// A message for each.
    pub names: Vec<String>,
    /// How many answers each asks for.
    pub count: u32,
    /// The deadline that the client states, in milliseconds.
    pub timeout: Option<u64>,
}

/// A connection that asks to be upgraded, and what is sent on it then.
#[derive(Clone, Debug)]
pub struct Socket {
    /// What is tried.
    pub name: String,
    /// Path and query.
    pub target: &'static str,
    /// The protocol of `upgrade`.
    pub protocol: &'static str,
    /// More headers.
    pub headers: Vec<(&'static str, &'static str)>,
    /// What is sent.
    pub sent: Vec<Piece>,
}

/// What is sent on an upgraded connection.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Bytes; those in front of the first [`Piece::Answered`] are sent with the request.
    Bytes(Vec<u8>),
    /// Waits for the answer to the request.
    Answered,
    /// Waits a little, so that the bytes around it do not arrive as one.
    Pause,
    /// Ends the client's direction.
    End,
}

/// A request, and what of its answer cannot be compared.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: &'static str,
    /// Path and query.
    pub target: Cow<'static, str>,
    /// Headers, but for `host` and those that describe the body.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Body, in the chunks in which it is sent.
    pub body: Option<Vec<Vec<u8>>>,
    /// Sends the body with `transfer-encoding: chunked`, and without its length.
    pub chunked: bool,
    /// Trailers behind a chunked body.
    pub trailers: Vec<(&'static str, &'static str)>,
    /// Headers of the answer with a random value: only their presence is compared.
    pub random: Vec<&'static str>,
    /// Headers of the answer that come several times, in an order that is left to chance.
    pub any_order: Vec<&'static str>,
    /// Text that may be there once or often, as the time allows: runs of it count as one.
    pub repeats: Option<&'static str>,
    /// Closes the connection after so many bytes of the body.
    pub leave_after: Option<usize>,
    /// Sent over HTTP/1.1 alone.
    pub http1_only: bool,
    /// Sent as written alone, without the variants of the long run.
    pub as_written: bool,
}

/// Bytes for a connection. The last request in them asks for its end.
#[derive(Clone, Debug)]
pub struct Raw {
    /// What is tried.
    pub name: String,
    /// What is sent, with a pause between the parts.
    pub parts: Vec<Vec<u8>>,
}

impl Request {
    fn new(method: &'static str, target: impl Into<Cow<'static, str>>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: Vec::new(),
            body: None,
            chunked: false,
            trailers: Vec::new(),
            random: Vec::new(),
            any_order: Vec::new(),
            repeats: None,
            leave_after: None,
            http1_only: false,
            as_written: false,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(vec![body.into()]);
        self
    }

    /// Sets the body, with a content type.
    #[must_use]
    pub fn typed(self, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", content_type).body(body)
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &str) -> Self {
        self.typed("application/json", body)
    }

    /// Sets the body of a form.
    #[must_use]
    pub fn form(self, body: &str) -> Self {
        self.typed("application/x-www-form-urlencoded", body)
    }

    /// Sends these chunks, without a length.
    #[must_use]
    pub fn chunks(mut self, chunks: &[&str]) -> Self {
        self.body = Some(chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect());
        self.chunked = true;
        self
    }

    /// Sends a trailer behind the chunks.
    #[must_use]
    pub fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        self.trailers.push((name, value));
        self
    }

    /// Says that a header of the answer has a random value.
    #[must_use]
    pub fn random(mut self, header: &'static str) -> Self {
        self.random.push(header);
        self
    }

    /// Says that the order of these headers of the answer is left to chance.
    #[must_use]
    pub fn any_order(mut self, header: &'static str) -> Self {
        self.any_order.push(header);
        self
    }

    /// Says that a text may be repeated in the answer.
    #[must_use]
    pub fn repeats(mut self, text: &'static str) -> Self {
        self.repeats = Some(text);
        self
    }

    /// Leaves after so many bytes of the answer's body.
    #[must_use]
    pub fn leave_after(mut self, bytes: usize) -> Self {
        self.leave_after = Some(bytes);
        self.as_written()
    }

    /// Is sent over HTTP/1.1 alone.
    #[must_use]
    pub fn http1_only(mut self) -> Self {
        self.http1_only = true;
        self
    }

    /// Is sent as written alone: other requests would change what the application answers.
    #[must_use]
    pub fn as_written(mut self) -> Self {
        self.as_written = true;
        self
    }
}

impl From<Request> for Step {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

macro_rules! methods {
    ($($name:ident $method:literal)*) => {$(
        /// A request with this method.
        pub fn $name(target: impl Into<Cow<'static, str>>) -> Request {
            Request::new($method, target)
        }
    )*};
}

methods! { get "GET" head "HEAD" post "POST" put "PUT" patch "PATCH" delete "DELETE" options "OPTIONS" propfind "PROPFIND" }

/// Bytes on a connection of their own, with a pause between the parts.
pub fn raw(name: impl Into<String>, parts: &[&str]) -> Step {
    Step::Raw(Raw { name: name.into(), parts: parts.iter().map(|part| part.as_bytes().to_vec()).collect() })
}

/// The steps of a list of requests.
pub fn steps(requests: impl IntoIterator<Item = Request>) -> Vec<Step> {
    requests.into_iter().map(Step::Request).collect()
}
