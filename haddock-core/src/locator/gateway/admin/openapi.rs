//! The description of the admin API, as an OpenAPI 3.1 document. It is made from the table of routes.

use std::sync::LazyLock;

use http::StatusCode;
use regex_lite::Regex;
use schemars::SchemaGenerator;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value, json};

use super::answers::JSON;
use super::route::{Route, SchemaOf};
use super::routes::routes;
use crate::error::Error;

/// What each route may answer beside its own answers.
const REFUSALS: [(StatusCode, &str); 3] = [
    (StatusCode::BAD_REQUEST, "The call cannot be understood."),
    (StatusCode::UNAUTHORIZED, "The gateway wants another token."),
    (StatusCode::FORBIDDEN, "Without a token, the `Host` header has to be an address or `localhost`."),
];

/// The description of the gateway's admin API: an [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.0) document. A running
/// gateway serves it at `/v1/openapi.json`.
///
/// ```
/// let document = haddock_core::locator::gateway::openapi();
/// assert_eq!(document["openapi"], "3.1.0");
/// assert!(document["paths"]["/v1/services/{service}/apply"]["post"].is_object());
/// ```
#[must_use]
pub fn openapi() -> Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| Document::new().of(&routes()));
    DOCUMENT.clone()
}

struct Document {
    /// Makes the schemas of what callers send.
    sent: SchemaGenerator,
    /// Makes those of what they get: a field that is always written is required there.
    got: SchemaGenerator,
}

impl Document {
    fn new() -> Self {
        let generator = |contract| {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
                settings.contract = contract;
            });
            SchemaGenerator::new(settings)
        };
        Self { sent: generator(Contract::Deserialize), got: generator(Contract::Serialize) }
    }

    fn of(mut self, routes: &[Route]) -> Value {
        let mut paths = Map::new();
        for route in routes {
            let operation = self.operation(route);
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            path[route.method.as_str().to_ascii_lowercase()] = operation;
        }
        let mut schemas = self.got.take_definitions(true);
        schemas.extend(self.sent.take_definitions(true));
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Haddock gateway",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "The admin API of Haddock's gateway: what its sessions do, and where they go. Times are \
                    milliseconds since the Unix epoch, durations are milliseconds.",
                "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
            },
            "servers": [{ "url": "http://127.0.0.1:8081", "description": "the default of `haddock serve`" }],
            "security": [{}, { "token": [] }],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": { "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of the gateway's token file. On the loopback, a gateway may have none.",
                } },
            },
        });
        plain(&mut document);
        document
    }

    fn operation(&mut self, route: &Route) -> Value {
        let mut operation = json!({ "operationId": route.id, "summary": route.summary });
        if !route.says.is_empty() {
            operation["description"] = route.says.into();
        }
        if route.public {
            operation["security"] = json!([]);
        }
        let named = route.names().map(|name| {
            let schema = match name {
                "service" => self.sent.subschema_for::<crate::name::ServiceName>(),
                _ => self.sent.subschema_for::<crate::name::InstanceId>(),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        });
        let mut parameters: Vec<Value> = named.collect();
        parameters.extend(route.query.iter().map(|query| {
            let schema = (query.schema)(&mut self.sent);
            json!({ "name": query.name, "in": "query", "required": query.required, "description": query.says, "schema": schema })
        }));
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = route.body {
            operation["requestBody"] =
                json!({ "required": true, "content": { JSON: { "schema": body(&mut self.sent) } } });
        }
        operation["responses"] = self.responses(route);
        operation
    }

    fn responses(&mut self, route: &Route) -> Value {
        let content = |generator: &mut SchemaGenerator, answers: &[(&str, SchemaOf)]| -> Map<String, Value> {
            let schemas =
                answers.iter().map(|(kind, schema)| ((*kind).to_owned(), json!({ "schema": schema(generator) })));
            schemas.collect()
        };
        let mut responses = Map::new();
        let answers = content(&mut self.got, &route.answers);
        responses.insert("200".to_owned(), json!({ "description": "It is done.", "content": answers }));
        let error = self.got.subschema_for::<Error>();
        let error = json!({ JSON: { "schema": error } });
        if !route.public {
            let all = REFUSALS.iter().chain(&route.refusals);
            for (status, when) in all {
                responses.insert(status.as_str().to_owned(), json!({ "description": when, "content": error }));
            }
            responses.insert("default".to_owned(), json!({ "description": "It failed.", "content": error }));
        }
        responses.into()
    }
}

/// Makes the descriptions plain text. Those of types are written for Rust: with links to other types, examples, and more
/// paragraphs than a caller needs.
fn plain(value: &mut Value) {
    static LINK: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\[(`?[^\]]+)\](\([^)]*\)|\[[^\]]*\])?").expect("a constant"));
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "description" => {
                        let first = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
                        let plain = LINK.replace_all(&first, "$1");
                        *text = plain.replace("`None`", "`null`");
                    }
                    _ => plain(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(plain),
        _ => {}
    }
}
