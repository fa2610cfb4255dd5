//! S3: no action of ours leaves a service without a healthy instance with share > 0 in force.
//!
//! Judged when a table, a close or an evict takes effect at a locator. If an instance with a share there was well, some
//! instance with a share there must be well afterwards. An instance is well if its containers run in the lives in which
//! it was ready, and its entry answers.
//!
//! It is not our fault if an instance that gets a share seemed well in the reading on which the decision was based, and
//! broke or fell silent *after* that reading, or was silent in it when no probe could tell. Nor is it our fault if all
//! instances that were well before were unwell in that reading, or had not answered the last probe before it when none could
//! tell, or had rightly been judged failed, and the table gives a share to something.
//!
//! While a service is being retired, no table gives a share to anything, and this is no fault.
//!
//! Judged at each commit of a table: an instance of a version that is bad or was aborted gets no share that it does not
//! have already.
//!
//! "If the last one dies, the next step gives the share to the newest healthy version, else starts a replacement": the
//! worlds end only when a service with a known good version serves again, which is part of L1.

use haddock_core::InstanceId;
use haddock_core::release::{Step, Verdict};
use haddock_core::routing::{FencingToken, RoutingTable};

use crate::runner;
use crate::world::{Tuning, World};

impl World {
    pub(crate) fn check_s3_apply(&mut self, at: usize, before: Option<&RoutingTable>, after: &RoutingTable) {
        let given = |world: &Self, table: &RoutingTable| -> Vec<InstanceId> {
            let open = |id: &InstanceId| !world.posts[at].core.is_closed(&world.service, id);
            let routes = table.routes.iter().filter(|(_, route)| !route.share.is_zero());
            routes.map(|(id, _)| id.clone()).filter(|id| open(id)).collect()
        };
        let was: Vec<InstanceId> = before.map(|table| given(self, table)).unwrap_or_default();
        let was: Vec<InstanceId> = was.into_iter().filter(|id| self.is_well(id)).collect();
        let is = given(self, after);
        if was.is_empty() || is.iter().any(|id| self.is_well(id)) {
            return;
        }
        let decision = &self.journal.decisions[&after.number];
        if decision.retires && is.is_empty() {
            return;
        }
        let reading = decision.reading;
        let truth = |id: &InstanceId| &self.truth.instances[id];
        // An instance that had its share before may miss a probe and keep it. Any other must have seemed well.
        let too_late = is.iter().any(|id| {
            let seemed_well = !truth(id).was_unwell(reading) || decision.unprobed.contains(id);
            seemed_well && (truth(id).fell_ill_after(reading) || truth(id).hung_at(reading))
        });
        let seemed_ill = was
            .iter()
            .all(|id| truth(id).was_unwell(reading) || truth(id).failed_rightly || decision.last_silent.contains(id));
        if !is.is_empty() && (too_late || seemed_ill) {
            return self.meet("share to one that died in the meantime");
        }
        let what =
            format!("table {} takes the share from {was:?}, which are well, and gives it to {is:?}", after.number);
        self.violate("S3", what);
    }

    /// An instance of a version that is bad or was aborted gets no share that it does not have already.
    pub(crate) fn check_s3_commit(&mut self, step: &Step) {
        let Some(asked) = step.state.asked.as_ref().filter(|asked| asked.number == step.state.number) else { return };
        for (id, route) in &asked.routes {
            let version = step.state.instances[id].version;
            let bad = matches!(step.state.versions[&version].verdict, Verdict::Bad | Verdict::Aborted);
            if route.share.is_zero() || !bad {
                continue;
            }
            let had = self
                .before
                .asked
                .as_ref()
                .is_some_and(|asked| asked.routes.get(id).is_some_and(|route| !route.share.is_zero()));
            // A share that it lost after the reading of the decision may be given back: at that reading it still seemed
            // to have it.
            let reading = self.journal.decisions[&asked.number].reading;
            let lost = &self.truth.instances[id].zero_since;
            let has = (0..self.posts.len()).any(|at| lost.get(&at).is_none_or(|since| *since >= reading));
            if !had && !has {
                self.violate("S3", format!("{id} is of {version}, which is bad, and is given {}", route.share));
            }
        }
    }

    pub(crate) fn check_s3_close(&mut self, at: usize, instance: &InstanceId, number: FencingToken) {
        let Some(table) = self.posts[at].core.table(&self.service) else { return };
        let has_share = table.routes.get(instance).is_some_and(|route| !route.share.is_zero());
        if !has_share || !self.is_well(instance) {
            return;
        }
        let others = table.routes.iter().filter(|(id, route)| *id != instance && !route.share.is_zero());
        let others: Vec<InstanceId> =
            others.map(|(id, _)| id.clone()).filter(|id| !self.posts[at].core.is_closed(&self.service, id)).collect();
        let reading = self.journal.decisions[&number].reading;
        let well = others.iter().any(|id| self.is_well(id));
        let too_late = others.iter().any(|id| self.truth.instances[id].fell_ill_after(reading));
        if !well && !too_late {
            self.violate("S3", format!("{instance} is well and the last with a share, and is closed by {number}"));
        }
    }
}

#[test]
fn s3_no_action_leaves_a_service_without_a_healthy_instance() {
    let tuning = Tuning { fault_every: 2_000, bad_images: 35, ..Tuning::DEFAULT };
    runner::run(
        3_000_000,
        tuning,
        &[
            "replacement of a dead known good",
            "known good instance failed",
            "abort while the candidate had a share",
            "aborting while something serves",
            "share to one that died in the meantime",
        ],
    );
}
