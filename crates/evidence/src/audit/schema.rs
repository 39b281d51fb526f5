//! The JSON Schema of the report (draft 2020-12), made from the types that write it.

use super::report::Report;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// What names the schema. It changes with `FORM`, and is no address: nothing is to be fetched.
pub const ID: &str = "urn:countersign:schema:audit-report:1";

/// The schema of [`Report`] as it is serialised, its keys in order.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Report>();
    schema.insert("$id".into(), ID.into());
    schema.insert("title".into(), "Countersign audit report".into());
    sorted(schema.to_value())
}

/// The same with sorted keys, whatever order maps keep: the published text must not depend on it.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.into_iter().collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            let sorted = members.into_iter();
            sorted
                .map(|(key, value)| (key, self::sorted(value)))
                .collect()
        }
        Value::Array(all) => all.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// A SHA-256 digest.
pub(super) fn digest(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
}

/// A point in time, RFC 3339 in UTC.
pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "pattern": "Z$" })
}
