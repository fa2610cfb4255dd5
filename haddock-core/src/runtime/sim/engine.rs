//! The engine as data.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::image::{Images, SimImage};
use super::made::{Made, Phase};
use super::shelf::Shelf;
use super::volume::SimVolume;
use crate::container::{Container, ContainerId, ContainerSpec, Incarnation, Network, PullOptions, Selector};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// An engine without I/O. The time is an argument and must not run backwards.
#[derive(Debug, Clone, Default)]
pub struct SimEngine {
    pub(super) images: Images,
    pub(super) made: BTreeMap<ContainerId, Made>,
    pub(super) networks: BTreeMap<String, Network>,
    pub(super) volumes: BTreeMap<String, SimVolume>,
    /// The time up to which everything that happens by itself has happened.
    pub(super) now: Timestamp,
    pub(super) counter: u32,
    pub(super) pulled: Vec<(String, PullOptions)>,
    pub(super) shelf: Shelf,
}

impl SimEngine {
    /// An engine with nothing on it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an image into the registry.
    pub fn add_image(&mut self, name: impl Into<String>, image: SimImage) {
        self.images.add(name.into(), image);
    }

    /// Lets the registry have every image that was not added, all with the same behaviour; or none of these, as at
    /// first.
    pub fn set_other_images(&mut self, image: Option<SimImage>) {
        self.images.set_others(image);
    }

    /// From now on the registry has another image under that name. It behaves in the same way and has another id.
    pub fn push_image(&mut self, name: &str, version: &str) {
        self.images.push(name, version);
    }

    /// The paths for which containers of an image get a volume even if nobody names one (`VOLUME` in its Dockerfile).
    pub fn set_image_volumes(&mut self, name: impl Into<String>, paths: impl IntoIterator<Item = impl Into<String>>) {
        self.images.set_volumes(name.into(), paths.into_iter().map(Into::into).collect());
    }

    /// The paths for which containers of an image get a volume.
    #[must_use]
    pub fn image_volumes(&self, name: &str) -> Vec<String> {
        self.images.volumes(name).to_vec()
    }

    /// What containers of an image write as soon as they are started.
    pub fn set_image_output(&mut self, name: impl Into<String>, lines: impl IntoIterator<Item = impl Into<String>>) {
        self.images.set_output(name.into(), lines.into_iter().map(Into::into).collect());
    }

    /// Containers of this image run on when they are asked to stop, and have to be killed.
    pub fn set_image_stubborn(&mut self, name: impl Into<String>) {
        self.images.set_stubborn(name.into());
    }

    /// The id of the registry's image of that name: the name itself, unless another image was pushed.
    ///
    /// # Errors
    /// [`ErrorKind::ImageMissing`].
    pub fn pull(&self, name: &str) -> Result<String> {
        self.images.id(name)
    }

    /// The id of the host's image of that name. The registry is asked first if the host has none, or if this is wanted.
    ///
    /// # Errors
    /// [`ErrorKind::ImageMissing`].
    pub fn fetch(&mut self, name: &str, refresh: bool) -> Result<String> {
        self.images.fetch(name, refresh)
    }

    /// The pulls that were asked for, and how, oldest first. A simulated image is for every platform, and the host can
    /// get every image of the registry. So the way of asking has no effect, but is kept for tests to look at. The same
    /// holds for what containers are made from; see [`made_from`](Self::made_from).
    #[must_use]
    pub fn pulled(&self) -> &[(String, PullOptions)] {
        &self.pulled
    }

    /// Creates a container; takes one of the same name and identity.
    ///
    /// # Errors
    /// [`ErrorKind::NameTaken`], [`ErrorKind::ImageMissing`].
    pub fn create(&mut self, spec: &ContainerSpec) -> Result<ContainerId> {
        if let Some(made) = self.made.values().find(|made| made.container.name == spec.name) {
            if spec.identity.is_carried_by(&made.container.labels) {
                return Ok(made.container.id.clone());
            }
            let message = format!("the name `{}` is taken by a container of somebody else", spec.name);
            return Err(Error::new(ErrorKind::NameTaken, message));
        }
        // Simulated processes do not look at the other settings. None is refused, so that any file can be tried.
        let ContainerSpec {
            name: _,
            image: _,
            identity: _,
            labels: _,
            networks: _,
            expose: _,
            publish: _,
            entrypoint: _,
            command: _,
            environment: _,
            network_mode: _,
            health_check: _,
            stop_signal: _,
            mounts: _,
            files: _,
            restart: _,
            options: _,
        } = spec;
        let behaviour = self.images.behaviour(&spec.image)?;
        self.counter += 1;
        let id = ContainerId(format!("{:012x}", self.counter));
        let networks = spec.networks.iter().map(|attachment| attachment.network.clone()).collect();
        let container = Container { networks, ..Container::created(id.clone(), spec) };
        let mut made = Made::new(container, spec.clone(), behaviour);
        made.mounts = self.mount(spec);
        made.join(spec.networks.iter().map(|it| (it.network.clone(), self.network_id(&it.network))).collect());
        self.made.insert(id.clone(), made);
        Ok(id)
    }

    /// Starts a created container; leaves any other as it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::PortTaken`] if another has one of its ports on the host;
    /// [`ErrorKind::RuntimeRefused`] if a network of its own has gone.
    pub fn start(&mut self, id: &ContainerId, now: Timestamp) -> Result<()> {
        self.settle(now);
        match self.made.get(id).ok_or_else(|| not_found(id))?.phase {
            Phase::Created => self.start_anew(id, now),
            _ => Ok(()),
        }
    }

