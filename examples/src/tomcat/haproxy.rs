//! An HAProxy of the example's own, which can be reloaded and killed.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haddock_core::LocatorName;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::haproxy::HaproxyLocator;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::arguments::Arguments;
use super::receipts::Receipts;
use crate::client::pause;
use crate::show::told;

/// How long HAProxy may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(20);

/// An HAProxy that can be reloaded and killed.
pub(super) struct Haproxy {
    folder: PathBuf,
    /// Its standard input. Who connects while none runs waits for the next one.
    door: TcpListener,
    address: SocketAddr,
    master: Mutex<Master>,
}

/// The master process of an HAProxy. All of its group are killed with it.
struct Master(Child);

impl Drop for Master {
    fn drop(&mut self) {
        if let Some(group) = self.group() {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Master {
    fn group(&self) -> Option<Pid> {
        self.0.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw)
    }
}

impl Haproxy {
    /// Starts it. `backend` is the name of the service.
    pub(super) async fn start(arguments: &Arguments, folder: &Path, backend: &str) -> io::Result<Self> {
        let door = TcpListener::bind("127.0.0.1:0")?;
        let address = door.local_addr()?;
        let idle = arguments.idle();
        let lines = HaproxyLocator::lines(backend, super::buyer::COOKIE, idle);
        let lines = lines.replace("a-secret-of-yours", &format!("{:032x}", rand::random::<u128>()));
        let script = folder.join("wait.lua");
        std::fs::write(&script, HaproxyLocator::waiting_script())?;
        // Each needs two files of HAProxy, and a machine may allow it some thousands only.
        let connections = arguments.clients + 100;
        let text = format!(
            "global\n    set-var proc.start date\n    lua-load {}\n    stats socket {} mode 600 level admin expose-fd listeners\n    maxconn {connections}\n    \
             hard-stop-after {}s\n\
             defaults\n    mode http\n    option idle-close-on-response\n    timeout connect 5s\n    timeout client 60s\n    \
             timeout server 60s\n\
             frontend web\n    bind fd@0\n    default_backend {backend}\n{lines}{}",
            script.display(),
            folder.join("haproxy.sock").display(),
            idle.as_secs(),
            HaproxyLocator::waiting_lines(backend),
        );
        std::fs::write(folder.join("haproxy.cfg"), text)?;
        let master = run(folder, &door).await?;
        Ok(Self { folder: folder.to_owned(), door, address, master: Mutex::new(master) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn locator(&self) -> io::Result<(LocatorName, Arc<dyn ServiceLocator>)> {
        let socket = self.folder.join("haproxy.sock").display().to_string().parse().map_err(told)?;
        let locator = HaproxyLocator::builder(socket, self.folder.join("state")).open().map_err(told)?;
        Ok((LocatorName::new("haproxy").map_err(told)?, Arc::new(locator)))
    }

    /// Has the master start another worker.
    pub(super) async fn reload(&self) -> io::Result<()> {
        let socket = self.folder.join("haproxy.sock");
        let before = worker(&socket).await?;
        let master = self.master.lock().unwrap_or_else(PoisonError::into_inner).group();
        kill(master.ok_or_else(|| io::Error::other("HAProxy has ended"))?, Signal::SIGUSR2)?;
        let other = async {
            while !matches!(worker(&socket).await, Ok(now) if now != before) {
                pause(EVERY).await;
            }
        };
        tokio::time::timeout(START_LIMIT, other).await.map_err(|_| io::Error::other("HAProxy was not reloaded"))
    }

    /// Kills all its processes, and starts it again.
    pub(super) async fn kill(&self, receipts: &Receipts) -> io::Result<()> {
        receipts.kill_begins();
        let group = self.master.lock().unwrap_or_else(PoisonError::into_inner).group();
        killpg(group.ok_or_else(|| io::Error::other("HAProxy has ended"))?, Signal::SIGKILL)?;
        while worker(&self.folder.join("haproxy.sock")).await.is_ok() {
            pause(EVERY).await;
        }
        receipts.kill_ended();
        let next = run(&self.folder, &self.door).await?;
        *self.master.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

/// Starts HAProxy, and waits until it answers.
async fn run(folder: &Path, door: &TcpListener) -> io::Result<Master> {
    let (log, socket) = (folder.join("haproxy.log"), folder.join("haproxy.sock"));
    let out = std::fs::File::options().create(true).append(true).open(&log)?;
    let mut master = Command::new("haproxy")
        .args(["-W".as_ref(), "-f".as_ref(), folder.join("haproxy.cfg").as_os_str()])
        .stdin(OwnedFd::from(door.try_clone()?))
        .stdout(out.try_clone()?)
        .stderr(out)
        .process_group(0)
        .spawn()
        .map(Master)
        .map_err(|error| io::Error::new(error.kind(), format!("haproxy: {error}")))?;
    let answers = async {
        while worker(&socket).await.is_err() {
            if master.0.try_wait()?.is_some() {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(io::Error::other(format!("HAProxy does not run\n{log}")));
            }
            pause(EVERY).await;
        }
        Ok(())
    };
    let answered = tokio::time::timeout(START_LIMIT, answers).await;
    answered.unwrap_or_else(|_| Err(io::Error::other("HAProxy does not answer")))?;
    Ok(master)
}

/// The id of the worker process, as HAProxy tells it.
async fn worker(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"show info\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let line = answer.lines().find_map(|line| line.strip_prefix("Pid: "));
    line.map(str::to_owned).ok_or_else(|| io::Error::other("HAProxy does not tell its process"))
}
