//! Passes every call of a locator on.

use std::sync::Arc;

use super::ServiceLocator;

/// As [`forward_runtime!`](crate::forward_runtime), for a [`ServiceLocator`](crate::locator::ServiceLocator). The
/// expression for `capabilities` must not await.
#[macro_export]
macro_rules! forward_locator {
    ([$($head:tt)*] $each:ident) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        $($head)* {
            fn capabilities(&self) -> $crate::routing::LocatorCapabilities {
                $each!(self, capabilities)
            }
            async fn apply(&self, table: &$crate::routing::RoutingTable) -> $crate::Result<()> {
                $each!(self, apply, table)
            }
            async fn close(
                &self,
                service: &$crate::ServiceName,
                instance: &$crate::InstanceId,
                number: $crate::FencingToken,
            ) -> $crate::Result<$crate::routing::CloseAnswer> {
                $each!(self, close, service, instance, number)
            }
            async fn evict(&self, service: &$crate::ServiceName, instance: &$crate::InstanceId, number: $crate::FencingToken) -> $crate::Result<()> {
                $each!(self, evict, service, instance, number)
            }
            async fn hold(&self, service: &$crate::ServiceName, instance: &$crate::InstanceId, within: std::time::Duration) -> $crate::Result<()> {
                $each!(self, hold, service, instance, within)
            }
            async fn resume(&self, service: &$crate::ServiceName, instance: &$crate::InstanceId) -> $crate::Result<()> {
                $each!(self, resume, service, instance)
            }
            async fn observe(&self, service: &$crate::ServiceName) -> $crate::Result<$crate::routing::LocatorReport> {
                $each!(self, observe, service)
            }
            async fn remaining(
                &self,
                service: &$crate::ServiceName,
                instance: &$crate::InstanceId,
            ) -> $crate::Result<$crate::routing::RemainingSessions> {
                $each!(self, remaining, service, instance)
            }
            async fn ended_sessions(
                &self,
                service: &$crate::ServiceName,
                from: u64,
            ) -> $crate::Result<$crate::routing::EndedSessions> {
                $each!(self, ended_sessions, service, from)
            }
            async fn end_sessions(&self, service: &$crate::ServiceName, sessions: &[$crate::routing::EndedSession]) -> $crate::Result<()> {
                $each!(self, end_sessions, service, sessions)
            }
            async fn traffic(
                &self,
                service: &$crate::ServiceName,
                from: $crate::Timestamp,
                until: $crate::Timestamp,
            ) -> $crate::Result<$crate::routing::TrafficRecord> {
                $each!(self, traffic, service, from, until)
            }
            async fn check(
                &self,
                service: &$crate::ServiceName,
                session: &$crate::routing::SessionPolicy,
            ) -> $crate::Result<Vec<$crate::routing::Advice>> {
                $each!(self, check, service, session)
            }
        }
    };
}

macro_rules! to_what_it_points_at {
    ($me:ident, capabilities) => { (**$me).capabilities() };
    ($me:ident, $method:ident $(, $argument:ident)*) => { (**$me).$method($($argument),*).await };
}

forward_locator! { [impl<L: ServiceLocator + ?Sized> ServiceLocator for Arc<L>] to_what_it_points_at }
forward_locator! { [impl<L: ServiceLocator + ?Sized> ServiceLocator for Box<L>] to_what_it_points_at }
