//! Whether what links lead to, outside an environment, is there and answers.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Environments;
use crate::environment::launch::{Place, locate};
use crate::environment::probe::{PROBE_LIMIT, Probe};
use crate::environment::{EnvironmentSpec, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;

impl Environments {
    /// Checks each target that the versions of a service reach: it is there, and takes connections, on the ports that the
    /// component has whose place it takes. `file`: the specification that has that component.
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

/// The ports that a component has within.
pub(super) fn ports_of<'s>(spec: &'s EnvironmentSpec, component: &ComponentName) -> &'s [u16] {
    spec.components.get(component).map_or(&[], |component| &component.expose)
}
