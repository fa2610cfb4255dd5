//! Environments that a locator sends clients to, because they were adopted as instances of services.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Controller;
use super::ports::Ports;
use crate::environment::Target;
use crate::environment::environments::{Environment, Pruned, Switch, Switched, TrafficGate, Users};
use crate::environment::idle::{IdlePolicy, IdleVerdict};
use crate::error::{Error, ErrorKind, Result};
use crate::locator::ServiceLocator;
use crate::name::{ComponentName, EnvironmentName, InstanceId, ServiceName};
use crate::time::sleep;

/// How long clients wait at most: longer than most components take to start.
const HOLD_LIMIT: Duration = Duration::from_secs(150);
/// How long requests that are under way may still take when clients begin to wait.
const IN_FLIGHT_LIMIT: Duration = Duration::from_secs(30);
/// How often the number of requests under way is read.
const IN_FLIGHT_POLL_INTERVAL: Duration = Duration::from_millis(20);

impl Controller {
    /// As [`Environments::link`](crate::environment::environments::Environments::link). If the environment was adopted
    /// as an instance of a service, and the locator can hold requests, its clients wait meanwhile.
    ///
    /// # Errors
    /// Those of [`Environments::link`](crate::environment::environments::Environments::link);
    /// [`Busy`](ErrorKind::Busy) if requests to it do not end within 30 s.
    pub async fn link(
        &self,
        name: &EnvironmentName,
        component: &ComponentName,
        target: Option<Target>,
        how: Switch,
    ) -> Result<Switched> {
        let environments = self.environments();
        let front = self.front_of(&environments.get(name).await?).await?;
        environments.link(name, component, target, how, front.as_ref().map(|front| front as &dyn TrafficGate)).await
    }

    /// As [`Environments::down`](crate::environment::environments::Environments::down), but an
    /// environment that is an instance of a service stays.
    ///
    /// # Errors
    /// Those of [`Environments::down`](crate::environment::environments::Environments::down), among them
    /// [`Busy`](ErrorKind::Busy) if it is an instance of a service.
    pub async fn down(&self, name: &EnvironmentName, volumes: bool) -> Result<bool> {
        let environments = self.environments();
        let front = match environments.get(name).await {
            Ok(environment) => self.front_of(&environment).await?,
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match front {
            None => {
                let gone = environments.down(name, volumes).await;
                self.forget_beside().await;
                gone
            }
            Some(Front { service, .. }) => {
                let message =
                    format!("environment `{name}` was adopted as an instance of `{service}`, and may have clients");
                Err(Error::new(ErrorKind::Busy, message).with_hint(
                    "release a version of it: when nothing is left on what was adopted, the history says so",
                ))
            }
        }
    }

    /// As [`Environments::prune`](crate::environment::environments::Environments::prune), but an
    /// environment that is an instance of a service is never ended, even if nobody uses it.
    ///
    /// # Errors
    /// Those of [`Environments::prune`](crate::environment::environments::Environments::prune), and the journal's.
    pub async fn prune(&self, policy: &IdlePolicy, dry_run: bool) -> Result<Vec<Pruned>> {
        let pruned = self.environments().prune_but(policy, dry_run, self).await?;
        if !dry_run && pruned.iter().any(|it| matches!(it.verdict, IdleVerdict::Remove { .. })) {
            self.forget_beside().await;
        }
        Ok(pruned)
    }

    /// What the locators do for an environment that was adopted as an instance of a service.
    async fn front_of(&self, environment: &Environment) -> Result<Option<Front>> {
        let adopted = self.adopted().await?;
        let found = adopted_as(&adopted, environment).cloned();
        Ok(found.map(|(service, instance)| Front { ports: Arc::clone(&self.ports), service, instance }))
    }

    /// The instances that were adopted, by their addresses.
    async fn adopted(&self) -> Result<Adopted> {
        let mut adopted = Adopted::new();
        for service in self.ports.journal.services().await? {
            let Some(state) = self.ports.journal.load(&service).await? else { continue };
            for (id, instance) in &state.instances {
                adopted.extend(instance.external().map(|server| (server.address, (service.clone(), id.clone()))));
            }
        }
        Ok(adopted)
    }
}

#[async_trait]
impl Users for Controller {
    async fn why_used(&self, environment: &Environment) -> Result<Option<String>> {
        // Read anew for each environment: one may have been adopted while others were being stopped.
        let adopted = self.adopted().await?;
        Ok(adopted_as(&adopted, environment).map(|(service, _)| format!("it is an instance of `{service}`")))
    }
}

type Adopted = BTreeMap<SocketAddr, (ServiceName, InstanceId)>;

/// The instance as which an environment was adopted: it has the address of one of the environment's containers.
fn adopted_as<'a>(adopted: &'a Adopted, environment: &Environment) -> Option<&'a (ServiceName, InstanceId)> {
    let containers = environment.components.values();
    let mut addresses = containers.flat_map(|it| it.addresses.values().chain(it.published.values()));
    addresses.find_map(|address| adopted.get(address))
}

/// An instance, and the locators that can hold requests for it.
struct Front {
    ports: Arc<Ports>,
    service: ServiceName,
    instance: InstanceId,
}

impl Front {
    fn locators(&self) -> impl Iterator<Item = &Arc<dyn ServiceLocator>> {
        self.ports.locators.values().filter(|locator| locator.capabilities().hold)
    }
}

#[async_trait]
impl TrafficGate for Front {
    async fn hold(&self) -> Result<()> {
        let mut waited = Duration::ZERO;
        for locator in self.locators() {
            locator.hold(&self.service, &self.instance, HOLD_LIMIT).await?;
        }
        for locator in self.locators() {
            loop {
                let report = locator.observe(&self.service).await?;
                let Some(figures) = report.instances.get(&self.instance).filter(|it| it.in_flight > 0) else { break };
                if waited >= IN_FLIGHT_LIMIT {
                    let message = format!("{} requests to `{}` do not end", figures.in_flight, self.instance);
                    return Err(Error::new(ErrorKind::Busy, message).with_hint("nothing was changed; try it later"));
                }
                sleep(IN_FLIGHT_POLL_INTERVAL).await;
                waited += IN_FLIGHT_POLL_INTERVAL;
            }
        }
        Ok(())
    }

    async fn resume(&self) -> Result<()> {
        for locator in self.locators() {
            locator.resume(&self.service, &self.instance).await?;
        }
        Ok(())
    }
}
