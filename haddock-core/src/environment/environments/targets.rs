//! Checks that the targets of links outside an environment exist and answer.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Environments;
use crate::environment::launch::{Place, locate};
use crate::environment::{EnvironmentSpec, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;
use crate::runtime::probe::{PROBE_LIMIT, Probe};

impl Environments {
    /// Checks each target that the versions of a service reach: it has to exist, and to take connections on the ports
    /// of the component that it replaces. `file`: the specification that still has this component.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`ContainerExited`](ErrorKind::ContainerExited), and
    /// [`NeverReady`](ErrorKind::NeverReady) if it does not answer.
    pub(crate) async fn check_targets(&self, spec: &EnvironmentSpec, file: &EnvironmentSpec) -> Result<()> {
        let versioned = spec.components.values().filter(|component| component.versioned);
        let reached: BTreeSet<&ComponentName> = versioned.flat_map(|it| spec.reaches(it).into_keys()).collect();
        for name in reached {
            self.check_target(&spec.targets[name], ports_of(file, name)).await?;
        }
        Ok(())
    }

    /// Checks one target.
    pub(super) async fn check_target(&self, target: &Target, ports: &[u16]) -> Result<Place> {
        let place = locate(&*self.runtime, &self.journal, target).await?;
        let addresses: Vec<SocketAddr> = match &place {
            Place::Address(ip, port) => vec![SocketAddr::new(*ip, *port)],
            Place::Container { found, .. } => {
                ports.iter().filter_map(|port| found.addresses.get(port).copied()).collect()
            }
        };
        for address in addresses {
            let probe = Probe::tcp(address);
            if let Err(failure) = self.probing.probe(&probe, PROBE_LIMIT).await {
                let message =
                    format!("`{target}`, to which a link is to lead, does not answer at `{address}`: {failure}");
                return Err(Error::new(ErrorKind::NeverReady, message)
                    .with_hint("nothing was changed; start it, or name another target"));
            }
        }
        Ok(place)
    }
}

/// The ports that a component exposes.
pub(super) fn ports_of<'s>(spec: &'s EnvironmentSpec, component: &ComponentName) -> &'s [u16] {
    spec.components.get(component).map_or(&[], |component| &component.expose)
}
