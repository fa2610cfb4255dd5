//! The server that runs before Haddock. Its clients have sessions on it. Once it is adopted, they come through the
//! locators. They have the cookie that it gave them, and none of a locator's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use haddock_core::container::{ContainerSpec, Incarnation};
use haddock_core::release::{Adoption, Event as Happened, Observation, Probed, ServiceState, Verb};
use haddock_core::runtime::sim::SimImage;
use haddock_core::{ComponentName, InstanceId, Timestamp};

use super::clients::Client;
use super::dice::Dice;
use super::truth::InstanceTruth;
use super::{Event, World};

/// A server that Haddock has not started.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) life: Incarnation,
    /// Its idle time, in milliseconds.
    pub(crate) idle: u64,
    pub(crate) adoption: Adoption,
    asked: bool,
    /// The instance that it is, once its adoption was taken up.
    pub(crate) instance: Option<InstanceId>,
    /// Its clients come through the locators.
    switched: bool,
    /// It could not be adopted.
    refused: bool,
}

impl Server {
    pub(crate) fn lives(&self) -> BTreeMap<ComponentName, Incarnation> {
        BTreeMap::from([(ComponentName::new("app").expect("valid"), self.life.clone())])
    }
}

impl World {
    pub(crate) fn begin_with_server(&mut self, dice: &mut Dice) {
        let now = self.time();
        self.engine.add_image("server:1", SimImage::good(Duration::ZERO));
        let spec = ContainerSpec {
            name: "server".into(),
            image: "server:1".into(),
            labels: BTreeMap::new(),
            expose: vec![8080],
            ..ContainerSpec::default()
        };
        let id = self.engine.create(&spec).expect("the engine is empty");
        self.engine.start(&id, now).expect("it was just created");
        let container = self.engine.inspect(&id, now).expect("it was just created");
        let (life, address): (_, SocketAddr) = (container.incarnation(), container.addresses[&8080]);
        if dice.chance(8) {
            // It does not answer for longer than anybody waits for it.
            let until = self.now + 20_000;
            self.engine.hang(&id, Timestamp::from_millis(until));
            self.truth.silences.push((life.clone(), self.now, until));
        }
        let adoption = self.plan.adoption(&self.tuning, dice, address);
        let idle = u64::try_from(adoption.settings.session.idle.as_millis()).expect("small");
        // It has no label of ours. So at the end it must be as it was, whatever happens.
        self.truth.foreign.push(life.clone());
        self.server =
            Some(Server { life, idle, adoption, asked: false, instance: None, switched: false, refused: false });
    }

    /// The server, if it is that instance.
    pub(crate) fn server_as(&self, id: &InstanceId) -> Option<&Server> {
        self.server.as_ref().filter(|server| server.instance.as_ref() == Some(id))
    }

    /// Asks for the adoption before anything else. Returns whether it is still going on.
    pub(crate) fn adopts(&mut self) -> bool {
        let Some(server) = &mut self.server else { return false };
        if !server.asked {
            server.asked = true;
            let verb = Verb::Adopt(Box::new(server.adoption.clone()));
            self.submit(verb);
            return true;
        }
        !server.switched && !server.refused
    }

    pub(crate) fn learn_of_server(&mut self, state: &ServiceState, event: &Happened) {
        if self.server.is_none() {
            return;
        }
        match event {
            Happened::ExternalAdopted { instance, version, .. } => {
                self.truth.instances.insert(instance.clone(), InstanceTruth::new(state, *version));
                self.present_server().instance = Some(instance.clone());
            }
            Happened::InstanceReady { instance } if self.server_as(instance).is_some() => {
                self.truth_of(instance).booted = true;
                // In the state it counts as a version that has settled.
                self.journal.settled += 1;
                self.meet("server adopted");
            }
            Happened::InstanceServing { instance, .. } if self.server_as(instance).is_some_and(|it| !it.switched) => {
                let after = self.dice.within(0..3_000);
                self.schedule(after, Event::Switch);
            }
            Happened::InstanceFailed { instance, .. } if self.server_as(instance).is_some() => {
                if self.truth_of(instance).booted {
                    self.meet("adopted server failed");
                } else {
                    self.present_server().refused = true;
                    self.meet("server not adopted");
                }
            }
            Happened::ReleaseStarted { version, rollback: true, .. } if state.versions[version].external => {
                self.meet("rollback to an adopted server");
            }
            Happened::ExternalReleased { instance, .. } if self.truth_of(instance).draining_since.is_some() => {
                self.meet("adopted server drained and reported");
            }
            _ => {}
        }
    }

    fn present_server(&mut self) -> &mut Server {
        self.server.as_mut().expect("this is a world with a server")
    }

    /// From now on its clients come through the locators.
    pub(crate) fn switch(&mut self) {
        self.note(|| "clients of the adopted server come through the locators".into());
        if let Some(server) = &mut self.server {
            server.switched = true;
        }
    }

    pub(crate) fn probe_server(&mut self, seen: &mut Observation) {
        let now = self.time();
        let Some(Server { instance: Some(id), life, .. }) = &self.server else { return };
        if self.now < self.fair_from() && self.dice.chance(self.plan.unknown) {
            return;
        }
        let failure = (!self.engine.answers(&life.container, now)).then(|| "no answer".to_owned());
        seen.probes.insert(id.clone(), Probed { incarnation: None, failure });
    }

    /// Some clients are its own.
    pub(crate) fn come_to_server(&mut self, client: usize) {
        if self.server.as_ref().is_some_and(|server| !server.switched && !server.refused) && self.dice.chance(60) {
            self.clients[client].former = Some(self.now);
        }
    }

    /// Whether a client uses the server itself, as before.
    pub(crate) fn goes_past_locators(&self, client: usize) -> bool {
        let uses = self.clients[client].former.is_some();
        uses && self.server.as_ref().is_some_and(|server| !server.switched)
    }

    pub(crate) fn use_server(&mut self, client: usize) {
        let now = self.time();
        let Some(server) = &self.server else { return };
        if self.engine.answers(&server.life.container, now) {
            self.clients[client].former = Some(self.now);
        }
    }

    /// Whether the client has a session on that instance that no locator knows, and that has not expired.
    pub(crate) fn has_former_session(&self, client: &Client, id: &InstanceId) -> bool {
        let Some(server) = self.server_as(id).filter(|server| server.switched) else { return false };
        client.stay.is_none() && client.former.is_some_and(|used| self.now < used + server.idle)
    }
}
