//! What the guard counts.

use serde::{Deserialize, Serialize};

use crate::routing::Sessions;

/// The sessions that began in one period on the candidate, and on the versions that already serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// On the candidate.
    pub candidate: Sessions,
    /// On all versions that were already serving.
    pub baseline: Sessions,
}

/// What the guard judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Period by period, beginning with the release.
    ///
    /// Begin a new period where the candidate's share changes, at most some twenty in all: within a period, both sides are taken for
    /// alike but for the candidate's version. Each further period costs a little power. Sessions that begin after the full share
    /// belong to none of them: at that time, no session begins on the baseline.
    Compared(Vec<Comparison>),
    /// There is no baseline: the first release of a service.
    Alone(Sessions),
}

impl Evidence {
    /// One period.
    #[must_use]
    pub fn compared(candidate: Sessions, baseline: Sessions) -> Self {
        Self::Compared(vec![Comparison { candidate, baseline }])
    }

    /// All sessions of the candidate.
    #[must_use]
    pub fn candidate(&self) -> Sessions {
        match self {
            Self::Compared(periods) => periods.iter().map(|period| period.candidate).sum(),
            Self::Alone(sessions) => *sessions,
        }
    }

    /// All sessions of the baseline, if there is one.
    #[must_use]
    pub fn baseline(&self) -> Option<Sessions> {
        match self {
            Self::Compared(periods) => Some(periods.iter().map(|period| period.baseline).sum()),
            Self::Alone(_) => None,
        }
    }
}
