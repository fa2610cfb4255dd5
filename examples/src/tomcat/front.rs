//! The way to the instances: a gateway, two of them, or HAProxy.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::LocatorName;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::gateway::Gateway;
use haddock_core::locator::haproxy::HaproxyLocator;
use tokio::process::{Child, Command};

use super::arguments::{Arguments, Through};
use crate::client::pause;
use crate::show::told;

/// How long HAProxy may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(20);

/// What clients connect to, and what steers it.
pub(super) struct Front {
    pub(super) addresses: Vec<SocketAddr>,
    /// The first of them is the controller's first one.
    pub(super) locators: Vec<(LocatorName, Arc<dyn ServiceLocator>)>,
    _gateways: Vec<Gateway>,
    /// It is killed with the front.
    _haproxy: Option<Child>,
}

impl Front {
    /// Opens it, with its files in this folder. `backend` is the name of the service.
    pub(super) async fn open(arguments: &Arguments, folder: &Path, backend: &str) -> io::Result<Self> {
        match arguments.through {
            Through::Gateway => Self::gateways(folder, 1).await,
            Through::Group => Self::gateways(folder, 2).await,
            Through::Haproxy => Self::haproxy(arguments, folder, backend).await,
        }
    }

    async fn gateways(folder: &Path, how_many: usize) -> io::Result<Self> {
        let (mut gateways, mut locators) = (Vec::new(), Vec::new());
        for number in 1..=how_many {
            let state = folder.join(format!("gateway-{number}"));
            // With the same key, each follows what another has signed.
            let gateway = Gateway::builder().state_dir(state).key_file(folder.join("key")).start().await;
            let gateway = gateway.map_err(told)?;
            locators.push((LocatorName::new(format!("gateway-{number}")).map_err(told)?, gateway.locator()));
            gateways.push(gateway);
        }
        let addresses = gateways.iter().map(Gateway::local_addr).collect();
        Ok(Self { addresses, locators, _gateways: gateways, _haproxy: None })
    }

    async fn haproxy(arguments: &Arguments, folder: &Path, backend: &str) -> io::Result<Self> {
        // Free until another takes it.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (socket, config) = (folder.join("haproxy.sock"), folder.join("haproxy.cfg"));
        // Each needs two files of HAProxy, and a machine may allow it some thousands only.
        let connections = arguments.clients + 100;
        let text = format!(
            "global\n    stats socket {} mode 600 level admin\n    maxconn {connections}\n\
             defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n\
             frontend web\n    bind {address}\n    default_backend {backend}\n{}",
            socket.display(),
            HaproxyLocator::lines(backend, super::buyer::COOKIE, arguments.idle())
        );
        std::fs::write(&config, text)?;
        let log = std::fs::File::create(folder.join("haproxy.log"))?;
        let mut haproxy = Command::new("haproxy")
            .args(["-db".as_ref(), "-f".as_ref(), config.as_os_str()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("haproxy: {error}")))?;
        let answers = async {
            while tokio::net::UnixStream::connect(&socket).await.is_err() {
                if haproxy.try_wait()?.is_some() {
                    let log = std::fs::read_to_string(folder.join("haproxy.log")).unwrap_or_default();
                    return Err(io::Error::other(format!("HAProxy does not run\n{log}")));
                }
                pause(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        let answered = tokio::time::timeout(START_LIMIT, answers).await;
        answered.unwrap_or_else(|_| Err(io::Error::other("HAProxy does not answer")))?;
        let socket = socket.display().to_string().parse().map_err(told)?;
        let locator = HaproxyLocator::builder(socket, folder.join("haproxy")).open().map_err(told)?;
        let name = LocatorName::new("haproxy").map_err(told)?;
        let locators: Vec<(LocatorName, Arc<dyn ServiceLocator>)> = vec![(name, Arc::new(locator))];
        Ok(Self { addresses: vec![address], locators, _gateways: Vec::new(), _haproxy: Some(haproxy) })
    }
}
