//! Where a difference comes from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::routing::{FailureKind, InstanceFigures};

/// More kinds would not be read.
const MOST_KINDS: usize = 5;

/// A kind of failed (or slow) sessions that is more frequent on the candidate than on the baseline.
///
/// Unlike the counts of a [`Judgement`](super::Judgement), these are of all sessions since the locators began to count, whenever they
/// began. They say where to look; the verdict does not depend on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The kind. Its number of sessions is that of the candidate.
    #[serde(flatten)]
    pub kind: FailureKind,
    /// How many sessions of this kind the baseline has.
    pub baseline: u64,
}

impl Difference {
    /// The kinds that are more frequent on the candidate, in relation to the sessions of each side. The largest difference
    /// comes first; five at most.
    #[must_use]
    pub fn between<'f>(
        candidate: impl Iterator<Item = &'f InstanceFigures>,
        baseline: impl Iterator<Item = &'f InstanceFigures>,
    ) -> Vec<Self> {
        let (own, begun) = add_up(candidate);
        let (base, begun_before) = add_up(baseline);
        let rate = |sessions: u64, begun: u64| if begun == 0 { 0.0 } else { sessions as f64 / begun as f64 };
        let mut found: Vec<(f64, Self)> = own
            .into_iter()
            .map(|((path, status, slow), sessions)| {
                let before = base.get(&(path.clone(), status, slow)).copied().unwrap_or_default();
                let kind = FailureKind { path, status, slow, sessions };
                (rate(sessions, begun) - rate(before, begun_before), Self { kind, baseline: before })
            })
            .filter(|(more, _)| *more > 0.0)
            .collect();
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        found.into_iter().map(|(_, difference)| difference).take(MOST_KINDS).collect()
    }
}

type Kinds = BTreeMap<(String, Option<u16>, bool), u64>;

/// The sessions of each kind, and all sessions that began.
fn add_up<'f>(figures: impl Iterator<Item = &'f InstanceFigures>) -> (Kinds, u64) {
    let (mut kinds, mut begun) = (Kinds::new(), 0);
    for figures in figures {
        begun += figures.sessions_begun;
        for kind in &figures.failures {
            *kinds.entry((kind.path.clone(), kind.status, kind.slow)).or_default() += kind.sessions;
        }
    }
    (kinds, begun)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailureKind { path, status, slow, sessions } = &self.kind;
        match (slow, status) {
            (true, _) => write!(f, "slow at `{path}`")?,
            (false, Some(status)) => write!(f, "{status} at `{path}`")?,
            (false, None) => write!(f, "no answer at `{path}`")?,
        }
        write!(f, " ({sessions}, and {} before)", self.baseline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(begun: u64, kinds: &[(&str, u16, u64)]) -> InstanceFigures {
        let kind = |(path, status, sessions): &(&str, u16, u64)| FailureKind {
            path: (*path).to_owned(),
            status: Some(*status),
            slow: false,
            sessions: *sessions,
        };
        InstanceFigures {
            sessions_begun: begun,
            failures: kinds.iter().map(kind).collect(),
            ..InstanceFigures::default()
        }
    }

    #[test]
    fn the_kind_that_makes_the_difference_comes_first_whatever_is_frequent_on_both_sides() {
        let candidates = [figures(60, &[("/shop", 500, 4), ("/", 503, 6)]), figures(40, &[("/shop", 500, 2)])];
        let before = [figures(1000, &[("/", 503, 70), ("/old", 500, 9)])];
        let found = Difference::between(candidates.iter(), before.iter());
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["500 at `/shop` (6, and 0 before)"], "6% fail with 503 at `/`, and 7% did before");
    }
}
