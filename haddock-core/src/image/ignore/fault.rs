//! Why a pattern is refused.

/// A reason, and what to do about it. The reason completes the sentence "pattern `…`: ".
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: &'static str,
    pub(super) hint: &'static str,
}
