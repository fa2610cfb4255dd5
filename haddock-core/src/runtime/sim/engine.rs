//! The engine as data.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::container::{
    Container, ContainerId, ContainerSpec, ContainerState, Health, Incarnation, Mount, Network, NetworkSpec, Selector,
    Volume, VolumeSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// How containers of an image behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimImage {
    /// From its start until it answers; `None`: it never does.
    pub boot: Option<Duration>,
    /// How long after its start it ends, and with which code; `None`: it runs until it is stopped.
    pub end: Option<(Duration, i64)>,
}

impl SimImage {
    /// It answers after `boot` and runs until it is stopped.
    #[must_use]
    pub const fn good(boot: Duration) -> Self {
        Self { boot: Some(boot), end: None }
    }

    /// It runs and never answers.
    #[must_use]
    pub const fn never_ready() -> Self {
        Self { boot: None, end: None }
    }

    /// It ends with `code` that long after its start, having answered from `boot` on if that comes first.
    #[must_use]
    pub const fn ending(boot: Duration, after: Duration, code: i64) -> Self {
        Self { boot: Some(boot), end: Some((after, code)) }
    }
}

#[derive(Debug, Clone)]
struct Made {
    container: Container,
    image: SimImage,
    expose: Vec<u16>,
    mounts: Vec<Mount>,
    started_at: Timestamp,
    hangs_until: Timestamp,
}

impl Made {
    fn run(&mut self, now: Timestamp) {
        let Some((after, code)) = self.image.end else { return };
        if self.container.is_running() && self.started_at + after <= now {
            self.exit(code);
        }
    }

    fn exit(&mut self, code: i64) {
        self.container.state = ContainerState::Exited { code, out_of_memory: false };
        self.container.addresses.clear();
    }

    fn answers(&self, now: Timestamp) -> bool {
        let booted = self.image.boot.is_some_and(|boot| self.started_at + boot <= now);
        self.container.is_running() && booted && self.hangs_until <= now
    }
}

/// An engine without I/O. The time is an argument and must not run backwards.
#[derive(Debug, Clone, Default)]
pub struct SimEngine {
    images: BTreeMap<String, SimImage>,
    image_volumes: BTreeMap<String, Vec<String>>,
    other_images: Option<SimImage>,
    made: BTreeMap<ContainerId, Made>,
    networks: BTreeMap<String, Network>,
    volumes: BTreeMap<String, Volume>,
    counter: u32,
}

impl SimEngine {
    /// An engine with nothing on it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an image into the registry.
    pub fn add_image(&mut self, name: impl Into<String>, image: SimImage) {
        self.images.insert(name.into(), image);
    }

    /// Lets the registry have every image that it was not given, all alike; or none of them, as at first.
    pub fn set_other_images(&mut self, image: Option<SimImage>) {
        self.other_images = image;
    }

    /// Lets an image want volumes at these paths.
    pub fn set_image_volumes(&mut self, name: impl Into<String>, paths: impl IntoIterator<Item = impl Into<String>>) {
        self.image_volumes.insert(name.into(), paths.into_iter().map(Into::into).collect());
    }

    /// The paths at which an image wants volumes.
    #[must_use]
    pub fn image_volumes(&self, name: &str) -> Vec<String> {
        self.image_volumes.get(name).cloned().unwrap_or_default()
    }

    fn image(&self, name: &str) -> Result<SimImage> {
        self.images.get(name).copied().or(self.other_images).ok_or_else(|| missing(name))
    }

    /// Pulls an image; its id is its name.
    ///
    /// # Errors
    /// [`ErrorKind::ImageMissing`].
    pub fn pull(&self, name: &str) -> Result<String> {
        self.image(name).map(|_| name.to_owned())
    }

    /// Creates a container; takes one of the same name that has all the labels.
    ///
    /// # Errors
    /// [`ErrorKind::NameTaken`], [`ErrorKind::ImageMissing`].
    pub fn create(&mut self, spec: &ContainerSpec) -> Result<ContainerId> {
        if let Some(made) = self.made.values().find(|made| made.container.name == spec.name) {
            if spec.labels.iter().all(|(key, value)| made.container.labels.get(key) == Some(value)) {
                return Ok(made.container.id.clone());
            }
            let message = format!("the name `{}` is taken by a container of somebody else", spec.name);
            return Err(Error::new(ErrorKind::NameTaken, message));
        }
        let image = self.image(&spec.image)?;
        self.counter += 1;
        let id = ContainerId(format!("{:012x}", self.counter));
        let container = Container {
            id: id.clone(),
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            state: ContainerState::Created,
            started: 0,
            health: Health::None,
            addresses: BTreeMap::new(),
            published: BTreeMap::new(),
            image: spec.image.clone(),
            networks: spec.networks.iter().map(|attachment| attachment.network.clone()).collect(),
        };
        let expose = spec.expose.iter().copied().chain(spec.publish.iter().map(|port| port.container)).collect();
        let (started_at, hangs_until) = (Timestamp::default(), Timestamp::default());
        self.made.insert(
            id.clone(),
            Made { container, image, expose, mounts: spec.mounts.clone(), started_at, hangs_until },
        );
        Ok(id)
    }

