//! A todo, and the validation of what clients send.

use fezz_sdk::FieldError;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::problem::{Problem, field_error};

/// Longest title, in characters.
const MAX_TITLE: usize = 200;

/// A todo as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Todo {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) done: bool,
    /// RFC 3339, in UTC.
    pub(crate) created_at: String,
    /// RFC 3339, in UTC.
    pub(crate) updated_at: String,
}

/// The fields of a todo that a client sets, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) title: String,
    pub(crate) done: bool,
}

impl Draft {
    /// A new todo; `done` defaults to false.
    pub(crate) fn new(document: &Value) -> Result<Self, Problem> {
        Self::read(document, Some(false))
    }

    /// A whole replacement of a todo, so all fields are required.
    pub(crate) fn replacement(document: &Value) -> Result<Self, Problem> {
        Self::read(document, None)
    }

    /// Parses a document, and reports all errors at once.
    fn read(document: &Value, default_done: Option<bool>) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let Value::Object(fields) = document else {
            errors.push(field_error("", "the body must be an object"));
            return Err(Problem::Todo(errors));
        };
        errors.extend(fields.keys().filter_map(|name| not_writable(name)));
        let title = keep(title(fields), &mut errors);
        let done = keep(done(fields, default_done), &mut errors);
        match (title, done) {
            (Some(title), Some(done)) if errors.is_empty() => Ok(Self { title, done }),
            _ => Err(Problem::Todo(errors)),
        }
    }
}

/// The id in a path. An invalid id is reported as a todo that does not exist.
pub(crate) fn parse_id(text: &str) -> Result<i64, Problem> {
    // `07` and `+7` would be aliases of `7`.
    let id = text.parse().ok().filter(|id: &i64| *id > 0 && id.to_string() == text);
    id.ok_or_else(|| Problem::NoSuchTodo(text.to_owned()))
}

fn not_writable(name: &str) -> Option<FieldError> {
    let message = match name {
        "title" | "done" => return None,
        "id" | "created_at" | "updated_at" => "is set by the server; leave it out",
        _ => "is not a field of a todo",
    };
    Some(field_error(name, message))
}

fn title(fields: &Map<String, Value>) -> Result<String, FieldError> {
    let title = match fields.get("title") {
        Some(Value::String(title)) => title.trim(),
        Some(_) => return Err(field_error("title", "must be a string")),
        None => return Err(field_error("title", "is required")),
    };
    let length = title.chars().count();
    if length == 0 {
        Err(field_error("title", "must not be empty"))
    } else if length > MAX_TITLE {
        Err(field_error("title", format!("has {length} characters; at most {MAX_TITLE} are allowed")))
    } else if title.contains(char::is_control) {
        Err(field_error("title", "must not hold control characters"))
    } else {
        Ok(title.to_owned())
    }
}

fn done(fields: &Map<String, Value>, default: Option<bool>) -> Result<bool, FieldError> {
    match fields.get("done") {
        Some(Value::Bool(done)) => Ok(*done),
        Some(_) => Err(field_error("done", "must be true or false")),
        None => default.ok_or_else(|| field_error("done", "is required")),
    }
}

fn keep<T>(result: Result<T, FieldError>, errors: &mut Vec<FieldError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(result: Result<Draft, Problem>) -> Vec<(String, String)> {
        let Err(Problem::Todo(errors)) = result else { panic!("not refused: {result:?}") };
        errors.into_iter().map(|error| (error.field, error.message)).collect()
    }

    #[test]
    fn a_title_is_enough_for_a_new_todo() {
        let draft = Draft::new(&json!({ "title": "  buy milk\n" })).unwrap();
        assert_eq!(draft, Draft { title: "buy milk".to_owned(), done: false });
        assert!(Draft::new(&json!({ "title": "a", "done": true })).unwrap().done);
    }

    #[test]
    fn a_replacement_requires_all_fields() {
        assert!(Draft::replacement(&json!({ "title": "a", "done": false })).is_ok());
        let found = errors(Draft::replacement(&json!({})));
        assert_eq!(found.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["title", "done"]);
    }

    #[test]
    fn titles_have_one_to_200_characters_and_no_control_characters() {
        let with_title = |title: String| Draft::new(&json!({ "title": title }));
        assert!(with_title("ü".repeat(200)).is_ok());
        assert!(with_title(format!("  {}  ", "x".repeat(200))).is_ok());
        for (title, message) in [
            (String::new(), "empty"),
            (" \t\u{a0}".to_owned(), "empty"),
            ("x".repeat(201), "at most 200"),
            ("a\nb".to_owned(), "control"),
            ("a\0b".to_owned(), "control"),
            ("a\u{85}b".to_owned(), "control"),
        ] {
            let found = errors(with_title(title.clone()));
            assert!(found.len() == 1 && found[0].1.contains(message), "{title:?}: {found:?}");
        }
    }

    #[test]
    fn all_errors_are_found_at_once() {
        let found = errors(Draft::new(&json!({ "title": 1, "done": "yes", "color": "red", "id": 3 })));
        let mut fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["color", "done", "id", "title"]);
        assert!(found.contains(&("id".to_owned(), "is set by the server; leave it out".to_owned())));
    }

    #[test]
    fn only_objects_are_todos() {
        for document in [json!(null), json!([]), json!("title"), json!(1)] {
            assert_eq!(errors(Draft::new(&document)).len(), 1, "{document}");
        }
        assert!(Draft::new(&json!({ "title": null })).is_err());
    }

    #[test]
    fn an_id_has_one_spelling() {
        assert_eq!(parse_id("7").unwrap(), 7);
        assert_eq!(parse_id("9223372036854775807").unwrap(), i64::MAX);
        for text in ["", "0", "-1", "+7", "07", "7 ", "7.0", "x", "9223372036854775808"] {
            assert!(matches!(parse_id(text), Err(Problem::NoSuchTodo(_))), "{text:?}");
        }
    }
}
