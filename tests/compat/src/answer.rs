//! [`Answer`]: what a client has seen of an answer, in a form that can be compared.

use std::fmt;

use fezz_compat_apps::script::Request;

/// How an answer has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing says.
    Whole,
    /// By the end of the connection or stream, before the body was whole.
    Cut,
    /// Not within the client's patience.
    Open,
    /// The client has left.
    Left,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// `HTTP/1.1` and its kin.
    pub(crate) version: String,
    pub(crate) status: u16,
    /// In the order of their arrival.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) end: End,
}

/// All that came for one step: answers, and how the connection ended if the step asks for that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answers: Vec<Answer>,
    /// Events beside the answers: a refused connection, bytes that are no answer, the end of a raw connection.
    pub(crate) events: Vec<String>,
}

impl Answer {
    /// Puts a constant in the place of what is random or repeated.
    pub(crate) fn normalize(&mut self, request: &Request) {
        for (name, value) in &mut self.headers {
            if request.random.contains(&name.as_str()) {
                "(random)".clone_into(value);
            }
            // A cookie's end is reckoned from now.
            if let Some((cookie, _)) = value.split_once("Expires=").filter(|_| name == "set-cookie") {
                *value = format!("{cookie}Expires=(a date)");
            }
        }
        for header in &request.any_order {
            // A stable sort, which leaves others where they are.
            let is_it = |field: &&mut (String, String)| field.0 == *header;
            let mut values: Vec<_> =
                self.headers.iter_mut().filter(is_it).map(|field| std::mem::take(&mut field.1)).collect();
            values.sort();
            for (field, value) in self.headers.iter_mut().filter(is_it).zip(values) {
                field.1 = value;
            }
        }
        if let Some(text) = request.repeats {
            let twice = text.repeat(2);
            let mut body = String::from_utf8_lossy(&self.body).into_owned();
            while body.contains(&twice) {
                body = body.replace(&twice, text);
            }
            self.body = body.into_bytes();
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "whole",
            Self::Cut => "cut off",
            Self::Open => "still open",
            Self::Left => "left",
        })
    }
}
