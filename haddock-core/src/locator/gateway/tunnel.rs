//! Upgraded connections: bytes both ways, whatever they mean.

use std::pin::pin;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::passage::Passage;
use super::upstream::TrafficCounter;

/// How long one direction of an upgraded connection may go on after the other has ended. A half-open connection must
/// not keep a session alive for ever.
const HALF_CLOSED_LIMIT: Duration = Duration::from_secs(5);

/// Carries bytes both ways until one side ends; then the other side gets a little time to finish.
pub(super) async fn carry_both(client_side: OnUpgrade, instance_side: Option<OnUpgrade>, passage: Passage) {
    let Some(instance_side) = instance_side else { return };
    let (client, instance) = match (client_side.await, instance_side.await) {
        (Ok(client), Ok(instance)) => (client, instance),
        (Err(error), _) | (_, Err(error)) => {
            tracing::debug!(%error, "an upgrade came to nothing");
            return;
        }
    };
    let (client_reads, client_writes) = tokio::io::split(TokioIo::new(client));
    let (instance_reads, instance_writes) = tokio::io::split(TokioIo::new(instance));
    let mut up = pin!(carry(client_reads, instance_writes));
    let mut down = pin!(carry(instance_reads, client_writes));
    let moved = passage.upstream.as_ref().map(|upstream| upstream.traffic());
    tokio::select! {
        () = &mut up => drop(tokio::time::timeout(HALF_CLOSED_LIMIT, down).await),
        () = &mut down => drop(tokio::time::timeout(HALF_CLOSED_LIMIT, up).await),
        () = silent_for(passage.connection.limits().tunnel_idle, moved) => {
            tracing::debug!("nothing went over an upgraded connection for too long");
        }
        () = passage.connection.worker.shared.cut.cancelled() => {}
    }
    drop(passage);
}

/// Carries bytes between a client and the gateway that has taken over.
pub(super) async fn carry_on(client_side: OnUpgrade, other_side: Option<OnUpgrade>) {
    let Some(other_side) = other_side else { return };
    let (Ok(client), Ok(other)) = (client_side.await, other_side.await) else { return };
    let (client_reads, client_writes) = tokio::io::split(TokioIo::new(client));
    let (other_reads, other_writes) = tokio::io::split(TokioIo::new(other));
    let mut up = pin!(carry(client_reads, other_writes));
    let mut down = pin!(carry(other_reads, client_writes));
    tokio::select! {
        () = &mut up => drop(tokio::time::timeout(HALF_CLOSED_LIMIT, down).await),
        () = &mut down => drop(tokio::time::timeout(HALF_CLOSED_LIMIT, up).await),
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    if let Err(error) = tokio::io::copy(&mut from, &mut to).await {
        tracing::debug!(%error, "an upgraded connection broke");
    }
    let _ = to.shutdown().await;
}

/// Ends when nothing has gone over the instance's connection, either way, for this time.
async fn silent_for(limit: Option<Duration>, moved: Option<TrafficCounter>) {
    match (limit, moved) {
        (Some(limit), Some(moved)) => moved.silent_for(limit, || false).await,
        _ => std::future::pending().await,
    }
}
