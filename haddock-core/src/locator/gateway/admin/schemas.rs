//! Schemas of types whose form in JSON is not that of their fields.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::name::{InstanceId, JournalId, ServiceName};
use crate::routing::{Sessions, Share, StatusRange};
use crate::time::Timestamp;

macro_rules! schema {
    ($type:ty, $name:literal, $($schema:tt)+) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($schema)+)
            }
        }
    };
}

const NAME: &str = "^[a-z0-9][a-z0-9-]*$";

schema!(ServiceName, "ServiceName", {
    "description": "What clients use, such as `accounting`.", "type": "string", "pattern": NAME, "maxLength": 40,
});
schema!(InstanceId, "InstanceId", {
    "description": "An instance of a service, at one version.", "type": "string", "pattern": NAME, "maxLength": 80,
});
schema!(JournalId, "JournalId", {
    "description": "The journal of a controller.", "type": "string", "pattern": NAME, "maxLength": 32,
});
schema!(Share, "Share", {
    "description": "A part of the new sessions, in hundredths of a percent.", "type": "integer", "minimum": 0, "maximum": 10_000,
});
schema!(StatusRange, "StatusRange", {
    "description": "Status codes: `500-599`, `503` or `5xx`.", "type": "string",
});
schema!(Timestamp, "Timestamp", {
    "description": "Milliseconds since the Unix epoch.", "type": "integer", "format": "uint64", "minimum": 0,
});
schema!(Sessions, "Sessions", {
    "description": "Sessions that began, and those of them that have failed.",
    "type": "object",
    "properties": { "begun": { "type": "integer", "minimum": 0 }, "failed": { "type": "integer", "minimum": 0 } },
    "required": ["begun", "failed"],
});
