//! The user: asks for releases, and changes their mind.

use haddock_core::RequestId;
use haddock_core::release::{Request, Verb};

use super::truth::Fault;
use super::{Event, Plan, World};

#[derive(Debug, Clone, Copy)]
enum Wish {
    Release,
    Rollback,
    Abort,
    Pause,
    Resume,
    Advance,
}

impl World {
    pub(crate) fn user_acts(&mut self) {
        if !self.is_unfair() {
            // In the fair time nobody asks for anything. Only a paused release is resumed.
            if self.journal.state.release.as_ref().is_some_and(|release| release.paused_at.is_some()) {
                self.submit(Verb::Resume);
            }
            // A controller with a wrong clock is replaced by one whose clock is right.
            if self.present_controller().is_some_and(|controller| self.controller(controller).ahead > 0) {
                self.crash();
            }
            return self.schedule(1_000, Event::User);
        }
        if self.adopts() {
            return self.schedule(500, Event::User);
        }
        if self.dice.chance(self.tuning.retires) {
            self.submit(Verb::Retire);
            let after = self.dice.within(200..4 * self.tuning.user_every);
            return self.schedule(after, Event::User);
        }
        let first = self.journal.state.versions.is_empty();
        let wish = if first || self.tuning.only_releases {
            Wish::Release
        } else {
            self.dice.weighted(&[
                (8, Wish::Release),
                (3, Wish::Rollback),
                (2, Wish::Abort),
                (1, Wish::Pause),
                (2, Wish::Resume),
                (2, Wish::Advance),
            ])
        };
        match wish {
            Wish::Release => self.ask_for_release(),
            Wish::Rollback => self.submit(Verb::Rollback),
            Wish::Abort => self.steer(Verb::Abort),
            Wish::Pause => self.steer(Verb::Pause),
            Wish::Resume => self.steer(Verb::Resume),
            Wish::Advance => self.steer(Verb::Advance),
        }
        let after = self.dice.within(200..2 * self.tuning.user_every);
        self.schedule(after, Event::User);
    }

    pub(crate) fn ask_for_release(&mut self) {
        if self.dice.chance(self.tuning.again) && self.ask_for_the_same() {
            return;
        }
        self.numbers += 1;
        let (tuning, number) = (self.tuning, self.numbers);
        let (mut new, images, sound) = self.plan.version(&tuning, number, &mut self.dice);
        for (name, image) in images {
            if let Some(image) = image {
                self.engine.add_image(name, image);
            }
        }
        if sound {
            self.truth.sound.insert(new.spec.clone());
        }
        if self.tuning.faulty > 0 {
            Plan::guard(&mut new, &mut self.fault_dice);
            if self.fault_dice.chance(self.tuning.faulty) {
                let fault = Fault {
                    percent: u32::try_from(self.fault_dice.within(20..101)).expect("small"),
                    from: self.now + self.fault_dice.weighted(&[(1, 0), (1, 8_000), (1, 15_000)]),
                };
                self.truth.faulty.insert(new.spec.clone(), fault);
            }
        }
        self.specs.insert(new.spec.clone(), new.clone());
        self.submit(Verb::Release(Box::new(new)));
    }

    /// Asks for what is known good; answers whether there is anything.
    fn ask_for_the_same(&mut self) -> bool {
        let state = &self.journal.state;
        let good = state.known_good.map(|good| &state.versions[&good]).filter(|good| !good.external);
        let Some(mut new) = good.map(|good| good.new.clone()) else { return false };
        new.force = self.dice.chance(30);
        self.submit(Verb::Release(Box::new(new)));
        true
    }

    /// Steers whichever release is in progress, or one that was asked for at some time.
    fn steer(&mut self, verb: Verb) {
        let about = if self.tuning.about > 0 && self.dice.chance(self.tuning.about) {
            self.dice.pick(&self.asked_for)
        } else {
            None
        };
        self.submit_about(verb, about);
    }

    pub(crate) fn submit(&mut self, verb: Verb) {
        self.submit_about(verb, None);
    }

    fn submit_about(&mut self, verb: Verb, about: Option<RequestId>) {
        self.numbers += 1;
        let id = RequestId::new(format!("r{}", self.numbers)).expect("valid");
        self.note(|| match &verb {
            Verb::Release(new) => {
                let release = &new.settings.release;
                format!(
                    "user asks for {:?}, replicas {}, {} stages, {:?}, evict after {:?}, at most {}",
                    new.images,
                    release.replicas,
                    release.ramp.len(),
                    release.queue,
                    release.drain.evict_after,
                    release.max_versions,
                )
            }
            other => format!("user asks for {} of {about:?}", other.name()),
        });
        if matches!(verb, Verb::Release(_) | Verb::Rollback) {
            self.asked_for.push(id.clone());
        }
        self.journal.requests.push(Request { id, at: self.time(), by: "user".into(), verb, about });
        if let Some(controller) = self.present_controller() {
            self.poke(controller);
        }
    }
}
