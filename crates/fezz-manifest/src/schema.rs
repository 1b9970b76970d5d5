//! The JSON Schemas of `fezz.json`, derived from the manifest's types, and of `aliases.json` and `mounts.json`, written by
//! hand since all of their keys are free names. They are committed in `docs/`; tests compare them.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::aliases::{self, MAX_WEIGHT};
use crate::check::ID_PATTERN;
use crate::manifest::Manifest;
use crate::mounts;
use crate::version;

/// The JSON Schema (draft 2020-12) of `fezz.json`, as text that ends with a line break.
///
/// It accepts every manifest that [`Manifest::parse`] accepts. Some rules are left to the parser: conflicting routes,
/// duplicate names, typos and dot segments.
pub fn json_schema() -> String {
    let generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let mut schema = generator.into_root_schema_for::<Manifest>().to_value();
    unwrap_descriptions(&mut schema);
    format!("{schema:#}\n")
}

/// The JSON Schema (draft 2020-12) of `aliases.json`, as text that ends with a line break.
///
/// It accepts every file that [`Aliases::parse`](crate::Aliases::parse) accepts. That a weight must be above 0 in
/// each alias is left to the parser.
pub fn aliases_json_schema() -> String {
    let weights = json!({
        "description": "The versions that the alias stands for, each with its weight.",
        "type": "object",
        "propertyNames": { "pattern": version::PATTERN, "maxLength": version::MAX_LENGTH },
        "minProperties": 1,
        "additionalProperties": {
            "description": "The version's share of the calls, next to the weights of the others.",
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_WEIGHT
        },
        "examples": [{ "1.2.0": 90, "1.3.0": 10 }]
    });
    let named = json!({
        "description": "The aliases of the function with this id.",
        "type": "object",
        "propertyNames": { "pattern": aliases::NAME_PATTERN, "not": { "const": "latest" } },
        "additionalProperties": weights
    });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "aliases.json",
        "description": "Names for versions: function id, alias, version, weight.",
        "type": "object",
        "properties": { "$schema": schema_key() },
        "patternProperties": { ID_PATTERN: named },
        "additionalProperties": false
    });
    format!("{schema:#}\n")
}

/// The JSON Schema (draft 2020-12) of `mounts.json`, as text that ends with a line break.
///
/// It accepts every file that [`Mounts::parse`](crate::Mounts::parse) accepts. Whether a host name and a prefix are valid
/// in detail, and whether two keys are the same place, is left to the parser.
pub fn mounts_json_schema() -> String {
    let function = json!({
        "description": "The function that is served there: an id, or an id with a version, a part of one, or an alias.",
        "type": "string",
        "pattern": mounts::FUNCTION_PATTERN,
        "examples": ["todos", "todos@1", "todos@1.4.0", "todos@live"]
    });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mounts.json",
        "description": "Functions on host names and path prefixes of their own.",
        "type": "object",
        "properties": { "$schema": schema_key() },
        "patternProperties": { mounts::PLACE_PATTERN: function },
        "additionalProperties": false,
        "examples": [{ "todos.example.com": "todos@live", "*.example.com/v1": "api@1", "/shop": "shop" }]
    });
    format!("{schema:#}\n")
}

fn schema_key() -> Value {
    let description = "The address of this schema, for editors; the host does not read it.";
    json!({ "type": "string", "description": description })
}

/// Corrects the derived schema: an optional key is omitted and not `null`, and `uint64` is a format that strict
/// validators refuse. Adds `$schema`, which is not a field of the manifest.
pub(crate) fn finish(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    properties.values_mut().for_each(correct);
    properties.insert("$schema".to_owned(), schema_key());
}

fn correct(property: &mut Value) {
    let Some(property) = property.as_object_mut() else { return };
    property.remove("format");
    property.remove("default");
    if let Some(Value::Array(types)) = property.get("type") {
        let kept = types.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
        property.insert("type".to_owned(), kept);
    }
    // An optional enum: drop the choice `null`. The key's description takes precedence over the type's.
    let is_null = |choice: &Value| choice["type"] == "null";
    if let Some(Value::Array(choices)) = property.get("anyOf")
        && choices.iter().any(is_null)
        && let Some(Value::Object(choice)) = choices.iter().find(|choice| !is_null(choice)).cloned()
    {
        property.remove("anyOf");
        choice.into_iter().for_each(|(key, value)| _ = property.entry(key).or_insert(value));
    }
    if let Some(items) = property.get_mut("items") {
        correct(items);
    }
    if let Some(Value::Object(inner)) = property.get_mut("properties") {
        inner.values_mut().for_each(correct);
    }
}

/// Removes line breaks from descriptions, which come from doc comments.
fn unwrap_descriptions(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            if let Some(Value::String(text)) = entries.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            entries.values_mut().for_each(unwrap_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_descriptions),
        _ => {}
    }
}
