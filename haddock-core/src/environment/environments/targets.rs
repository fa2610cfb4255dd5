//! Whether what links lead to, outside an environment, is there and answers.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Environments;
use crate::environment::launch::{Place, locate, reached};
use crate::environment::probe::{PROBE_LIMIT, Probe};
use crate::environment::{EnvironmentSpec, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;

impl Environments {
    /// Checks each target that these components reach: it is there, and takes connections, on the ports that the
    /// component has whose place it takes.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`ContainerExited`](ErrorKind::ContainerExited), and
    /// [`NeverReady`](ErrorKind::NeverReady) if it does not answer.
    pub(crate) async fn check_targets(&self, spec: &EnvironmentSpec, members: &BTreeSet<ComponentName>) -> Result<()> {
        for (name, target) in reached(spec, members.iter()) {
            let ports = spec.components.get(name).map(|component| component.expose.clone()).unwrap_or_default();
            self.check_target(target, &ports).await?;
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
            let probe = Probe { address, http: None };
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
