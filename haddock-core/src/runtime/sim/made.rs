//! One container: its lives, its restart policy, its health.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::image::SimImage;
use super::volume::MountPoint;
use crate::container::{Container, ContainerSpec, ContainerState, Health, RestartPolicy};
use crate::time::Timestamp;

/// The wait between the end of a container and its next start by its restart policy. It doubles each time (Docker's
/// `restartmanager`), and begins anew after a life that was long enough.
const FIRST_RESTART_DELAY: Duration = Duration::from_millis(100);
const MAX_RESTART_DELAY: Duration = Duration::from_secs(60);
const RESTART_RESET_AFTER: Duration = Duration::from_secs(10);
/// By default: the time between two health checks, and how many have to fail.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
const CHECK_RETRIES: u32 = 3;
/// The first port that the host gives to containers that ask for any port.
const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// What a container is doing, in the words of engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Created,
    Running,
    Paused,
    /// It has ended, and is started again at that time.
    Restarting(Timestamp, i64),
    Exited(i64),
    /// It is being removed.
    Removing,
    /// It could not be removed, and cannot be started.
    Dead,
}

#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) container: Container,
    pub(super) spec: ContainerSpec,
    pub(super) behaviour: SimImage,
    pub(super) phase: Phase,
    pub(super) mounts: Vec<MountPoint>,
    /// What was written outside its volumes.
    pub(super) files: BTreeMap<String, String>,
    /// The ids of its networks, by name. A network that did not exist when it was made has no id yet.
    pub(super) networks: BTreeMap<String, Option<String>>,
    pub(super) started_at: Timestamp,
    pub(super) hangs_until: Timestamp,
    /// Whether somebody has stopped it, so that its policy does not start it again.
    pub(super) stopped_by_hand: bool,
    restarts: u32,
}

impl Made {
    pub(super) fn new(container: Container, spec: ContainerSpec, behaviour: SimImage) -> Self {
        let time = Timestamp::default();
        Self {
            container,
            spec,
            behaviour,
            phase: Phase::Created,
            mounts: Vec::new(),
            files: BTreeMap::new(),
            networks: BTreeMap::new(),
            started_at: time,
            hangs_until: time,
            stopped_by_hand: false,
            restarts: 0,
        }
    }

    /// It is on these networks, and on no others.
    pub(super) fn join(&mut self, networks: BTreeMap<String, Option<String>>) {
        let known = networks.iter().filter_map(|(name, id)| Some((name.clone(), id.clone()?)));
        self.container.network_ids = known.collect();
        self.networks = networks;
    }

    /// Lets everything happen to it that happens by itself until now. `lives`: the number of the engine's last life.
    pub(super) fn run(&mut self, now: Timestamp, lives: &mut u32) {
        loop {
            match (self.phase, self.behaviour.end) {
                (Phase::Running, Some((after, code))) if self.started_at + after <= now => {
                    self.end(code, self.started_at + after);
                }
                (Phase::Restarting(at, _), _) if at <= now => self.begin_life(at, lives),
                _ => break,
            }
        }
        if self.spec.health_check.is_some() && self.phase == Phase::Running {
            self.container.health = self.health(now);
        }
    }

    pub(super) fn begin_life(&mut self, now: Timestamp, lives: &mut u32) {
        *lives += 1;
        let life = *lives;
        self.started_at = now;
        self.hangs_until = now;
        // Unique even if two lives begin in one millisecond.
        self.container.started = now.as_millis() * 1_000_000 + u64::from(life % 1_000_000);
        let host = Ipv4Addr::from_bits(0x7f00_0000 | (life % 0x00ff_fffe + 1));
        self.container.addresses = self.ports().map(|port| (port, SocketAddr::from((host, port)))).collect();
        let any = FIRST_EPHEMERAL_PORT + u16::try_from(life % 0x7000).unwrap_or(0);
        let published = self.spec.publish.iter().map(|port| {
            let address = port.host_address.filter(|it| !it.is_unspecified());
            let address = address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
            (port.container, SocketAddr::new(address, port.host.filter(|port| *port != 0).unwrap_or(any)))
        });
        self.container.published = published.collect();
        self.enter(Phase::Running);
        self.container.health = self.health(now);
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        self.spec.expose.iter().copied().chain(self.spec.publish.iter().map(|port| port.container))
    }

    /// Its process has ended.
    pub(super) fn end(&mut self, code: i64, at: Timestamp) {
        self.container.addresses.clear();
        self.container.published.clear();
        if at.since(self.started_at) >= RESTART_RESET_AFTER {
            self.restarts = 0;
        }
        let again = !self.stopped_by_hand && self.is_started_again(code);
        if again {
            let wait = FIRST_RESTART_DELAY.saturating_mul(1 << self.restarts.min(16)).min(MAX_RESTART_DELAY);
            self.restarts += 1;
            self.enter(Phase::Restarting(at + wait, code));
        } else {
            self.enter(Phase::Exited(code));
        }
    }

    /// Whether its policy starts it again after this kind of end.
    pub(super) fn is_started_again(&self, code: i64) -> bool {
        match self.spec.restart {
            Some(RestartPolicy::Always | RestartPolicy::UnlessStopped) => true,
            Some(RestartPolicy::OnFailure(times)) => code != 0 && times.is_none_or(|times| self.restarts < times),
            Some(RestartPolicy::No) | None => false,
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.container.state = match phase {
            Phase::Created => ContainerState::Created,
            Phase::Running => ContainerState::Running,
            Phase::Paused => ContainerState::Paused,
            Phase::Restarting(_, code) => ContainerState::Restarting { code },
            Phase::Exited(code) => ContainerState::Exited { code, out_of_memory: false },
            Phase::Removing => ContainerState::Removing,
            Phase::Dead => ContainerState::Dead,
        };
    }

    /// Whether it has a process, frozen or not.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }

    pub(super) fn answers(&self, now: Timestamp) -> bool {
        let booted = self.behaviour.boot.is_some_and(|boot| self.started_at + boot <= now);
        self.phase == Phase::Running && booted && self.hangs_until <= now
    }

    fn health(&self, now: Timestamp) -> Health {
        let Some(check) = &self.spec.health_check else { return Health::None };
        if check.test.first().is_none_or(|kind| kind == "NONE") {
            return Health::None;
        }
        let failures = check.interval.unwrap_or(CHECK_INTERVAL) * check.retries.unwrap_or(CHECK_RETRIES);
        match () {
            () if self.answers(now) => Health::Healthy,
            () if self.started_at + check.start_period.unwrap_or_default() + failures <= now => Health::Unhealthy,
            () => Health::Starting,
        }
    }
}
