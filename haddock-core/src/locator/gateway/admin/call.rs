//! A call of the admin API, and what it brings.

use std::str::FromStr;

use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::name::{InstanceId, ServiceName};

/// The largest body that is read: a table of about ten thousand instances.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// A call whose route is known.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) parts: Parts,
    /// What stands in the path for `{name}`.
    pub(super) named: Vec<(&'static str, String)>,
}

impl Call {
    /// The service that the path names.
    pub(super) fn service(&self) -> Result<ServiceName> {
        ServiceName::new(self.named("service"))
    }

    /// The instance that the path names.
    pub(super) fn instance(&self) -> Result<InstanceId> {
        InstanceId::new(self.named("instance"))
    }

    fn named(&self, name: &str) -> &str {
        self.named.iter().find(|(there, _)| *there == name).map_or("", |(_, value)| value)
    }

    /// A value of the query. `form` says what it has to be.
    pub(super) fn query<T: FromStr>(&self, name: &str, form: &str) -> Result<Option<T>> {
        let query = self.parts.uri.query().unwrap_or_default();
        let Some((_, value)) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name) else {
            return Ok(None);
        };
        let wrong = |_| Error::new(ErrorKind::LocatorRefused, format!("`{name}` has to be {form}"));
        value.parse().map(Some).map_err(wrong)
    }

    /// A value of the query that must be there.
    pub(super) fn required<T: FromStr>(&self, name: &str, form: &str) -> Result<T> {
        let missing = || Error::new(ErrorKind::LocatorRefused, format!("`{name}` has to be {form}"));
        self.query(name, form)?.ok_or_else(missing)
    }
}

/// Reads a body. None at all is as good as `null`.
pub(super) async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T> {
    let refused = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::LocatorRefused, format!("the body cannot be understood: {error}"))
    };
    let bytes = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|error| refused(&error))?.to_bytes();
    let bytes = if bytes.is_empty() { b"null" } else { &bytes[..] };
    serde_json::from_slice(bytes).map_err(|error| refused(&error))
}
