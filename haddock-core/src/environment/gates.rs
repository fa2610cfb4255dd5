//! The programs that are asked whether a ramp may go on.

use std::time::Duration;

use crate::container::Sensitive;

/// What is asked at the end of a stage of the ramp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateSpec {
    /// Who answers.
    pub asks: Asks,
    /// How long an answer may take.
    pub within: Duration,
}

/// Who answers whether a ramp may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asks {
    /// A program on the controller's machine, and its arguments.
    Command(Vec<Sensitive>),
    /// What the program around the controller has given to it under this name.
    Call(String),
}

impl GateSpec {
    /// How long an answer may take by default.
    pub const DEFAULT_WITHIN: Duration = Duration::from_secs(300);
    /// How long after an answer other than go it is asked again, by default.
    pub const DEFAULT_EVERY: Duration = Duration::from_secs(60);
}
