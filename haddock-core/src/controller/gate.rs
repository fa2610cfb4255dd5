//! Gates: what a program around the controller is asked before a ramp goes on.

use std::net::SocketAddr;

use async_trait::async_trait;

use crate::error::Result;
use crate::name::{ServiceName, VersionId};
use crate::release::GateAnswer;
use crate::routing::Share;

/// What a gate is asked about: the candidate, and where its ramp is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateQuestion {
    /// The service.
    pub service: ServiceName,
    /// The candidate.
    pub version: VersionId,
    /// The stage that is about to end, from 0.
    pub stage: usize,
    /// The candidate's share of the new sessions in that stage.
    pub share: Share,
    /// Where the candidate's instances listen, as the controller reaches them.
    pub addresses: Vec<SocketAddr>,
}

/// Says whether a ramp may go on.
///
/// # Contract
/// It is asked when the time of its stage is over, and again some time after each [`Wait`](GateAnswer::Wait). After a crash
/// of the controller, or if another takes over, the same may be asked again at once. The future is dropped when its
/// answer no longer matters. If an answer takes longer than the file's `within`, that counts as
/// [`Stop`](GateAnswer::Stop). If it fails or panics, the release waits, and it is asked again.
#[async_trait]
pub trait Gate: Send + Sync {
    /// The answer.
    ///
    /// # Errors
    /// Why it has none now. The release waits meanwhile, and says so.
    async fn ask(&self, question: GateQuestion) -> Result<GateAnswer>;
}

#[async_trait]
impl<F, A> Gate for F
where
    F: Fn(GateQuestion) -> A + Send + Sync,
    A: Future<Output = Result<GateAnswer>> + Send,
{
    async fn ask(&self, question: GateQuestion) -> Result<GateAnswer> {
        self(question).await
    }
}
