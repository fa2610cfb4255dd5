//! The way to the instances: a gateway, two of them, or HAProxy.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use haddock_core::LocatorName;
use haddock_core::locator::ServiceLocator;

use super::arguments::{Arguments, Through};
use super::gateways::Gateways;
use super::haproxy::Haproxy;
use super::receipts::Receipts;

/// What clients connect to, and what steers it.
pub(super) struct Front {
    pub(super) addresses: Vec<SocketAddr>,
    /// The first of them is the controller's first one.
    pub(super) locators: Vec<(LocatorName, Arc<dyn ServiceLocator>)>,
    kind: Kind,
}

enum Kind {
    Gateways(Gateways),
    Haproxy(Haproxy),
}

impl Front {
    /// Opens it, with its files in this folder. `backend` is the name of the service.
    pub(super) async fn open(
        arguments: &Arguments,
        program: Option<&Path>,
        folder: &Path,
        backend: &str,
    ) -> io::Result<Self> {
        let how_many = match arguments.through {
            Through::Gateway => 1,
            Through::Group => 2,
            Through::Haproxy => {
                let haproxy = Haproxy::start(arguments, folder, backend).await?;
                let (addresses, locators) = (vec![haproxy.address()], vec![haproxy.locator()?]);
                return Ok(Self { addresses, locators, kind: Kind::Haproxy(haproxy) });
            }
        };
        // What is to be killed runs in a process of its own.
        let program = program.filter(|_| arguments.disturb);
        let gateways = Gateways::start(how_many, program, folder).await?;
        let (addresses, locators) = (gateways.addresses(), gateways.locators()?);
        Ok(Self { addresses, locators, kind: Kind::Gateways(gateways) })
    }

    /// Disturbs it in the way that has this number, from 1, and says how. `None`: there are no more.
    pub(super) async fn disturb(&self, number: u32, receipts: &Receipts) -> io::Result<Option<String>> {
        let done = match (&self.kind, number) {
            (Kind::Haproxy(haproxy), 2) => {
                haproxy.kill(receipts).await?;
                "HAProxy is killed and started again"
            }
            (Kind::Haproxy(haproxy), 1 | 3) => {
                haproxy.reload().await?;
                "HAProxy is reloaded"
            }
            (Kind::Gateways(gateways), 1 | 2) if gateways.addresses().len() == 1 => {
                gateways.replace().await?;
                "a newer gateway takes over"
            }
            (Kind::Gateways(gateways), 1..=3) => {
                let which = number as usize % gateways.addresses().len();
                gateways.kill(which, receipts).await?;
                "a gateway is killed and started again"
            }
            _ => return Ok(None),
        };
        Ok(Some(done.to_owned()))
    }
}
