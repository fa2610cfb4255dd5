//! What a route is: its method and path, what it takes and answers, how it is described, and what it does.
//!
//! The types of a route's body and answer are those of the function that carries it out. So the description cannot differ
//! from what is done.

use std::pin::Pin;
use std::sync::Arc;

use http::{Method, StatusCode};
use hyper::body::Incoming;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answers::{Answer, JSON, json};
use super::call::{Call, read};
use super::context::Context;
use crate::error::Result;

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

type Handler =
    Box<dyn Fn(Arc<Context>, Call, Incoming) -> Pin<Box<dyn Future<Output = Result<Answer>> + Send>> + Send + Sync>;

/// A value of the query.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) says: &'static str,
    pub(super) required: bool,
    pub(super) schema: SchemaOf,
}

/// One route.
pub(super) struct Route {
    pub(super) method: Method,
    /// With `{name}` for what differs.
    pub(super) path: &'static str,
    /// Its name in the description, by which generated clients call it.
    pub(super) id: &'static str,
    /// One line.
    pub(super) summary: &'static str,
    /// More, if there is more to know.
    pub(super) says: &'static str,
    pub(super) query: Vec<Query>,
    /// `None`: no body is read.
    pub(super) body: Option<SchemaOf>,
    /// The media types of the answer, and its schema.
    pub(super) answers: Vec<(&'static str, SchemaOf)>,
    /// Further statuses, with what they mean.
    pub(super) refusals: Vec<(StatusCode, &'static str)>,
    /// Whether anybody may call it.
    pub(super) public: bool,
    handler: Handler,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Route {
    fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str, handler: Handler) -> Self {
        let (query, answers, refusals) = (Vec::new(), Vec::new(), Vec::new());
        Self { method, path, id, summary, says: "", query, body: None, answers, refusals, public: false, handler }
    }

    /// A route that only reads.
    pub(super) fn get<T, F>(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        handler: impl Fn(Arc<Context>, Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Serialize + JsonSchema,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |context, call, _| {
            let answer = handler(context, call);
            Box::pin(async move { Ok(json(StatusCode::OK, &answer.await?)) })
        });
        let route = Self::new(Method::GET, path, id, summary, handler);
        Self { answers: vec![(JSON, schema_of::<T>)], ..route }
    }

    /// A route that takes a body.
    pub(super) fn post<B, T, F>(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        handler: impl Fn(Arc<Context>, Call, B) -> F + Send + Sync + Clone + 'static,
    ) -> Self
    where
        B: DeserializeOwned + JsonSchema + Send + 'static,
        T: Serialize + JsonSchema,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |context, call, body| {
            let handler = handler.clone();
            Box::pin(async move {
                let body: B = read(body).await?;
                Ok(json(StatusCode::OK, &handler(context, call, body).await?))
            })
        });
        let route = Self::new(Method::POST, path, id, summary, handler);
        Self { body: Some(schema_of::<B>), answers: vec![(JSON, schema_of::<T>)], ..route }
    }

    /// A route whose answer is not JSON, of one of these media types.
    pub(super) fn other<F>(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        kinds: &[&'static str],
        handler: impl Fn(Arc<Context>, Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Answer>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |context, call, _| Box::pin(handler(context, call)));
        let answers = kinds.iter().map(|kind| (*kind, schema_of::<String> as SchemaOf)).collect();
        Self { answers, ..Self::new(Method::GET, path, id, summary, handler) }
    }

    /// What the answer has in it, if that is no text.
    pub(super) fn answers<T: JsonSchema>(mut self) -> Self {
        for (_, schema) in &mut self.answers {
            *schema = schema_of::<T>;
        }
        self
    }

    pub(super) fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    pub(super) fn public(self) -> Self {
        Self { public: true, ..self }
    }

    pub(super) fn refuses(mut self, status: StatusCode, when: &'static str) -> Self {
        self.refusals.push((status, when));
        self
    }

    pub(super) fn query<T: JsonSchema>(mut self, name: &'static str, required: bool, says: &'static str) -> Self {
        self.query.push(Query { name, says, required, schema: schema_of::<T> });
        self
    }

    /// The names in the path.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(name_of)
    }

    /// What a path has for them, if it is one of this route.
    pub(super) fn matches(&self, path: &str) -> Option<Vec<(&'static str, String)>> {
        let (mut ours, mut theirs) = (self.path.split('/'), path.trim_end_matches('/').split('/'));
        let mut named = Vec::new();
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return Some(named),
                (Some(ours), Some(theirs)) => match name_of(ours) {
                    Some(name) => named.push((name, theirs.to_owned())),
                    None if ours == theirs => {}
                    None => return None,
                },
                _ => return None,
            }
        }
    }

    pub(super) async fn carry_out(&self, context: Arc<Context>, call: Call, body: Incoming) -> Result<Answer> {
        (self.handler)(context, call, body).await
    }
}

fn name_of(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}
