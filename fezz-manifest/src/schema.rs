//! The JSON Schema of `fezz.json`, derived from the types of the manifest. It is committed as
//! `docs/fezz.schema.json`, and a test holds it to these types.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::manifest::Manifest;

/// The JSON Schema (draft 2020-12) of `fezz.json`, as text that ends with a line break.
///
/// It accepts every manifest that [`Manifest::parse`] accepts. It cannot say everything: conflicting routes,
/// repeated names, near misses and dot segments are left to the parser.
pub fn json_schema() -> String {
    let generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let mut schema = generator.into_root_schema_for::<Manifest>().to_value();
    unwrap_descriptions(&mut schema);
    format!("{schema:#}\n")
}

/// Corrects what the derive gets wrong for a file that people write: `null` is no way to leave a key out, and
/// `uint64` is a format that strict validators refuse. Adds `$schema`, which is no field of the manifest.
pub(crate) fn finish(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        property.remove("format");
        property.remove("default");
        if let Some(Value::Array(types)) = property.get("type") {
            let kept = types.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
            property.insert("type".to_owned(), kept);
        }
    }
    let description = "The address of this schema, for editors; the host does not read it.";
    properties.insert("$schema".to_owned(), json!({ "type": "string", "description": description }));
}

/// Descriptions come from doc comments, whose line breaks mean nothing to an editor.
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
