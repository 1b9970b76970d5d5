//! The key `cors`: pages of which origins may call the function.

use std::borrow::Cow;

use http::{HeaderName, Uri};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::fields::{Fields, Key, string, whole};
use crate::json::Json;
use crate::problem::{At, Problem};

/// The most `origins`, and the most names in `headers` and `expose`.
pub const MAX_CORS_ITEMS: usize = 64;
/// The largest `max_age`: one day. No browser keeps the answer to a preflight for longer.
pub const MAX_CORS_AGE: u64 = 86_400;

const EVERY: &str = "*";
/// An origin as browsers send it.
const ORIGIN_PATTERN: &str = r"^(\*|[a-z][a-z0-9+.-]*://[^/?#@*A-Z\s]+)$";
const HEADER_PATTERN: &str = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";

const KEYS: [Key; 5] = [
    Key::required("origins", r#"["https://app.example.com"]"#),
    Key::optional("headers"),
    Key::optional("expose"),
    Key::optional("credentials"),
    Key::optional("max_age"),
];

/// Cross-origin requests that a function takes. A list of origins is its short form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Cors {
    /// The origins.
    pub origins: CorsOrigins,
    /// The request headers that a page may send; none of them named: those that it asks for.
    pub headers: Option<Vec<HeaderName>>,
    /// More response headers that a page may read.
    pub expose: Vec<HeaderName>,
    /// Whether a page may send cookies and other credentials.
    pub credentials: bool,
    /// How long a browser may keep the answer to a preflight, in seconds.
    pub max_age: Option<u64>,
}

/// Origins of pages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CorsOrigins {
    /// All; written `["*"]`.
    Every,
    /// These.
    Only(Vec<String>),
}

