//! The layout of a state before 2: an instance had every field in every phase.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::Deserialize;

use super::{
    AskedTable, Attempt, DrainState, Draining, External, Failed, FollowMemory, Launched, Life, Notification,
    PendingHook, Phase, PhaseName, Release, Retirement, Retiring, Routing, Server, ServiceState, Starting, Version,
};
use crate::container::Incarnation;
use crate::error::{Error, ErrorKind};
use crate::name::{ComponentName, InstanceId, JournalId, ServiceName, VersionId};
use crate::release::request::Request;
use crate::routing::FencingToken;
use crate::time::Timestamp;

/// A [`ServiceState`] in layout 1. [`From`] makes the present one of it.
#[derive(Debug, Deserialize)]
pub(in crate::release) struct State {
    #[serde(rename = "schema")]
    _schema: u32,
    service: ServiceName,
    journal: JournalId,
    number: FencingToken,
    now: Timestamp,
    next_instance: u64,
    versions: BTreeMap<VersionId, Version>,
    instances: BTreeMap<InstanceId, Instance>,
    known_good: Option<VersionId>,
    release: Option<Release>,
    queued: Option<Request>,
    asked: Option<AskedTable>,
    #[serde(default)]
    leaving: BTreeSet<InstanceId>,
    #[serde(default)]
    removals: BTreeMap<InstanceId, Attempt>,
    #[serde(default)]
    news: Vec<Notification>,
    #[serde(default)]
    retiring: Option<Retirement>,
    #[serde(default)]
    retired: bool,
    #[serde(default)]
    last_version: Option<VersionId>,
}

#[derive(Debug, Deserialize)]
struct Instance {
    version: VersionId,
    phase: PhaseName,
    since: Timestamp,
    ready_by: Timestamp,
    launch: Attempt,
    lives: BTreeMap<ComponentName, Incarnation>,
    address: Option<SocketAddr>,
    named: Option<FencingToken>,
    listed: Option<FencingToken>,
    close_asked: Option<FencingToken>,
    close: Attempt,
    closed_somewhere: bool,
    #[serde(default)]
    empty_look: Option<(Timestamp, Timestamp)>,
    drain: Option<DrainState>,
    unresponsive_since: Option<Timestamp>,
    failure: Option<Error>,
    dead: bool,
    stop: Attempt,
    #[serde(default)]
    external: Option<Adopted>,
    #[serde(default)]
    hook: Option<PendingHook>,
}

/// What only an adopted server had.
#[derive(Debug, Deserialize)]
struct Adopted {
    cookie: Option<String>,
    sessions_until: Option<Timestamp>,
}

impl From<State> for ServiceState {
    fn from(state: State) -> Self {
        Self {
            schema: Self::SCHEMA,
            service: state.service,
            journal: state.journal,
            number: state.number,
            now: state.now,
            next_instance: state.next_instance,
            versions: state.versions,
            instances: state.instances.into_iter().map(|(id, instance)| (id, instance.into())).collect(),
            known_good: state.known_good,
            release: state.release,
            queued: state.queued,
            asked: state.asked,
            watch: None,
            leaving: state.leaving,
            removals: state.removals,
            notifications: state.news,
            follow: FollowMemory::default(),
            retiring: state.retiring,
            retired: state.retired,
            last_version: state.last_version,
        }
    }
}

impl From<Instance> for super::Instance {
    fn from(instance: Instance) -> Self {
        let routing = Routing {
            named: instance.named,
            listed: instance.listed,
            close_asked: instance.close_asked,
            close: instance.close,
            closed_somewhere: instance.closed_somewhere,
        };
        Self { version: instance.version, since: instance.since, phase: instance.into(), routing }
    }
}

impl From<Instance> for Phase {
    fn from(instance: Instance) -> Self {
        let ready_by = instance.ready_by;
        let drained_since = instance.drain.map(|drain| drain.since);
        // An adopted server has an address from the beginning.
        let external = instance.external.zip(instance.address).map(|(adopted, address)| External {
            address,
            cookie: adopted.cookie,
            sessions_until: adopted.sessions_until,
        });
        let is_external = external.is_some();
        let was_ready = instance.address.is_some() || !instance.lives.is_empty();
        if let (PhaseName::Starting, Some(server)) = (instance.phase, &external) {
            return Self::Starting(Starting::Adoption { ready_by, server: server.clone() });
        }
        let server = match external {
            Some(external) => Server::External(external),
            None => Server::Launched(Launched { address: instance.address, incarnations: instance.lives }),
        };
        let life = |server| Life { server, unresponsive_since: instance.unresponsive_since, hook: instance.hook };
        match instance.phase {
            PhaseName::Starting => Self::Starting(Starting::Launch { ready_by, attempt: instance.launch }),
            PhaseName::Ready => Self::Ready(life(server)),
            PhaseName::Serving => Self::Serving(life(server)),
            // An adopted server was let go of in the step that saw it closed. If one should be here nevertheless, the
            // next step sees it closed again.
            PhaseName::Retiring if is_external => Self::Draining(Draining {
                drain: instance.drain,
                empty_look: instance.empty_look,
                ..Draining::new(Life::new(server))
            }),
            PhaseName::Draining => Self::Draining(Draining {
                drain: instance.drain,
                empty_look: instance.empty_look,
                ..Draining::new(life(server))
            }),
            PhaseName::Failed => Self::Failed(Failed {
                error: instance
                    .failure
                    .unwrap_or_else(|| Error::new(ErrorKind::NeverReady, "nobody wrote down why it failed")),
                has_ended: instance.dead,
                server: was_ready.then_some(server),
                drained_since,
            }),
            PhaseName::Retiring => {
                Self::Retiring(Retiring { address: instance.address, failure: instance.failure, stop: instance.stop })
            }
        }
    }
}