    /// Starts a container that has ended in that life once more; leaves any other as it is.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_again(&mut self, life: &Incarnation, now: Timestamp) -> Result<()> {
        self.settle(now);
        let made = self.made.get(&life.container).ok_or_else(|| not_found(&life.container))?;
        match made.phase {
            Phase::Exited(_) if made.container.is_incarnation(life) => self.start_anew(&life.container, now),
            _ => Ok(()),
        }
    }

    /// Starts a container that does not run, for the first time or again.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_anew(&mut self, id: &ContainerId, now: Timestamp) -> Result<()> {
        self.settle(now);
        let made = self.made.get(id).ok_or_else(|| not_found(id))?;
        if made.is_alive() {
            return Ok(());
        }
        let ports: Vec<u16> = made.spec.publish.iter().filter_map(|port| port.host).filter(|port| *port != 0).collect();
        if let Some(port) = ports.iter().find(|port| !self.is_free(**port)) {
            let message = format!("cannot start container `{}`: port {port} of the host is taken", made.container.name);
            return Err(Error::new(ErrorKind::PortTaken, message));
        }
        let mut joined = made.networks.clone();
        for (name, network) in &mut joined {
            *network = network.take().or_else(|| self.network_id(name));
            if !network.as_ref().is_some_and(|id| self.networks.contains_key(id)) {
                let message = format!("cannot start container `{}`: network `{name}` not found", made.container.name);
                return Err(Error::new(ErrorKind::RuntimeRefused, message));
            }
        }
        let made = self.made.get_mut(id).expect("seen above");
        made.join(joined);
        made.stopped_by_hand = false;
        made.begin_life(now, &mut self.counter);
        Ok(())
    }

    /// Whether no container has this port of the host now.
    #[must_use]
    pub fn port_is_free(&mut self, host: u16, now: Timestamp) -> bool {
        self.settle(now);
        self.is_free(host)
    }

    fn is_free(&self, host: u16) -> bool {
        let has = |other: &Made| other.container.published.values().any(|it| it.port() == host);
        host == 0 || !self.made.values().any(|other| other.is_alive() && has(other))
    }

    /// The last lines that a container wrote.
    #[must_use]
    pub fn logs(&self, id: &ContainerId, tail: usize) -> Option<Vec<String>> {
        let made = self.made.get(id)?;
        let all = if made.container.started == 0 { &[] } else { self.images.output(&made.spec.image) };
        Some(all[all.len().saturating_sub(tail)..].to_vec())
    }

    /// Asks a container to stop. It ends with code 143, or with 137 if it is stubborn. Its restart policy does not
    /// start it again. If it neither runs nor waits for a restart, nothing is done.
    pub fn stop(&mut self, id: &ContainerId) {
        let now = self.now;
        let Some(made) = self.made.get_mut(id) else { return };
        match made.phase {
            Phase::Running | Phase::Paused => {
                made.stopped_by_hand = true;
                made.end(if self.images.is_stubborn(&made.spec.image) { 137 } else { 143 }, now);
            }
            Phase::Restarting(_, code) => {
                made.stopped_by_hand = true;
                made.enter(Phase::Exited(code));
            }
            Phase::Created | Phase::Exited(_) | Phase::Removing | Phase::Dead => {}
        }
    }

    /// Removes a container, running or not. Its volumes stay. Returns whether it existed.
    pub fn remove(&mut self, id: &ContainerId) -> bool {
        self.made.remove(id).is_some()
    }

    /// Removes a container, running or not, with the volumes that were made for it alone. Returns whether it existed.
    pub fn remove_with_volumes(&mut self, id: &ContainerId) -> bool {
        let mounts = self.mount_points(id).to_vec();
        let there = self.remove(id);
        self.drop_anonymous(&mounts);
        there
    }

    /// The container of that id, or of that name, as it is at `now`.
    #[must_use]
    pub fn inspect(&mut self, id: &ContainerId, now: Timestamp) -> Option<&Container> {
        self.settle(now);
        let named = self.made.values().find(|made| made.container.name == id.0).map(|made| made.container.id.clone());
        self.made.get(named.as_ref().unwrap_or(id)).map(|made| &made.container)
    }

    /// Every container as it is at `now`, in the order of their ids.
    pub fn containers(&mut self, now: Timestamp) -> impl Iterator<Item = &Container> {
        self.settle(now);
        self.made.values().map(|made| &made.container)
    }

    /// What a container was made from.
    #[must_use]
    pub fn made_from(&self, id: &ContainerId) -> Option<&ContainerSpec> {
        self.made.get(id).map(|made| &made.spec)
    }

    /// The containers that the selector matches.
    #[must_use]
    pub fn list(&mut self, selector: &Selector, now: Timestamp) -> Vec<Container> {
        self.containers(now).filter(|container| selector.matches(&container.labels)).cloned().collect()
    }

    /// Whether a probe of it succeeds.
    #[must_use]
    pub fn answers(&mut self, id: &ContainerId, now: Timestamp) -> bool {
        self.settle(now);
        self.made.get(id).is_some_and(|made| made.answers(now))
    }

    /// The container that has this address now: its own, or one on the host.
    #[must_use]
    pub fn at(&mut self, address: SocketAddr, now: Timestamp) -> Option<ContainerId> {
        let here = |container: &&Container| {
            container.addresses.values().chain(container.published.values()).any(|own| *own == address)
        };
        self.containers(now).find(here).map(|container| container.id.clone())
    }

    /// Lets everything happen that happens by itself until now.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.now = now;
        for made in self.made.values_mut() {
            made.run(now, &mut self.counter);
        }
    }
}

pub(super) fn not_found(id: &ContainerId) -> Error {
    Error::new(ErrorKind::NotFound, format!("container `{id}` does not exist"))
}