impl Default for CorsOrigins {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

/// Checks the value of `cors`: a list of origins, or an object.
pub(crate) fn cors(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Cors> {
    match json {
        Json::Array(_) => Some(Cors { origins: origins(json, at, problems)?, ..Cors::default() }),
        Json::Object(_) => object(json, at, problems),
        other => {
            let hint = "write [\"https://app.example.com\"], or [\"*\"] for all";
            problems.push(
                at.problem(format!("must be a list of origins or an object, not {}; {hint}", other.kind())),
            );
            None
        }
    }
}

fn object(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Cors> {
    let fields = Fields::open(json, at, &KEYS, problems)?;
    let origins = fields.get("origins").and_then(|(at, json)| origins(json, &at, problems));
    let headers = fields.get("headers").map(|(at, json)| headers(json, &at, problems));
    let expose = fields.get("expose").map(|(at, json)| self::headers(json, &at, problems));
    let credentials = fields.get("credentials").map(|(at, json)| match json {
        Json::Bool(value) => *value,
        other => {
            problems.push(at.problem(format!("must be true or false, not {}", other.kind())));
            false
        }
    });
    let max_age = fields.get("max_age").and_then(|(at, json)| whole(json, &at, 0..=MAX_CORS_AGE, problems));
    let credentials = credentials.unwrap_or_default();
    let origins = origins?;
    if credentials && origins == CorsOrigins::Every {
        problems.push(at.key("credentials").problem(
            "browsers send no credentials where every origin is allowed; name the origins, or remove it",
        ));
    }
    Some(Cors { origins, headers, expose: expose.unwrap_or_default(), credentials, max_age })
}

fn origins(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<CorsOrigins> {
    let items = list(json, at, "origins", r#"["https://app.example.com"]"#, problems)?;
    if items.is_empty() {
        problems.push(at.problem("names no origin; add one, as in [\"https://app.example.com\"]"));
        return None;
    }
    let mut origins: Vec<String> = Vec::new();
    let before = problems.len();
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index);
        let Some(text) = string(item, &at, problems) else { continue };
        let message = if text == EVERY {
            (items.len() > 1).then(|| "`*` stands alone; remove the other origins, or this one".to_owned())
        } else if origins.iter().any(|origin| origin == text) {
            Some(format!("`{text}` is in the list already; keep one of them"))
        } else {
            origin_message(text)
        };
        match message {
            Some(message) => problems.push(at.problem(message)),
            None => origins.push(text.to_owned()),
        }
    }
    let is_every = origins == [EVERY];
    (problems.len() == before).then_some(if is_every {
        CorsOrigins::Every
    } else {
        CorsOrigins::Only(origins)
    })
}

/// The problem with an origin, if any: it is compared with what browsers send, byte for byte.
fn origin_message(text: &str) -> Option<String> {
    let not = format!("{text:?} is not an origin");
    if text == "null" {
        return Some(format!("{not} that can be trusted: any sandboxed page has it; remove it"));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Some(format!("{not}; write scheme and host, such as `https://{text}`"));
    };
    if let Some(end) = rest.find(['/', '?', '#']) {
        return Some(format!("{not}, which has no path; write `{scheme}://{}`", &rest[..end]));
    }
    if text.contains('*') {
        return Some(format!("{not}: `*` stands for all origins, and only alone; write each host"));
    }
    if text.contains(|c: char| c.is_ascii_uppercase()) {
        return Some(format!("{not} as browsers send it; write `{}`", text.to_ascii_lowercase()));
    }
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    if let Some(host) = rest.strip_suffix(default).filter(|_| !default.is_empty()) {
        return Some(format!(
            "{not} as browsers send it, without the default port; write `{scheme}://{host}`"
        ));
    }
    let authority = text.parse::<Uri>().ok().and_then(|uri| uri.authority().cloned());
    let is_origin = authority.is_some_and(|authority| {
        let is_port = authority.as_str().ends_with(authority.host()) || authority.port_u16().is_some();
        is_port && !authority.host().is_empty() && !rest.contains('@')
    });
    let is_header = text.bytes().all(|b| b.is_ascii_graphic());
    (!is_origin || !is_header)
        .then(|| format!("{not}; write scheme, host and port, such as `https://app.example.com`"))
}

fn headers(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = Vec::new();
    let items = list(json, at, "header names", r#"["authorization"]"#, problems).unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index);
        let Some(text) = string(item, &at, problems) else { continue };
        match text.parse::<HeaderName>() {
            Ok(_) if text == EVERY => problems.push(
                at.problem("`*` is no header name; leave the key out, and a page may send what it asks for"),
            ),
            Ok(name) if names.contains(&name) => {
                problems.push(at.problem(format!("`{text}` is in the list already; keep one of them")));
            }
            Ok(name) => names.push(name),
            Err(_) => problems.push(
                at.problem(format!("{text:?} is not a header name; write one such as `authorization`")),
            ),
        }
    }
    names
}

fn list<'j>(
    json: &'j Json,
    at: &At,
    what: &str,
    example: &str,
    problems: &mut Vec<Problem>,
) -> Option<&'j [Json]> {
    let Json::Array(items) = json else {
        problems.push(at.problem(format!("must be a list of {what}, not {}; write {example}", json.kind())));
        return None;
    };
    if items.len() > MAX_CORS_ITEMS {
        problems
            .push(at.problem(format!("has {} {what}; at most {MAX_CORS_ITEMS} are allowed", items.len())));
        return None;
    }
    Some(items)
}

impl JsonSchema for Cors {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cors".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let origins = json_schema!({
            "description": "The origins as browsers send them, such as `https://app.example.com`; `*` alone is every one.",
            "type": "array",
            "items": { "type": "string", "pattern": ORIGIN_PATTERN },
            "minItems": 1,
            "maxItems": MAX_CORS_ITEMS,
            "uniqueItems": true
        });
        let headers = |description: &str| {
            json_schema!({
                "description": description,
                "type": "array",
                "items": { "type": "string", "pattern": HEADER_PATTERN },
                "maxItems": MAX_CORS_ITEMS
            })
        };
        json_schema!({
            "anyOf": [origins, {
                "type": "object",
                "additionalProperties": false,
                "required": ["origins"],
                "properties": {
                    "origins": origins,
                    "headers": headers("The request headers that a page may send. Default: those that it asks for."),
                    "expose": headers("The response headers that a page may read, beside those that it always may."),
                    "credentials": {
                        "description": "Whether a page may send cookies and other credentials. Default: false.",
                        "type": "boolean"
                    },
                    "max_age": {
                        "description": "How long a browser may keep the answer to a preflight, in seconds. Default: its own.",
                        "type": "integer",
                        "minimum": 0,
                        "maximum": MAX_CORS_AGE
                    }
                }
            }]
        })
    }
}
