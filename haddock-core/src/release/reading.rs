//! Reading what a journal kept, whichever Haddock wrote it.
//!
//! Text of a newer Haddock, or damaged text, does no further harm: a request is refused, an event is shown as one that
//! is not known, and a state stops only its own service.

use serde::Deserialize;
use serde_json::Value;

use super::event::Event;
use super::request::{Request, Verb};
use super::state::{ServiceState, StateOfLayout1};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{RequestId, ServiceName};
use crate::time::Timestamp;

/// What the JSON says, and the first field that this Haddock does not know, if there is one.
fn parsed<'t, T: Deserialize<'t>>(text: &'t str) -> serde_json::Result<(T, Option<String>)> {
    let mut unknown = None;
    let value = serde_ignored::deserialize(&mut serde_json::Deserializer::from_str(text), |field| {
        unknown.get_or_insert_with(|| field.to_string());
    })?;
    Ok((value, unknown))
}

/// The part of a state that is read first.
#[derive(Deserialize)]
struct Layout {
    schema: u32,
}

impl ServiceState {
    /// Reads the state of a service from the JSON in which a journal keeps it.
    ///
    /// What an older Haddock wrote is read as it was meant. A state with a field that this Haddock does not know is
    /// refused: its next commit would lose what the field says.
    ///
    /// ```
    /// use haddock_core::release::ServiceState;
    /// use haddock_core::{ErrorKind, JournalId, ServiceName};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let shop = ServiceName::new("shop")?;
    /// let mut state = serde_json::to_value(ServiceState::new(shop.clone(), JournalId::new("j1")?))?;
    /// assert!(ServiceState::read(&shop, &state.to_string()).is_ok());
    /// state["frozen_until"] = 1.into();
    /// let error = ServiceState::read(&shop, &state.to_string()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::JournalTooNew);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`JournalTooNew`](ErrorKind::JournalTooNew) if a newer Haddock wrote it, [`JournalCorrupt`](ErrorKind::JournalCorrupt)
    /// if it cannot be read at all.
    pub fn read(service: &ServiceName, text: &str) -> Result<Self> {
        let corrupt = |error: serde_json::Error| {
            let message = format!("the journal holds a state of service `{service}` that cannot be read: {error}");
            Error::new(ErrorKind::JournalCorrupt, message)
                .with_hint("restore the journal from a backup; or recover the service with another journal")
        };
        let schema = serde_json::from_str::<Layout>(text).map_err(corrupt)?.schema;
        if schema > Self::SCHEMA {
            return Err(too_new(service, &format!("layout {schema}")));
        }
        let (state, unknown) = match schema {
            0 | 1 => {
                let (state, unknown) = parsed::<StateOfLayout1>(text).map_err(corrupt)?;
                (state.into(), unknown)
            }
            _ => parsed(text).map_err(corrupt)?,
        };
        match unknown {
            Some(field) => Err(too_new(service, &format!("`{field}`"))),
            None => Ok(state),
        }
    }
}

fn too_new(service: &ServiceName, what: &str) -> Error {
    let message = format!("the state of service `{service}` was written by a newer Haddock ({what})");
    Error::new(ErrorKind::JournalTooNew, message).with_hint("use that Haddock, or a newer one")
}

impl Request {
    /// Reads the request with this id from the JSON in which a journal keeps it. A request that this Haddock cannot
    /// read becomes one whose verb is [`Verb::Unreadable`]: the next step refuses it, and goes on with the others.
    ///
    /// ```
    /// use haddock_core::RequestId;
    /// use haddock_core::release::{Request, Verb};
    ///
    /// # fn main() -> haddock_core::Result<()> {
    /// let text = r#"{ "id": "r1", "at": 1, "by": "ci", "verb": { "scale": { "replicas": 3 } } }"#;
    /// let request = Request::read(RequestId::new("r1")?, text);
    /// assert_eq!((request.by.as_str(), request.verb.name()), ("ci", "scale"));
    /// assert!(matches!(request.verb, Verb::Unreadable { .. }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn read(id: RequestId, text: &str) -> Self {
        let why = match parsed::<Self>(text) {
            Ok((request, None)) => return Self { id, ..request },
            // The part that this Haddock does not know may be what matters.
            Ok((_, Some(field))) => format!("`{field}` is not known"),
            Err(error) => error.to_string(),
        };
        // The parts that can be read are kept: who asked, when, and for what.
        let parts: Value = serde_json::from_str(text).unwrap_or_default();
        let verb = match &parts["verb"] {
            Value::String(verb) => Some(verb),
            Value::Object(fields) => fields.keys().next(),
            _ => None,
        };
        let name = verb.map_or("something", String::as_str).to_owned();
        Self {
            id,
            at: Timestamp::from_millis(parts["at"].as_u64().unwrap_or_default()),
            by: parts["by"].as_str().unwrap_or("somebody").to_owned(),
            verb: Verb::Unreadable { name, why },
            about: None,
        }
    }
}

/// Why a request that cannot be read is refused.
pub(super) fn unreadable(name: &str, why: &str) -> Error {
    let message = format!("this Haddock cannot read a request for `{name}`: {why}");
    Error::new(ErrorKind::NotSupported, message)
        .with_hint("a newer Haddock may have submitted it: let that one act, and ask again")
}

impl Event {
    /// Reads an event from the JSON in which a journal keeps it. One that this Haddock cannot read becomes
    /// [`Event::Unreadable`], so that it hides none of the others.
    ///
    /// ```
    /// use haddock_core::release::Event;
    ///
    /// let event = Event::read(r#"{ "event": "instance_teleported", "to": "mars" }"#);
    /// assert_eq!(event, Event::Unreadable { name: "instance_teleported".to_owned() });
    /// ```
    #[must_use]
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| {
            let parts: Value = serde_json::from_str(text).unwrap_or_default();
            Self::Unreadable { name: parts["event"].as_str().unwrap_or("unknown").to_owned() }
        })
    }
}
