//! Finds where two answers differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, End, Seen};

/// Headers that the host adds to answers.
const OWN: [&str; 3] = ["x-request-id", "x-fezz-function", "x-fezz-digest"];

/// A difference between the listener and the host.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// What differs: `status`, `body`, `header content-length`, …
    pub(crate) field: String,
    pub(crate) listener: String,
    pub(crate) host: String,
}

/// All differences of a step.
pub(crate) fn compare(listener: &Seen, host: &Seen) -> Vec<Difference> {
    let mut found = Vec::new();
    let summary = |seen: &Seen| {
        let answers = seen.answers.iter().map(|answer| answer.status.to_string());
        answers.chain(seen.events.iter().cloned()).collect::<Vec<_>>().join(", ")
    };
    if summary(listener) != summary(host) {
        let both = listener.answers.len() + host.answers.len() == 2
            && listener.answers.iter().all(|answer| answer.status != 101);
        let field = if both { "status" } else { "answers" };
        push(&mut found, field, summary(listener), summary(host));
        return found;
    }
    for (ours, theirs) in listener.answers.iter().zip(&host.answers) {
        answers(&mut found, ours, theirs);
    }
    found
}

fn push(
    found: &mut Vec<Difference>,
    field: impl Into<String>,
    listener: impl Into<String>,
    host: impl Into<String>,
) {
    found.push(Difference { field: field.into(), listener: listener.into(), host: host.into() });
}

fn answers(found: &mut Vec<Difference>, listener: &Answer, host: &Answer) {
    if listener.version != host.version {
        push(found, "version", &listener.version, &host.version);
    }
    fields(found, "header", &listener.headers, &host.headers);
    if !same_body(listener, host) {
        push(found, "body", excerpt(&listener.body), excerpt(&host.body));
    }
    fields(found, "trailer", &listener.trailers, &host.trailers);
    if listener.end != host.end {
        push(found, "end", listener.end.to_string(), host.end.to_string());
    }
}

/// How much has arrived of a body that is cut off is left to chance: one has to begin as the other does.
fn same_body(listener: &Answer, host: &Answer) -> bool {
    let (ours, theirs) = (&listener.body, &host.body);
    let cut = listener.end == End::Cut && host.end == End::Cut;
    ours == theirs || (cut && (ours.starts_with(theirs) || theirs.starts_with(ours)))
}

fn fields(found: &mut Vec<Difference>, kind: &str, listener: &[(String, String)], host: &[(String, String)]) {
    let (ours, theirs) = (grouped(listener), grouped(host));
    let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    for name in names {
        let (ours, theirs) = (ours.get(name), theirs.get(name));
        let own = OWN.contains(&name.as_str()) && ours.is_none();
        if ours != theirs && !own {
            let text =
                |values: Option<&Vec<&str>>| values.map_or("none".to_owned(), |values| values.join(" | "));
            push(found, format!("{kind} {name}"), text(ours), text(theirs));
        }
    }
}

/// The values of each name, in their order.
fn grouped(fields: &[(String, String)]) -> BTreeMap<String, Vec<&str>> {
    let mut grouped: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, value) in fields {
        let value = if name == "date" { "(now)" } else { value.as_str() };
        grouped.entry(name.clone()).or_default().push(value);
    }
    grouped
}

fn excerpt(body: &[u8]) -> String {
    const LENGTH: usize = 200;
    let text = String::from_utf8_lossy(&body[..body.len().min(LENGTH)]).into_owned();
    format!("{} bytes: {text:?}", body.len())
}
