//! What a look means, as figures of instances. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::count::Listing;
use super::kept::{Past, State};
use super::plan;
use super::sight::{Keeping, Sight};
use super::weights;
use crate::name::InstanceId;
use crate::routing::{Count, FailedPolicy, InstanceFigures, LocatorReport, Share};
use crate::time::Timestamp;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'v> {
    pub(super) state: &'v State,
    pub(super) sight: &'v Sight,
    pub(super) keeping: Keeping,
    /// `None`: nothing was counted.
    pub(super) listing: Option<&'v Listing>,
    pub(super) now: Timestamp,
}

impl View<'_> {
    pub(super) fn idle(&self) -> Duration {
        self.state.table.as_ref().map_or_else(|| crate::routing::SessionPolicy::default().idle, |it| it.session.idle)
    }

    /// Whether sessions can be counted now.
    pub(super) fn can_count(&self) -> bool {
        let Keeping::Sessions { expire, .. } = self.keeping else { return false };
        let Some(life) = &self.state.own.life else { return false };
        let idle = self.idle();
        let kept = expire.unwrap_or(idle);
        // A table that forgets early has lost sessions that live.
        kept >= idle && self.now.since(life.since) >= kept && life.full.is_none_or(|full| self.now.since(full) >= kept)
    }

    /// The figures of one instance.
    pub(super) fn figures(&self, id: &InstanceId) -> InstanceFigures {
        let State { own, closed, watermarks, table, .. } = self.state;
        let marked = closed.contains(id) || watermarks.cover(id);
        let server = self.sight.server(id.as_str());
        let stats = self.sight.stats(id.as_str());
        let past = own.past.get(id).copied().unwrap_or_default();
        // A mark that is not carried out yet is no promise.
        let closed = marked && server.is_none_or(|server| server.is_in_maintenance());
        let live = match server {
            _ if closed => Count::Exact(0),
            _ if !self.can_count() => Count::Unknown,
            None => Count::Exact(0),
            Some(server) => self.listing.map_or(Count::Unknown, |it| it.sessions(server.id, stats.chosen)),
        };
        let policy = table.as_ref().map(|table| &table.session.failed);
        let failed = if policy.is_some_and(|policy| *policy == FailedPolicy::default()) { stats.failed } else { 0 };
        let quiet = stats.quiet.map(|quiet| Timestamp::from_millis(self.now.before(quiet).as_millis() / 1000 * 1000));
        InstanceFigures {
            share: if marked { None } else { self.share(id) },
            closed,
            live,
            in_flight: stats.busy,
            sessions_begun: past.begun + stats.chosen,
            requests_begun: past.requests + stats.requests,
            requests_failed: past.failed + failed,
            sessions_evicted: past.evicted,
            last_seen: quiet.max(past.last_seen),
            ..InstanceFigures::default()
        }
    }

    /// The share that is in force.
    fn share(&self, id: &InstanceId) -> Option<Share> {
        let wanted = plan::wanted(self.state);
        let routes = &self.state.table.as_ref()?.routes;
        let shares: Vec<Share> = wanted.keys().map(|id| routes[*id].share).collect();
        let weight = |id: &&&InstanceId| {
            let server = self.sight.server(id.as_str()).filter(|server| server.admin == 0);
            server.map_or(0, |server| server.weight)
        };
        let weights: Vec<u16> = wanted.keys().map(|id| weight(&id)).collect();
        let at = wanted.keys().position(|other| *other == id)?;
        self.sight.server(id.as_str())?;
        weights::in_force(&shares, &weights).get(at).copied()
    }

    /// The whole report. `in_force`: HAProxy is as the table says.
    pub(super) fn report(&self, in_force: bool) -> LocatorReport {
        let State { own, closed, table, newest, .. } = self.state;
        let since = own.life.as_ref().map_or(self.now, |life| life.since);
        let listed: BTreeSet<&InstanceId> = table.iter().flat_map(|table| table.routes.keys()).collect();
        let mut instances = BTreeMap::new();
        for id in listed.iter().copied().chain(closed).chain(own.servers.keys()) {
            let figures = self.figures(id);
            // What is neither listed nor closed is reported only while something is on it.
            if listed.contains(id) || figures.closed || !figures.is_empty() {
                instances.insert(id.clone(), figures);
            }
        }
        LocatorReport {
            newest: *newest,
            table: table.as_ref().filter(|_| in_force).map(|table| table.number),
            instances,
            ..LocatorReport::new(self.sight.process.incarnation, since)
        }
    }

    /// What a server has counted, for when it is gone.
    pub(super) fn past(&self, id: &InstanceId) -> Past {
        let figures = self.figures(id);
        Past {
            begun: figures.sessions_begun,
            requests: figures.requests_begun,
            failed: figures.requests_failed,
            evicted: figures.sessions_evicted,
            last_seen: figures.last_seen,
        }
    }
}
