//! What a stage of the ramp waits for at its end, besides time and sessions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::routing::millis;

/// What a stage of the ramp waits for at its end, besides time and sessions.
///
/// ```
/// use std::time::Duration;
/// use haddock_core::environment::StageGate;
///
/// let asked = StageGate::Asked { every: Duration::from_secs(60) };
/// assert_eq!(serde_json::to_string(&asked)?, r#"{"every":60000}"#);
/// assert_eq!(serde_json::from_str::<StageGate>("true")?, StageGate::Hold);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub enum StageGate {
    /// Nothing.
    #[default]
    Open,
    /// Somebody who says `advance`.
    Hold,
    /// A program that says go. What is asked is in
    /// [`EnvironmentSpec::gates`](crate::environment::EnvironmentSpec::gates).
    Asked {
        /// How long after an answer other than go it is asked again.
        every: Duration,
    },
}

impl StageGate {
    /// Whether nothing is waited for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }
}

/// As states and specifications have it. At first a gate was only held or not.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Held(bool),
    Asked {
        #[serde(with = "millis")]
        every: Duration,
    },
}

impl From<Stored> for StageGate {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Held(false) => Self::Open,
            Stored::Held(true) => Self::Hold,
            Stored::Asked { every } => Self::Asked { every },
        }
    }
}

impl From<StageGate> for Stored {
    fn from(gate: StageGate) -> Self {
        match gate {
            StageGate::Open => Self::Held(false),
            StageGate::Hold => Self::Held(true),
            StageGate::Asked { every } => Self::Asked { every },
        }
    }
}
