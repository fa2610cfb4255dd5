//! Gateway and controlling process, as processes of their own.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use haddock_core::{Error, ServiceName};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::points::Death;

/// How long a process may take to come up, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a controlling process is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    /// The service.
    pub service: ServiceName,
    /// The journal's file.
    pub journal: PathBuf,
    /// The spec store's directory.
    pub specs: PathBuf,
    /// Where the gateway's admin API is.
    pub gateway: String,
    /// As whom it holds the lease.
    pub holder: String,
    /// The file to which it writes each point that it passes.
    pub record: PathBuf,
    /// When it kills itself.
    pub death: Death,
}

/// Where a gateway listens: what it prints first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Addresses {
    /// For clients.
    pub clients: SocketAddr,
    /// For controllers.
    pub admin: SocketAddr,
}

/// Whether a controlling process may act: what it prints first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It acts.
    Acting,
    /// Another does.
    Busy(Error),
}

/// A process that ends when its standard input does. Dropped, it is killed.
#[derive(Debug)]
struct Player {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Player {
    /// Starts it and reads the first line that it prints; `None` if it ends before.
    async fn start<T: DeserializeOwned>(program: &Path, role: &str, argument: &str) -> (Self, Option<T>) {
        let mut child = Command::new(program)
            .args([role, argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the player can be started");
        let stdin = child.stdin.take();
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let line = timeout(PATIENCE, lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("`player {role}` says nothing")).expect("a pipe can be read");
        let said = line.map(|line| serde_json::from_str(&line).expect("a line of the player"));
        (Self { child, stdin }, said)
    }

    async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("a player that is to end ends").expect("a child can be waited for")
    }
}

/// A gateway in a process of its own.
#[derive(Debug)]
pub struct GatewayProcess {
    _player: Player,
    /// Where it listens.
    pub addresses: Addresses,
}

impl GatewayProcess {
    /// Starts one that keeps its tables in this folder.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start(program: &Path, folder: &Path) -> Self {
        let folder = folder.to_str().expect("a plain path");
        let (player, addresses) = Player::start(program, "gateway", folder).await;
        Self { _player: player, addresses: addresses.expect("the gateway comes up") }
    }
}

/// A controlling process.
#[derive(Debug)]
pub struct Controlling {
    player: Player,
    /// Whether it may act; `None` if it was killed before it knew.
    pub answer: Option<Answer>,
}

impl Controlling {
    /// Starts one.
    ///
    /// # Panics
    /// If it neither acts nor finds another acting.
    pub async fn start(program: &Path, orders: &Orders) -> Self {
        let orders = serde_json::to_string(orders).expect("plain data is JSON");
        let (player, answer) = Player::start(program, "control", &orders).await;
        Self { player, answer }
    }

    /// Waits until it ends by itself; answers whether it was killed.
    pub async fn dies(&mut self) -> bool {
        let status = self.player.child.wait().await.expect("a child can be waited for");
        status.signal() == Some(Signal::SIGKILL as i32)
    }

    /// Kills it with SIGKILL, and waits until it has ended.
    ///
    /// # Panics
    /// If it had ended already.
    pub async fn kill(mut self) {
        let pid = self.player.child.id().expect("it runs");
        kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGKILL).expect("it is ours");
        let status = self.player.ended().await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "killed");
    }

    /// Has it give the lease back and end.
    ///
    /// # Panics
    /// If it ends with an error.
    pub async fn stop(mut self) {
        self.player.stdin = None;
        let status = self.player.ended().await;
        assert!(status.success(), "the controlling process ended with {status}");
    }
}
