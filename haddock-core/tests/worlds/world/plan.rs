//! What kind of world a seed makes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use haddock_core::environment::{
    AutoRamp, Drain, Entry, Hook, Queue, Readiness, ReleaseSettings, ServiceSettings, Stage, StageGate,
};
use haddock_core::release::{Adoption, NewVersion};
use haddock_core::routing::{ApplicationCookie, Rate, SessionPolicy};
use haddock_core::runtime::sim::SimImage;
use haddock_core::{ComponentName, ServiceName, Share};

use super::dice::Dice;

/// How the worlds of a test differ from the default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    /// Locators. With more than one, each request of a client comes through any of them.
    pub(crate) locators: usize,
    /// Percent of the commits that close or stop something after which the worst happens at once: a rollback, a new
    /// release, the death of what serves, a crash, a restart of a locator.
    pub(crate) malice: u32,
    /// Percent of the releases that have a bad image.
    pub(crate) bad_images: u32,
    /// Milliseconds between two faults at full intensity; 0: no faults.
    pub(crate) fault_every: u64,
    /// Percent of the calls that are lost, late, doubled or unanswered.
    pub(crate) unreliable: u32,
    /// Milliseconds between two requests of the user.
    pub(crate) user_every: u64,
    /// Percent of the worlds that begin with a server that runs already, and is adopted with the sessions that it has.
    pub(crate) adopts: u32,
    /// Percent of the worlds in which the journal is lost, once, and recovered.
    pub(crate) wipes: u32,
    /// Percent of the user's requests that are for the end of the service.
    pub(crate) retires: u32,
    /// Percent of the releases that ask for what is known good already.
    pub(crate) again: u32,
    /// The user only asks for releases, queue newest.
    pub(crate) only_releases: bool,
    /// Percent of the worlds in which versions differ in their idle time.
    pub(crate) two_idles: u32,
    /// Percent of the controllers whose clock runs ahead as that of the one before did.
    pub(crate) clocks: u32,
    /// Percent of the verbs that are about one release, of now or before.
    pub(crate) about: u32,
    /// Percent of the drains with a deadline.
    pub(crate) deadlines: u32,
    /// Percent of the releases whose application fails requests. If above 0, some guards are quick to judge, too.
    pub(crate) faulty: u32,
    /// Percent of the worlds in which sessions are known by a cookie of the application: they may come back after they have
    /// expired. Clients often do so just then.
    pub(crate) returns: u32,
    /// How long it is unfair, in milliseconds. After that no fault happens and nobody asks for anything.
    pub(crate) unfair: u64,
    /// How long it is fair then, at most; it ends earlier when nothing is left to do.
    pub(crate) fair: u64,
}

impl Tuning {
    pub(crate) const DEFAULT: Self = Self {
        locators: 1,
        malice: 5,
        bad_images: 25,
        fault_every: 2_500,
        unreliable: 12,
        user_every: 5_000,
        adopts: 15,
        wipes: 0,
        retires: 0,
        again: 0,
        only_releases: false,
        two_idles: 30,
        clocks: 0,
        about: 0,
        deadlines: 50,
        faulty: 0,
        returns: 0,
        unfair: 40_000,
        fair: 120_000,
    };
}

/// The parameters of one world.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) locators: usize,
    pub(crate) clients: usize,
    pub(crate) fault_every: u64,
    pub(crate) unreliable: u32,
    pub(crate) unknown: u32,
    idles: Vec<u64>,
    pub(crate) layout: Layout,
    /// Sessions may come back.
    pub(crate) returns: bool,
}

/// Which components an instance has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Single,
    WithHelper,
    WithMigration,
}

impl Plan {
    pub(crate) fn new(tuning: &Tuning, dice: &mut Dice) -> Self {
        // Some worlds are quiet, so that they come far; some are wild.
        let intensity = dice.weighted(&[(2, 0), (4, 1), (3, 2), (1, 4)]);
        let idles = if dice.chance(tuning.two_idles) {
            vec![dice.within(3_000..3_500), dice.within(4_500..6_001)]
        } else {
            vec![dice.within(3_000..6_001)]
        };
        let layout = dice.weighted(&[(7, Layout::Single), (2, Layout::WithHelper), (1, Layout::WithMigration)]);
        Self {
            locators: tuning.locators,
            clients: dice.index(12) + 6,
            fault_every: tuning.fault_every.checked_div(intensity).unwrap_or(0),
            unreliable: if dice.chance(25) { 0 } else { tuning.unreliable },
            unknown: if dice.chance(50) { 0 } else { 5 },
            idles,
            layout,
            returns: tuning.returns > 0 && dice.chance(tuning.returns),
        }
    }

