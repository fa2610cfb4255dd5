//! The gateway as a locator.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::locator::{LocatorCapabilities, ServiceLocator, SessionCount};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{
    CloseAnswer, EndedSession, EndedSessions, FencingToken, LocatorReport, RemainingSessions, RoutingTable, TrafficGap,
    TrafficRecord,
};
use crate::time::Timestamp;

use super::services::Services;

/// The locator inside a gateway of this process.
#[derive(Debug, Clone)]
pub(super) struct GatewayLocator {
    pub(super) services: Arc<Services>,
}

impl fmt::Display for GatewayLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gateway")
    }
}

impl GatewayLocator {
    /// Runs what waits for the disk on a thread of its own, so that it ends even if the caller goes away.
    async fn carry_out<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Services) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let services = Arc::clone(&self.services);
        let carried_out = tokio::task::spawn_blocking(move || {
            services.check()?;
            let result = work(&services);
            // Another gateway may have taken over meanwhile. Then what was seen here is not true any more.
            services.check()?;
            result
        });
        match carried_out.await {
            Ok(result) => result,
            Err(error) => Err(Error::new(ErrorKind::LocatorUnavailable, format!("the gateway gave up: {error}"))),
        }
    }
}

impl GatewayLocator {
    /// The recorded traffic, or its first days.
    pub(super) async fn first_traffic(
        &self,
        service: &ServiceName,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<TrafficRecord> {
        let service = service.clone();
        self.carry_out(move |services| {
            Ok(services.get(&service).map(|service| service.read_traffic(from, until)).unwrap_or_else(|| {
                let gaps = vec![TrafficGap { from, to: until }];
                TrafficRecord { from, until, minutes: Vec::new(), gaps }
            }))
        })
        .await
    }
}

#[async_trait]
impl ServiceLocator for GatewayLocator {
    fn capabilities(&self) -> LocatorCapabilities {
        LocatorCapabilities {
            keeps_sticky_at_zero: true,
            session_count: SessionCount::Exact,
            atomic_close: true,
            hold: true,
            counts_by_table: true,
            adoption: true,
            follows_unseen: true,
            counts_by_policy: true,
            by_client: true,
            closes_in_rounds: true,
        }
    }

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        let table = table.clone();
        self.carry_out(move |services| services.get_or_make(&table.service)?.apply(&table)).await
    }

    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        let (service, instance) = (service.clone(), instance.clone());
        self.carry_out(move |services| services.get_or_make(&service)?.close(&instance, number)).await
    }

    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()> {
        let (service, instance) = (service.clone(), instance.clone());
        self.carry_out(move |services| services.get_or_make(&service)?.evict(&instance, number)).await
    }

    async fn hold(&self, service: &ServiceName, instance: &InstanceId, within: Duration) -> Result<()> {
        self.services.check()?;
        let unknown = || Error::new(ErrorKind::NotFound, format!("the gateway knows no service `{service}`"));
        self.services.get(service).ok_or_else(unknown)?.hold(instance, within)
    }

    async fn resume(&self, service: &ServiceName, instance: &InstanceId) -> Result<()> {
        self.services.check()?;
        if let Some(service) = self.services.get(service) {
            service.resume(instance);
        }
        Ok(())
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        let maker = &self.services.maker;
        let report = self.services.get(service).map(|service| service.report());
        self.services.check()?;
        Ok(report.unwrap_or_else(|| LocatorReport::new(maker.incarnation, maker.started)))
    }

    async fn remaining(&self, service: &ServiceName, instance: &InstanceId) -> Result<RemainingSessions> {
        let (service, instance) = (service.clone(), instance.clone());
        let none = RemainingSessions::none;
        self.carry_out(move |services| {
            Ok(services.get(&service).map_or_else(none, |service| service.remaining(&instance)))
        })
        .await
    }

    async fn ended_sessions(&self, service: &ServiceName, from: u64) -> Result<EndedSessions> {
        self.services.check()?;
        Ok(self.services.get(service).map_or_else(EndedSessions::default, |service| service.ended_sessions(from)))
    }

    async fn end_sessions(&self, service: &ServiceName, sessions: &[EndedSession]) -> Result<()> {
        self.services.check()?;
        if let Some(service) = self.services.get(service) {
            service.end_sessions(sessions);
        }
        Ok(())
    }

    async fn traffic(&self, service: &ServiceName, from: Timestamp, until: Timestamp) -> Result<TrafficRecord> {
        let mut record = self.first_traffic(service, from, until).await?;
        let until = until.min(self.services.maker.clock.now());
        while record.until < until {
            record.join(self.first_traffic(service, record.until, until).await?);
        }
        Ok(record)
    }
}