    /// Starts a created container; leaves any other as it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn start(&mut self, id: &ContainerId, now: Timestamp) -> Result<()> {
        let made = self.made.get(id).ok_or_else(|| not_found(id))?;
        if made.container.state == ContainerState::Created {
            self.begin_life(id, now);
        }
        Ok(())
    }

    /// Starts a container that has ended in that life once more; leaves any other as it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn start_again(&mut self, life: &Incarnation, now: Timestamp) -> Result<()> {
        let container = self.inspect(&life.container, now).ok_or_else(|| not_found(&life.container))?;
        if matches!(container.state, ContainerState::Exited { .. }) && container.incarnation() == *life {
            self.begin_life(&life.container, now);
        }
        Ok(())
    }

    /// Somebody else pauses it: it holds its sessions, and does not answer. One that does not run is left as it is.
    pub fn pause(&mut self, id: &ContainerId, now: Timestamp) {
        if let Some(made) = self.made.get_mut(id) {
            made.run(now);
            if made.container.is_running() {
                made.container.state = ContainerState::Paused;
            }
        }
    }

    /// Lets it go on. One that is not paused is left as it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn unpause(&mut self, id: &ContainerId) -> Result<()> {
        let made = self.made.get_mut(id).ok_or_else(|| not_found(id))?;
        if made.container.state == ContainerState::Paused {
            made.container.state = ContainerState::Running;
        }
        Ok(())
    }

    /// It is found in that state from now on: what an engine reports of one that fails again and again, or that could
    /// not be removed.
    pub fn set_state(&mut self, id: &ContainerId, state: ContainerState) {
        if let Some(made) = self.made.get_mut(id) {
            made.container.state = state;
            if !made.container.is_active() {
                made.container.addresses.clear();
            }
        }
    }

    /// What it mounts.
    #[must_use]
    pub fn mounts(&self, id: &ContainerId) -> &[Mount] {
        self.made.get(id).map_or(&[], |made| &made.mounts)
    }

    /// Somebody else starts it anew, whatever it was doing: another incarnation, at other addresses.
    pub fn restart(&mut self, id: &ContainerId, now: Timestamp) {
        if self.made.contains_key(id) {
            self.begin_life(id, now);
        }
    }

    fn begin_life(&mut self, id: &ContainerId, now: Timestamp) {
        self.counter += 1;
        let life = self.counter;
        let Some(made) = self.made.get_mut(id) else { return };
        made.started_at = now;
        made.hangs_until = now;
        made.container.state = ContainerState::Running;
        // Unique even if two lives begin in one millisecond.
        made.container.started = now.as_millis() * 1_000_000 + u64::from(life % 1_000_000);
        let host = Ipv4Addr::from_bits(0x7f00_0000 | (life % 0x00ff_fffe + 1));
        made.container.addresses = made.expose.iter().map(|port| (*port, SocketAddr::from((host, *port)))).collect();
    }

    /// Its process ends with `code`.
    pub fn kill(&mut self, id: &ContainerId, code: i64) {
        if let Some(made) = self.made.get_mut(id).filter(|made| made.container.is_active()) {
            made.exit(code);
        }
    }

    /// It runs, and does not answer before `until`.
    pub fn hang(&mut self, id: &ContainerId, until: Timestamp) {
        if let Some(made) = self.made.get_mut(id) {
            made.hangs_until = made.hangs_until.max(until);
        }
    }

    /// Asks it to stop: it does, with code 143. One that is not running is left as it is.
    pub fn stop(&mut self, id: &ContainerId) {
        self.kill(id, 143);
    }

    /// Removes it, running or not. Answers whether it was there.
    pub fn remove(&mut self, id: &ContainerId) -> bool {
        self.made.remove(id).is_some()
    }

    /// The container of that id, or of that name, as it is at `now`.
    #[must_use]
    pub fn inspect(&mut self, id: &ContainerId, now: Timestamp) -> Option<&Container> {
        let named = self.made.values().find(|made| made.container.name == id.0).map(|made| made.container.id.clone());
        let made = self.made.get_mut(named.as_ref().unwrap_or(id))?;
        made.run(now);
        Some(&made.container)
    }

    /// Every container as it is at `now`, in the order of their ids.
    pub fn containers(&mut self, now: Timestamp) -> impl Iterator<Item = &Container> {
        self.made.values_mut().map(move |made| {
            made.run(now);
            &made.container
        })
    }

    /// The containers that the selector matches.
    #[must_use]
    pub fn list(&mut self, selector: &Selector, now: Timestamp) -> Vec<Container> {
        self.containers(now).filter(|container| selector.matches(&container.labels)).cloned().collect()
    }

    /// Whether a probe of it succeeds.
    #[must_use]
    pub fn answers(&mut self, id: &ContainerId, now: Timestamp) -> bool {
        let Some(made) = self.made.get_mut(id) else { return false };
        made.run(now);
        made.answers(now)
    }

    /// The container that has this address now.
    #[must_use]
    pub fn at(&mut self, address: SocketAddr, now: Timestamp) -> Option<ContainerId> {
        let here = |container: &&Container| container.addresses.values().any(|own| *own == address);
        self.containers(now).find(here).map(|container| container.id.clone())
    }

    /// Creates a network; takes one of the same name that has all the labels.
    ///
    /// # Errors
    /// [`ErrorKind::NameTaken`].
    pub fn create_network(&mut self, spec: &NetworkSpec) -> Result<Network> {
        if let Some(network) = self.networks.values().find(|network| network.name == spec.name) {
            if spec.labels.iter().all(|(key, value)| network.labels.get(key) == Some(value)) {
                return Ok(network.clone());
            }
            let message = format!("the name `{}` is taken by a network of somebody else", spec.name);
            return Err(Error::new(ErrorKind::NameTaken, message));
        }
        self.counter += 1;
        let id = format!("n{:011x}", self.counter);
        let network = Network { id: id.clone(), name: spec.name.clone(), labels: spec.labels.clone(), subnet: None };
        self.networks.insert(id, network.clone());
        Ok(network)
    }

    /// Makes a container join a network.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn connect(&mut self, id: &ContainerId, network: &str) -> Result<()> {
        let made = self.made.get_mut(id).ok_or_else(|| not_found(id))?;
        if !made.container.networks.iter().any(|joined| joined == network) {
            made.container.networks.push(network.to_owned());
        }
        Ok(())
    }

    /// Makes a container leave a network.
    pub fn disconnect(&mut self, id: &ContainerId, network: &str) {
        if let Some(made) = self.made.get_mut(id) {
            made.container.networks.retain(|joined| joined != network);
        }
    }

    /// Creates a volume; takes one of the same name that has all the labels.
    ///
    /// # Errors
    /// [`ErrorKind::NameTaken`].
    pub fn create_volume(&mut self, spec: &VolumeSpec) -> Result<()> {
        let new = || Volume { name: spec.name.clone(), labels: spec.labels.clone() };
        let volume = self.volumes.entry(spec.name.clone()).or_insert_with(new);
        match spec.labels.iter().all(|(key, value)| volume.labels.get(key) == Some(value)) {
            true => Ok(()),
            false => {
                let message = format!("the name `{}` is taken by a volume of somebody else", spec.name);
                Err(Error::new(ErrorKind::NameTaken, message))
            }
        }
    }

    /// The volumes that the selector matches.
    #[must_use]
    pub fn list_volumes(&self, selector: &Selector) -> Vec<Volume> {
        self.volumes.values().filter(|volume| selector.matches(&volume.labels)).cloned().collect()
    }

    /// Removes a volume. Answers whether it was there.
    pub fn remove_volume(&mut self, name: &str) -> bool {
        self.volumes.remove(name).is_some()
    }

    /// The networks that the selector matches.
    #[must_use]
    pub fn list_networks(&self, selector: &Selector) -> Vec<Network> {
        self.networks.values().filter(|network| selector.matches(&network.labels)).cloned().collect()
    }

    /// Removes a network. Answers whether it was there.
    pub fn remove_network(&mut self, id: &str) -> bool {
        self.networks.remove(id).is_some()
    }
}

fn missing(image: &str) -> Error {
    Error::new(ErrorKind::ImageMissing, format!("image `{image}` is not in the registry"))
}

fn not_found(id: &ContainerId) -> Error {
    Error::new(ErrorKind::NotFound, format!("container `{id}` does not exist"))
}
