//! What breaks.

use std::collections::BTreeMap;

use haddock_core::Timestamp;
use haddock_core::container::{Container, ContainerSpec, label};

use super::{Event, World};

/// Faults that end by themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Repair {
    Engine,
    Reach(usize),
    Light(usize),
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Restart,
    Remove,
    Hang,
    Engine,
    CutOff,
    LocatorRestart,
    Crash,
    Stall,
    Foreign,
}

impl World {
    pub(crate) fn fault(&mut self) {
        if !self.is_unfair() {
            return;
        }
        let fault = self.dice.weighted(&[
            (4, Fault::Kill),
            (2, Fault::Restart),
            (1, Fault::Remove),
            (4, Fault::Hang),
            (2, Fault::Engine),
            (3, Fault::CutOff),
            (3, Fault::LocatorRestart),
            (3, Fault::Crash),
            (2, Fault::Stall),
            (1, Fault::Foreign),
        ]);
        let now = self.time();
        match fault {
            Fault::Kill => {
                if let Some(container) = self.victim() {
                    self.note(|| format!("fault: {} dies", container.name));
                    self.engine.kill(&container.id, 137);
                }
            }
            Fault::Restart => {
                if let Some(container) = self.victim() {
                    self.note(|| format!("fault: somebody restarts {}", container.name));
                    self.engine.restart(&container.id, now);
                    self.meet("restarted by somebody");
                }
            }
            Fault::Remove => {
                if let Some(container) = self.victim() {
                    self.note(|| format!("fault: somebody removes {}", container.name));
                    self.engine.remove(&container.id);
                }
            }
            Fault::Hang => self.hang(),
            Fault::Engine => {
                self.note(|| "fault: the engine is down".into());
                self.engine_down += 1;
                self.repair_after(300..4_000, Repair::Engine);
            }
            Fault::CutOff => {
                let at = self.dice.index(self.posts.len());
                self.note(|| format!("fault: g{} is out of reach", at + 1));
                self.posts[at].cut_off += 1;
                self.repair_after(300..5_000, Repair::Reach(at));
            }
            Fault::LocatorRestart => self.restart_locator(),
            Fault::Crash => self.crash(),
            Fault::Stall => self.stall(),
            Fault::Foreign => self.make_foreign(),
        }
        self.refresh_truth();
        let after = self.dice.within(1..2 * self.plan.fault_every);
        self.schedule(after, Event::Fault);
    }

    /// A running container of ours.
    fn victim(&mut self) -> Option<Container> {
        let (now, journal) = (self.time(), self.journal_id.clone());
        let service = self.service.clone();
        let ours = |container: &&Container| {
            let of_service = container.instance().is_some_and(|id| id.is_of(&journal, &service));
            container.is_running() && container.belongs_to(&journal) && of_service
        };
        let running: Vec<Container> = self.engine.containers(now).filter(ours).cloned().collect();
        self.dice.pick(&running)
    }

    /// The worst that could happen just now, when something has been asked to close or to stop.
    pub(crate) fn malice(&mut self) {
        match self.dice.index(6) {
            0 | 1 => self.submit(haddock_core::release::Verb::Rollback),
            2 => self.ask_for_release(),
            3 => self.crash(),
            4 => self.restart_locator(),
            _ => {
                let asked = self.journal.state.asked.clone();
                let routes = asked.into_iter().flat_map(|asked| asked.routes);
                let serving: Vec<_> = routes.filter(|(_, route)| !route.share.is_zero()).map(|(id, _)| id).collect();
                for id in serving {
                    // An adopted server is silent at times, but never ends. At the end it is as it was.
                    if self.server_as(&id).is_some() {
                        continue;
                    }
                    if let Some(life) = self.entry(&id) {
                        self.note(|| format!("malice: {id} dies"));
                        self.engine.kill(&life.container, 137);
                    }
                }
                self.refresh_truth();
            }
        }
    }

    fn hang(&mut self) {
        let server = self.server.as_ref().map(|server| server.life.container.clone());
        let now = self.time();
        let server = server.filter(|_| self.dice.chance(25)).and_then(|id| self.engine.inspect(&id, now).cloned());
        let Some(container) = server.or_else(|| self.victim()) else { return };
        let until = self.now + self.dice.within(500..7_000);
        self.note(|| format!("fault: {} hangs", container.name));
        self.engine.hang(&container.id, Timestamp::from_millis(until));
        let life = container.incarnation();
        let now = self.now;
        self.truth.silences.push((life.clone(), now, until));
        // Only its entry's silence makes an instance unresponsive.
        let of = |lives: &BTreeMap<_, _>| lives.get("app") == Some(&life);
        for truth in self.truth.instances.values_mut().filter(|truth| truth.lives.as_ref().is_some_and(of)) {
            truth.hangs.push((now, until));
        }
    }

    fn restart_locator(&mut self) {
        let at = self.dice.index(self.posts.len());
        let now = self.time();
        self.note(|| format!("fault: g{} restarts", at + 1));
        self.posts[at].core.restart(now);
        self.posts[at].dark += 1;
        self.posts[at].cut_off += 1;
        self.meet("locator restart");
        if self.truth.instances.values().any(|truth| truth.draining_since.is_some()) {
            self.meet("locator restart in a drain");
        }
        let after = self.dice.within(50..1_500);
        self.schedule(after, Event::Repair(Repair::Light(at)));
        self.schedule(after, Event::Repair(Repair::Reach(at)));
    }

    fn repair_after(&mut self, range: std::ops::Range<u64>, repair: Repair) {
        let after = self.dice.within(range);
        self.schedule(after, Event::Repair(repair));
    }

    pub(crate) fn repair(&mut self, repair: Repair) {
        self.note(|| format!("repaired: {repair:?}"));
        match repair {
            Repair::Engine => self.engine_down -= 1,
            Repair::Reach(at) => self.posts[at].cut_off -= 1,
            Repair::Light(at) => self.posts[at].dark -= 1,
        }
    }

    /// Somebody else starts a container: of another journal, of nobody's, or of another service of our journal.
    fn make_foreign(&mut self) {
        let now = self.time();
        let number = self.truth.foreign.len();
        let labels: &[(&str, &str)] = match self.dice.index(3) {
            0 => &[(label::JOURNAL, "j2"), (label::ENVIRONMENT, "shop-1-j2")],
            1 => &[],
            _ => &[(label::JOURNAL, "j1"), (label::ENVIRONMENT, "blog-1-j1")],
        };
        self.engine.add_image("other:1", haddock_core::runtime::sim::SimImage::good(std::time::Duration::ZERO));
        let spec = ContainerSpec {
            name: format!("other-{number}"),
            image: "other:1".into(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            expose: vec![8080],
            ..ContainerSpec::default()
        };
        let id = self.engine.create(&spec).expect("the name is new and the image is there");
        self.engine.start(&id, now).expect("it was just created");
        let life = self.engine.inspect(&id, now).expect("it was just created").incarnation();
        self.truth.foreign.push(life);
        self.meet("foreign container");
    }
}
