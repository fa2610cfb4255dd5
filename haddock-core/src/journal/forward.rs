//! Handing every call of a journal on.

use std::sync::Arc;

use super::Journal;

/// As [`forward_runtime!`](crate::forward_runtime), for a [`Journal`](crate::journal::Journal). The expression for `id`
/// must not await.
#[macro_export]
macro_rules! forward_journal {
    ([$($head:tt)*] $each:ident) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        $($head)* {
            fn id(&self) -> &$crate::JournalId {
                $each!(self, id)
            }
            async fn load(&self, service: &$crate::ServiceName) -> $crate::Result<Option<$crate::release::ServiceState>> {
                $each!(self, load, service)
            }
            async fn services(&self) -> $crate::Result<Vec<$crate::ServiceName>> {
                $each!(self, services)
            }
            async fn acquire(
                &self,
                service: &$crate::ServiceName,
                holder: &str,
                lasts: std::time::Duration,
                now: $crate::Timestamp,
            ) -> $crate::Result<$crate::journal::Lease> {
                $each!(self, acquire, service, holder, lasts, now)
            }
            async fn raise_epoch(&self, service: &$crate::ServiceName, epoch: u64) -> $crate::Result<()> {
                $each!(self, raise_epoch, service, epoch)
            }
            async fn renew(&self, lease: &$crate::journal::Lease, lasts: std::time::Duration, now: $crate::Timestamp) -> $crate::Result<$crate::journal::Lease> {
                $each!(self, renew, lease, lasts, now)
            }
            async fn give_back(&self, lease: &$crate::journal::Lease) -> $crate::Result<()> {
                $each!(self, give_back, lease)
            }
            async fn lease(&self, service: &$crate::ServiceName, now: $crate::Timestamp) -> $crate::Result<Option<$crate::journal::Lease>> {
                $each!(self, lease, service, now)
            }
            async fn commit(&self, lease: &$crate::journal::Lease, commit: &$crate::journal::Commit) -> $crate::Result<()> {
                $each!(self, commit, lease, commit)
            }
            async fn submit(&self, service: &$crate::ServiceName, request: &$crate::release::Request) -> $crate::Result<()> {
                $each!(self, submit, service, request)
            }
            async fn pending(&self, service: &$crate::ServiceName) -> $crate::Result<Vec<$crate::release::Request>> {
                $each!(self, pending, service)
            }
            async fn history(&self, service: &$crate::ServiceName, after: u64, limit: usize) -> $crate::Result<Vec<$crate::release::RecordedEvent>> {
                $each!(self, history, service, after, limit)
            }
            async fn newest(&self, service: &$crate::ServiceName) -> $crate::Result<u64> {
                $each!(self, newest, service)
            }
            async fn taken_at(&self, service: &$crate::ServiceName, request: &$crate::RequestId) -> $crate::Result<Option<u64>> {
                $each!(self, taken_at, service, request)
            }
            async fn checkpoint(&self, service: &$crate::ServiceName, upto: u64) -> $crate::Result<$crate::journal::Checkpoint> {
                $each!(self, checkpoint, service, upto)
            }
            async fn prune(&self, service: &$crate::ServiceName, keep: &$crate::journal::Keep, now: $crate::Timestamp) -> $crate::Result<()> {
                $each!(self, prune, service, keep, now)
            }
            async fn note_end(&self, service: &$crate::ServiceName, end: Option<$crate::journal::LoopEnd>) -> $crate::Result<()> {
                $each!(self, note_end, service, end)
            }
            async fn last_end(&self, service: &$crate::ServiceName) -> $crate::Result<Option<$crate::journal::LoopEnd>> {
                $each!(self, last_end, service)
            }
        }
    };
}

macro_rules! to_what_it_points_at {
    ($me:ident, id) => { (**$me).id() };
    ($me:ident, $method:ident $(, $argument:ident)*) => { (**$me).$method($($argument),*).await };
}

forward_journal! { [impl<J: Journal + ?Sized> Journal for Arc<J>] to_what_it_points_at }
forward_journal! { [impl<J: Journal + ?Sized> Journal for Box<J>] to_what_it_points_at }
