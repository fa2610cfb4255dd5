//! Where a new session goes: by the shares, and, if the settings say so, by who its client is.

use std::collections::BTreeMap;

use super::ServiceRouting;
use crate::locator::gateway::client_cookie::{Client, Who};
use crate::locator::gateway::shares::Choice;
use crate::routing::{SessionBy, version_of_client};
use crate::time::Timestamp;

impl ServiceRouting {
    /// Whether a client decides to which version its new sessions go.
    pub(in crate::locator::gateway) fn is_by_client(&self) -> bool {
        self.policy.by == SessionBy::Client
    }

    /// The instance for a new session, and its client if that has decided. Instances that were tried in vain, or are held, do
    /// not count: a client whose version has no other one goes to another version.
    pub(super) fn pick(
        &mut self,
        choice: Choice,
        who: Option<Who<'_>>,
        tried: &[u32],
        now: Timestamp,
    ) -> Option<(u32, Option<Client>)> {
        let client = who.filter(|_| self.is_by_client()).and_then(|who| who.client(now));
        let Self { new, instances, .. } = self;
        let is_free = |at: u32| !tried.contains(&at) && instances[at as usize].held_at(now).is_none();
        let version = match client {
            None => None,
            Some(client) => {
                let mut shares: BTreeMap<Option<u64>, u32> = BTreeMap::new();
                for (at, weight) in new.weights().filter(|(at, _)| is_free(*at)) {
                    *shares.entry(instances[at as usize].version).or_default() += weight;
                }
                Some(version_of_client(&shares, |version| client.number(version))?)
            }
        };
        let is_allowed = |at| is_free(at) && version.is_none_or(|version| instances[at as usize].version == version);
        Some((new.choose(choice, is_allowed)?, client))
    }
}

#[cfg(test)]
#[path = "by_client_tests.rs"]
mod tests;