    /// A version that a user asks for, with the behaviour of its images, and whether they are sound.
    pub(crate) fn version(
        &self,
        tuning: &Tuning,
        number: u64,
        dice: &mut Dice,
    ) -> (NewVersion, Vec<(String, Option<SimImage>)>, bool) {
        let within = dice.within(5_000..10_001);
        let boot = Duration::from_millis(dice.within(50..1_500));
        let bad = number > 1 && dice.chance(tuning.bad_images);
        let image = if bad {
            let late = Duration::from_millis(dice.within(1_000..20_000));
            dice.weighted(&[
                (2, Some(SimImage::ending(boot, Duration::from_millis(20), 1))),
                (2, Some(SimImage::never_ready())),
                (2, Some(SimImage::good(Duration::from_millis(within + 3_000)))),
                (3, Some(SimImage::ending(boot, boot + late, 1))),
                (1, None),
            ])
        } else {
            Some(SimImage::good(boot))
        };
        let app = ComponentName::new("app").expect("valid");
        let side = ComponentName::new("side").expect("valid");
        let mut images = BTreeMap::from([(app.clone(), format!("app:{number}"))]);
        let mut behaviours = vec![(format!("app:{number}"), image)];
        let mut one_shots = BTreeSet::new();
        match self.layout {
            Layout::Single => {}
            Layout::WithHelper => {
                images.insert(side, "helper:1".into());
                behaviours.push(("helper:1".into(), Some(SimImage::good(Duration::ZERO))));
            }
            Layout::WithMigration => {
                let code = i64::from(bad && dice.chance(30));
                images.insert(side.clone(), format!("migrate:{number}"));
                let migration = SimImage::ending(Duration::ZERO, Duration::from_millis(dice.within(50..400)), code);
                behaviours.push((format!("migrate:{number}"), Some(migration)));
                one_shots.insert(side);
            }
        }
        let settings = ServiceSettings {
            service: ServiceName::new("shop").expect("valid"),
            entry: Entry { component: app, port: 8080 },
            ready: Readiness { within: Duration::from_millis(within), ..Readiness::default() },
            session: SessionPolicy {
                idle: Duration::from_millis(self.idle(dice)),
                application: self.returns.then(|| ApplicationCookie::new("JSESSIONID")),
                ..SessionPolicy::default()
            },
            release: self.release(tuning, dice),
            notify: 0,
        };
        let new = NewVersion { one_shots, ..NewVersion::new(format!("spec-{number}"), settings, images) };
        (new, behaviours, !bad)
    }

    /// What is judged, and how: quick guards find harm in chance alone, so verdicts come at any moment.
    pub(crate) fn guard(new: &mut NewVersion, dice: &mut Dice) {
        let release = &mut new.settings.release;
        let quick = dice.weighted(&[(1, 0.01), (2, 0.2), (3, 0.6)]);
        release.guard.false_alarm = Rate::new(quick).expect("a rate");
        release.guard.tolerate = Rate::new(dice.weighted(&[(1, 0.01), (1, 0.0)])).expect("a rate");
        release.guard.acts = !dice.chance(5);
        if dice.chance(15) {
            release.auto = Some(AutoRamp::default());
            release.ramp =
                vec![Stage::new(Share::percent(10), Duration::ZERO), Stage::new(Share::FULL, Duration::ZERO)];
        } else if dice.chance(20) {
            release.ramp[0].after = dice.within(1..5);
        }
    }

    /// A server that is adopted.
    pub(crate) fn adoption(&self, tuning: &Tuning, dice: &mut Dice, address: SocketAddr) -> Adoption {
        let service = ServiceName::new("shop").expect("valid");
        let mut settings = ServiceSettings::external(service, address);
        settings.ready.within = Duration::from_millis(dice.within(5_000..10_001));
        settings.session.idle = Duration::from_millis(self.idle(dice));
        settings.release = self.release(tuning, dice);
        Adoption { address, settings, cookie: dice.chance(50).then(|| "JSESSIONID".to_owned()) }
    }

    fn idle(&self, dice: &mut Dice) -> u64 {
        dice.pick(&self.idles).expect("there is one at least")
    }

    fn release(&self, tuning: &Tuning, dice: &mut Dice) -> ReleaseSettings {
        let stages = dice.within(1..5);
        let mut ramp: Vec<Stage> = (1..=stages)
            .map(|stage| {
                let share = Share::percent(u32::try_from(stage * 100 / stages).expect("at most 100"));
                Stage::new(share, Duration::from_millis(dice.within(1_000..3_001)))
            })
            .collect();
        if dice.chance(30) && ramp.len() > 1 {
            ramp[0].share = Share::percent(1);
        }
        let deadline = dice.chance(tuning.deadlines).then(|| Duration::from_millis(dice.within(1_000..8_000)));
        let supersede = !tuning.only_releases && dice.chance(40);
        let replicas = dice.weighted(&[(3, 1), (2, 2), (1, 3)]);
        let settle = Duration::from_millis(dice.within(1_000..3_001));
        // Random enough for one in five.
        let hooks = settle.as_millis().is_multiple_of(5);
        if settle.as_millis().is_multiple_of(7) && ramp.len() > 1 {
            ramp[0].gate = StageGate::Asked { every: Duration::from_millis(700) };
        }
        ReleaseSettings {
            replicas,
            ramp,
            settle,
            drain: Drain { evict_after: deadline },
            queue: if supersede { Queue::Supersede } else { Queue::Newest },
            max_versions: dice.weighted(&[(1, 2), (1, 3), (2, 4)]),
            unresponsive_for: Duration::from_millis(dice.within(2_000..4_001)),
            before: None,
            hooks: if hooks { [Hook::Serving, Hook::Draining].into() } else { Default::default() },
            ..ReleaseSettings::default()
        }
    }
}
