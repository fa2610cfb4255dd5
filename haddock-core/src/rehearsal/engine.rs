//! The engine of a rehearsal: containers as data.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use super::fault::Faults;
use crate::container::{Container, ContainerId, ContainerSpec, ContainerState, Identity};
use crate::name::{InstanceId, JournalId};
use crate::release::{NewVersion, Probed};
use crate::time::Timestamp;

/// The instances that run.
#[derive(Debug)]
pub(super) struct Engine {
    journal: JournalId,
    servers: BTreeMap<InstanceId, Server>,
    made: u32,
}

#[derive(Debug)]
struct Server {
    containers: Vec<Container>,
    entry: usize,
    started: Timestamp,
    ends: Option<Timestamp>,
    has_ended: bool,
}

impl Engine {
    pub(super) fn new(journal: JournalId) -> Self {
        Self { journal, servers: BTreeMap::new(), made: 0 }
    }

    /// Creates and starts the containers of an instance, unless it has them. Returns when they were started, and when the
    /// instance will end by itself.
    pub(super) fn start(
        &mut self,
        id: &InstanceId,
        new: &NewVersion,
        faults: &Faults,
        now: Timestamp,
    ) -> (Timestamp, Option<Timestamp>) {
        if let Some(server) = self.servers.get(id) {
            return (server.started, server.ends);
        }
        let mut containers = Vec::new();
        let mut entry = 0;
        for component in new.images.keys() {
            self.made += 1;
            let name = format!("{id}-{component}");
            let identity = Identity::environment(&self.journal, id).component(component);
            let port = new.settings.entry.port;
            let host = Ipv4Addr::from_bits(0x0a00_0000 | (self.made & 0x00ff_ffff));
            if *component == new.settings.entry.component {
                entry = containers.len();
            }
            let spec = ContainerSpec { name, identity, ..ContainerSpec::default() };
            containers.push(Container {
                state: match new.one_shots.contains(component) {
                    true => ContainerState::Exited { code: 0, out_of_memory: false },
                    false => ContainerState::Running,
                },
                started: u64::from(self.made),
                addresses: BTreeMap::from([(port, SocketAddr::from((host, port)))]),
                ..Container::created(ContainerId(format!("{:012x}", self.made)), &spec)
            });
        }
        let ends = faults.crash_after.map(|after| now + after);
        let server = Server { containers, entry, started: now, ends, has_ended: false };
        self.servers.insert(id.clone(), server);
        (now, ends)
    }

    /// When an instance was started.
    pub(super) fn started(&self, id: &InstanceId) -> Option<Timestamp> {
        self.servers.get(id).map(|server| server.started)
    }

    /// When the next instance ends by itself.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.servers.values().filter(|server| !server.has_ended).filter_map(|server| server.ends).min()
    }

    /// Lets instances end whose time has come. Returns which.
    pub(super) fn end_those_due(&mut self, now: Timestamp) -> Vec<InstanceId> {
        let mut ended = Vec::new();
        for (id, server) in &mut self.servers {
            if !server.has_ended && server.ends.is_some_and(|ends| ends <= now) {
                server.has_ended = true;
                server.containers[server.entry].state = ContainerState::Exited { code: 1, out_of_memory: false };
                server.containers[server.entry].addresses.clear();
                ended.push(id.clone());
            }
        }
        ended
    }

    pub(super) fn remove(&mut self, id: &InstanceId) {
        self.servers.remove(id);
    }

    pub(super) fn containers(&self) -> Vec<Container> {
        self.servers.values().flat_map(|server| &server.containers).cloned().collect()
    }

    /// How many containers run.
    pub(super) fn running(&self) -> usize {
        let all = self.servers.values().flat_map(|server| &server.containers);
        all.filter(|container| container.is_running()).count()
    }

    /// What probes find.
    pub(super) fn probes(&self) -> BTreeMap<InstanceId, Probed> {
        let probe = |(id, server): (&InstanceId, &Server)| {
            let incarnation = Some(server.containers.get(server.entry)?.incarnation());
            let failure = server.has_ended.then(|| "it has ended".to_owned());
            Some((id.clone(), Probed { incarnation, failure }))
        };
        self.servers.iter().filter_map(probe).collect()
    }
}
