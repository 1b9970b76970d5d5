//! The key `method`: the HTTP methods of a route.

use std::borrow::Cow;
use std::fmt;

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::fields::string;
use crate::json::Json;
use crate::problem::{At, Problem};
use crate::suggest::nearest;

/// More methods than HTTP and WebDAV have together.
const MAX_METHODS: usize = 64;

/// The common methods, and the word for all of them.
const KNOWN: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", ANY];
const ANY: &str = "ANY";

/// A token of RFC 9110 without small letters.
const PATTERN: &str = "^[A-Z0-9!#$%&'*+.^_`|~-]+$";

/// The methods of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Methods {
    /// Every method but `CONNECT` and `TRACE`; written `"ANY"`.
    Any,
    /// These methods, in the order of the file.
    Only(Vec<Method>),
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Only(methods) = self else {
            return f.write_str(ANY);
        };
        for (i, method) in methods.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{method}")?;
        }
        Ok(())
    }
}

/// Whether functions are never called with this method, not even for `ANY`: CONNECT asks for a tunnel, and TRACE can
/// reveal credentials in headers to scripts.
pub(crate) fn is_refused(method: &Method) -> bool {
    *method == Method::CONNECT || *method == Method::TRACE
}

/// Checks the value of `method`: one string, or a list of them.
pub(crate) fn methods(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Methods> {
    match json {
        Json::String(text) if text == ANY => Some(Methods::Any),
        Json::Array(items) => list(items, at, problems),
        Json::String(_) => Some(Methods::Only(vec![name(json, at, problems)?])),
        other => {
            let kind = other.kind();
            problems.push(
                at.problem(format!("must be a method or a list of methods, not {kind}; write \"GET\"")),
            );
            None
        }
    }
}

fn list(items: &[Json], at: &At, problems: &mut Vec<Problem>) -> Option<Methods> {
    if let Some(message) = check_count(items.len()) {
        problems.push(at.problem(message));
        return None;
    }
    let mut methods = Vec::with_capacity(items.len());
    let before = problems.len();
    for (i, item) in items.iter().enumerate() {
        let at = at.index(i);
        if matches!(item, Json::String(text) if text == ANY) {
            problems.push(at.problem("ANY stands alone and not in a list; write \"method\": \"ANY\""));
        } else if let Some(method) = name(item, &at, problems) {
            methods.push(method);
        }
    }
    for (i, message) in repeated(&methods) {
        problems.push(at.index(i).problem(message));
    }
    (problems.len() == before).then_some(Methods::Only(methods))
}

fn name(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Method> {
    let checked = check_name(string(json, at, problems)?);
    checked.map_err(|message| problems.push(at.problem(message))).ok()
}

/// A method by its name. A name close to a common method is taken for a typo, not for an extension method.
fn check_name(text: &str) -> Result<Method, String> {
    if text == "*" || text == "ALL" {
        return Err(format!("`{text}` is not a method; did you mean `{ANY}`?"));
    }
    let close = nearest(text, &KNOWN).filter(|known| *known != text);
    if let Some(known) = close {
        return Err(format!("`{text}` is not a method; did you mean `{known}`?"));
    }
    if text.contains(|c: char| c.is_ascii_lowercase()) {
        return Err(format!("`{text}` is not in capitals; write `{}`", text.to_ascii_uppercase()));
    }
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| {
        format!("{text:?} is not a method; write one such as `GET`, a list of them, or `{ANY}`")
    })?;
    if is_refused(&method) { Err(refusal(&method)) } else { Ok(method) }
}

fn refusal(method: &Method) -> String {
    format!("`{method}` is not served by functions; remove it")
}

fn check_count(count: usize) -> Option<String> {
    match count {
        0 => Some(format!("must name a method; write \"GET\", or \"{ANY}\" for all of them")),
        1..=MAX_METHODS => None,
        more => {
            Some(format!("has {more} methods; at most {MAX_METHODS} are allowed, write \"{ANY}\" for all"))
        }
    }
}

/// The duplicates in a list, without each first occurrence.
fn repeated(methods: &[Method]) -> impl Iterator<Item = (usize, String)> {
    let again = methods.iter().enumerate().filter(|(i, method)| methods[..*i].contains(method));
    again.map(|(i, method)| (i, format!("`{method}` is in the list already; remove it")))
}

/// The problems of methods that do not come from a file.
pub(crate) fn check(methods: &Methods) -> Vec<String> {
    let Methods::Only(list) = methods else {
        return Vec::new();
    };
    let refused = list.iter().filter(|method| is_refused(method)).map(refusal);
    let repeats = repeated(list).map(|(_, message)| message);
    check_count(list.len()).into_iter().chain(refused).chain(repeats).collect()
}

impl JsonSchema for Methods {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Methods".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name_but = |not: &[&str]| {
            let not = serde_json::json!({ "enum": not });
            serde_json::json!({ "type": "string", "pattern": PATTERN, "not": not })
        };
        json_schema!({
            "anyOf": [
                { "enum": KNOWN },
                name_but(&["CONNECT", "TRACE", "*", "ALL"]),
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_METHODS,
                    "uniqueItems": true,
                    "items": name_but(&["CONNECT", "TRACE", "*", "ALL", ANY])
                }
            ],
            "examples": ["GET", ["GET", "POST"], ANY]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let message = check_name(text).expect_err(text);
        assert!(message.contains(expected), "{text}: {message}");
    }

    #[test]
    fn every_registered_method_but_two_is_accepted() {
        let registered = "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY DELETE GET HEAD LABEL LINK LOCK \
            MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST \
            PRI PROPFIND PROPPATCH PUT QUERY REBIND REPORT SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK \
            UPDATE UPDATEREDIRECTREF VERSION-CONTROL PURGE SUBSCRIBE M-SEARCH";
        for name in registered.split(' ') {
            assert_eq!(check_name(name).as_ref().map(Method::as_str), Ok(name));
        }
        refused("TRACE", "not served by functions");
        refused("CONNECT", "not served by functions");
    }

    #[test]
    fn typos_get_a_suggestion() {
        refused("get", "did you mean `GET`?");
        refused("Post", "did you mean `POST`?");
        refused("GTE", "did you mean `GET`?");
        refused("PSOT", "did you mean `POST`?");
        refused("DLETEE", "did you mean `DELETE`?");
        refused("OPTION", "did you mean `OPTIONS`?");
        refused("any", "did you mean `ANY`?");
        refused("*", "did you mean `ANY`?");
        refused("propfind", "write `PROPFIND`");
    }

    #[test]
    fn invalid_tokens_are_refused() {
        for text in ["", "GET POST", "GET,POST", "MK COL", "MKCOL\n", "É"] {
            refused(text, "is not a method");
        }
    }
}
