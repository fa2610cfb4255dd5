//! Which instance gets which share of the new sessions: giving and taking.

use std::collections::BTreeMap;

use super::{LOCATOR_BACKOFF, Work};
use crate::name::{InstanceId, VersionId};
use crate::release::action::Action;
use crate::release::event::Event;
use crate::release::state::{AskedTable, Attempt, Draining, Instance, Phase, PhaseName, ReleasePhase};
use crate::routing::{Route, RoutingTable, SessionBy, SessionPolicy, Share, Watermark};

type Routes = BTreeMap<InstanceId, Route>;

impl Work<'_> {
    /// Computes the table anew, and sends it if it is not what is in force.
    pub(super) fn route(&mut self) {
        // To send a table is a decision. While the containers are unknown, none is made.
        if self.rules.no_table_blind && self.containers.is_none() {
            return;
        }
        let shares = self.shares();
        self.note_sharing(&shares);
        let routes = self.routes(&shares);
        let differs = match &self.state.asked {
            None => !routes.is_empty(),
            Some(asked) => asked.routes != routes || self.needs_listing(asked, &routes) || self.has_other_policy(asked),
        };
        let resend = self.state.asked.as_ref().filter(|asked| !asked.in_force && !differs).map(|asked| asked.sending);
        match resend {
            Some(sending) if !sending.is_due(self.now) => self.wake(sending.retry_at),
            Some(sending) => self.send(routes, sending),
            None if differs => self.send(routes, Attempt::default()),
            None => {}
        }
    }

    /// Whether a healthy instance at share 0 waits to be listed by a table newer than the last close that was asked for
    /// it.
    fn needs_listing(&self, asked: &AskedTable, routes: &Routes) -> bool {
        let wanted = self.intent();
        routes.iter().filter(|(_, route)| route.share.is_zero()).any(|(id, _)| {
            let instance = &self.state.instances[id];
            let unlisted = instance.routing.close_asked.is_some_and(|close| asked.number <= close);
            unlisted && self.is_healthy(instance) && wanted.contains_key(&instance.version)
        })
    }

    /// Whether sessions are to be counted by other rules than those of the table that was asked for last. Another idle time alone
    /// waits for the next table: as long as one locator has it and another has not, a session has expired here and lives there.
    fn has_other_policy(&self, asked: &AskedTable) -> bool {
        let policy = self.session_policy();
        let differs = |before: &SessionPolicy| SessionPolicy { idle: policy.idle, ..before.clone() } != policy;
        !asked.routes.is_empty() && asked.session.as_ref().is_some_and(differs)
    }

    /// Every instance that may get requests, with its share.
    fn routes(&self, shares: &BTreeMap<InstanceId, Share>) -> Routes {
        let mut routes = Routes::new();
        let by_client = self.session_policy().by == SessionBy::Client;
        for (id, instance) in self.state.instances.iter().filter(|(_, instance)| self.is_named(instance)) {
            let Some(address) = instance.address() else { continue };
            let share = shares.get(id).copied().unwrap_or(Share::ZERO);
            if !share.is_zero() || instance.routing.named.is_some() || !instance.is(PhaseName::Failed) {
                let version = by_client.then_some(instance.version.0);
                let is_closing = |phase: &Phase| matches!(phase, Phase::Draining(draining) if draining.closing);
                let closing = share.is_zero() && is_closing(&instance.phase);
                let adopted = self.adopted(instance);
                routes.insert(id.clone(), Route { address, share, adopted, version, closing });
            }
        }
        routes
    }

    /// Whether a table may name the instance.
    fn is_named(&self, instance: &Instance) -> bool {
        let stays = instance.phase.life().is_some() || instance.is(PhaseName::Failed);
        stays && !(self.rules.never_name_closed && instance.routing.closed_somewhere)
    }

    /// The share that each version is to have at this point of the release.
    fn intent(&self) -> BTreeMap<VersionId, Share> {
        let fallback = self.fallback_version().filter(|_| self.state.retiring.is_none());
        let mut intent = BTreeMap::new();
        let candidate = self.state.release.as_ref().and_then(|release| match release.phase {
            ReleasePhase::Ramping(stage) => Some((release.version, self.stage_share(release.version, stage))),
            ReleasePhase::Settling => Some((release.version, Share::FULL)),
            _ => None,
        });
        match (fallback, candidate) {
            (Some(fallback), Some((version, share))) if fallback != version && self.has_healthy(version) => {
                intent.insert(version, share);
                if !share.rest().is_zero() {
                    intent.insert(fallback, share.rest());
                }
            }
            (Some(fallback), _) => {
                intent.insert(fallback, Share::FULL);
            }
            (None, _) => {}
        }
        intent
    }

    fn shares(&self) -> BTreeMap<InstanceId, Share> {
        if self.state.retiring.is_some() {
            return BTreeMap::new();
        }
        let mut placed: BTreeMap<VersionId, (Share, Vec<&InstanceId>)> = BTreeMap::new();
        for (version, share) in self.intent() {
            let eligible = self.eligible_instances(version);
            if !eligible.is_empty() {
                placed.insert(version, (share, eligible));
            }
        }
        if placed.is_empty() {
            // If the candidate is to have everything but cannot get it yet, the fallback keeps its share.
            let fallback = self.fallback_version();
            placed.extend(fallback.map(|version| (version, (Share::FULL, self.eligible_instances(version)))));
            placed.retain(|_, (_, eligible)| !eligible.is_empty());
        }
        if placed.is_empty() {
            return if self.rules.keep_if_none_healthy { self.kept_shares() } else { BTreeMap::new() };
        }
        // A share for which no instance is eligible yet goes to the version that has the most.
        let missing = placed.values().fold(Share::FULL.as_basis_points(), |left, (s, _)| left - s.as_basis_points());
        if let Some((share, _)) = placed.values_mut().max_by_key(|(share, _)| *share) {
            *share = Share::basis_points(share.as_basis_points() + missing);
        }
        let shares = placed.into_values().flat_map(|(share, eligible)| split(share, &eligible)).collect();
        if self.any_answers(&shares) {
            return shares;
        }
        // None of those that are to have a share answers now. If some that have one do, the shares stay as they are.
        let asked = self.asked_shares();
        if self.any_answers(&asked) { asked } else { shares }
    }

    fn any_answers(&self, shares: &BTreeMap<InstanceId, Share>) -> bool {
        shares.keys().any(|id| self.state.instances.get(id).is_some_and(|instance| self.answers(instance)))
    }

    /// The shares that stay when nobody can be given one. The first of these that is not empty: what answering
    /// instances have in force on some locator, even those of an aborted version; what answering instances were asked
    /// to have; what running instances have in force; what was asked for. It does not insist on a table that never
    /// arrived, because this may give to a dead instance what a living one has.
    fn kept_shares(&self) -> BTreeMap<InstanceId, Share> {
        let answering = |shares: &BTreeMap<InstanceId, Share>| -> BTreeMap<InstanceId, Share> {
            let answering =
                shares.iter().filter(|(id, _)| self.state.instances.get(*id).is_some_and(|i| self.answers(i)));
            answering.map(|(id, share)| (id.clone(), *share)).collect()
        };
        let (in_force, asked) = (self.shares_of_running(), self.asked_shares());
        let mut choices = in_force.iter().map(answering).collect::<Vec<_>>();
        choices.push(answering(&asked));
        choices.extend(in_force);
        choices.into_iter().find(|shares| !shares.is_empty()).unwrap_or(asked)
    }

    /// For each locator, the shares in force on instances that run and may be named; the locator with the newest table
    /// comes first. Shares of two tables are never mixed: two aborted versions would serve side by side for ever.
    fn shares_of_running(&self) -> Vec<BTreeMap<InstanceId, Share>> {
        let mut reports: Vec<_> = self.seen.locators.values().filter_map(|view| view.report.value()).collect();
        reports.sort_by_key(|report| std::cmp::Reverse(report.table));
        let runs = |id: &InstanceId| self.state.instances.get(id).is_some_and(|i| self.is_named(i) && !i.has_ended());
        let shares = |report: &crate::LocatorReport| {
            let given = report.instances.iter().filter_map(|(id, figures)| Some((id, figures.share?)));
            given.filter(|(id, share)| !share.is_zero() && runs(id)).map(|(id, share)| (id.clone(), share)).collect()
        };
        reports.into_iter().map(shares).collect()
    }

    fn asked_shares(&self) -> BTreeMap<InstanceId, Share> {
        let asked = self.state.asked.iter().flat_map(|asked| &asked.routes);
        asked.filter(|(_, route)| !route.share.is_zero()).map(|(id, route)| (id.clone(), route.share)).collect()
    }

    /// The healthy instances of a version that may be given a share, at most as many as its replicas. Those that have a
    /// share already come first. An instance that misses a probe keeps its share, but does not get one.
    fn eligible_instances(&self, version: VersionId) -> Vec<&InstanceId> {
        let replicas = self.version(version).new.settings.release.replicas as usize;
        let mut eligible: Vec<&InstanceId> = self
            .state
            .instances_of(version)
            .filter(|(_, instance)| self.is_healthy(instance) && self.is_cleared(instance))
            .filter(|(id, instance)| self.answers(instance) || !self.state.asked_share(id).is_zero())
            .map(|(id, _)| id)
            .collect();
        if eligible.len() > replicas {
            eligible.sort_by_key(|id| (self.state.asked_share(id).is_zero(), (*id).clone()));
            eligible.truncate(replicas);
        }
        eligible
    }

    /// The rule "list first": a table that names it at share 0 was seen in force on every locator, and is newer than
    /// any close that was asked for.
    fn is_cleared(&self, instance: &Instance) -> bool {
        match (instance.routing.listed, instance.routing.close_asked) {
            (None, _) => !self.rules.list_first,
            (Some(listed), Some(close)) => listed > close || !self.rules.list_again_after_close,
            (Some(_), None) => true,
        }
    }

    fn send(&mut self, routes: Routes, mut sending: Attempt) {
        let number = self.number;
        let takes_all = self.state.retiring.is_some();
        let gives = routes
            .iter()
            .any(|(id, route)| !route.share.is_zero() && self.state.instances.get(id).is_some_and(|i| self.answers(i)));
        let session = self.session_policy();
        let table = RoutingTable {
            service: self.state.service.clone(),
            number,
            session: session.clone(),
            routes: routes.clone(),
            watermark: Some(self.watermark()),
        };
        for (name, view) in &self.seen.locators {
            if gives || takes_all || !self.rules.no_share_to_dead || !self.may_have_healthy_share(view) {
                self.actions.push(Action::Apply { locator: name.clone(), table: table.clone() });
            }
        }
        self.note_period(number, &routes);
        let shares: BTreeMap<InstanceId, Share> = self.asked_shares();
        let new_shares: BTreeMap<InstanceId, Share> =
            routes.iter().filter(|(_, r)| !r.share.is_zero()).map(|(id, r)| (id.clone(), r.share)).collect();
        if shares != new_shares {
            self.events.push(Event::SharesAsked { number, shares: new_shares });
        }
        for (id, route) in &routes {
            let instance = self.instance_mut(id);
            instance.routing.named = Some(number);
            if let Phase::Draining(Draining { drain, closing, .. }) = &mut instance.phase
                && !route.share.is_zero()
            {
                (*drain, *closing) = (None, false);
            }
        }
        sending.begin(self.now, LOCATOR_BACKOFF.0, LOCATOR_BACKOFF.1);
        self.wake(sending.retry_at);
        self.state.asked = Some(AskedTable { number, routes, session: Some(session), in_force: false, sending });
    }

    /// Instances older than those in the state are never named in a table again.
    fn watermark(&self) -> Watermark {
        let journal = self.state.journal.clone();
        let oldest = self.state.instances.keys().filter_map(|id| id.number(&journal)).min();
        Watermark { oldest: oldest.unwrap_or(self.state.next_instance), journal }
    }

    /// Whether the locator has a share in force on an instance that answers, or may have one, as far as we know.
    fn may_have_healthy_share(&self, view: &crate::release::LocatorView) -> bool {
        let Some(report) = view.report.value() else { return true };
        report.instances.iter().any(|(id, figures)| {
            figures.share.is_some_and(|share| !share.is_zero())
                && self.state.instances.get(id).is_some_and(|instance| self.answers(instance))
        })
    }

    /// The policy of the newest version that runs, with the longest idle time of all versions that run. So no session
    /// of an older version expires too early.
    pub(super) fn session_policy(&self) -> SessionPolicy {
        let policies: BTreeMap<VersionId, &SessionPolicy> = self
            .state
            .instances
            .values()
            .map(|instance| (instance.version, &self.version(instance.version).new.settings.session))
            .collect();
        let mut policy = policies.values().next_back().map_or_else(SessionPolicy::default, |newest| (*newest).clone());
        policy.idle = policies.values().map(|policy| policy.idle).max().unwrap_or(policy.idle);
        policy
    }
}

/// Splits a share evenly. What cannot be split evenly goes to the first ones.
fn split(share: Share, instances: &[&InstanceId]) -> Vec<(InstanceId, Share)> {
    let count = u32::try_from(instances.len()).unwrap_or(u32::MAX);
    let (each, rest) = (share.as_basis_points() / count, share.as_basis_points() % count);
    let points = |n: usize| each + u32::from(u32::try_from(n).is_ok_and(|n| n < rest));
    instances.iter().enumerate().map(|(n, id)| ((*id).clone(), Share::basis_points(points(n)))).collect()
}
