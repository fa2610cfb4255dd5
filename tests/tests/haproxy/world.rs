//! An HAProxy of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::haproxy::HaproxyLocator;
use haddock_core::locator::suite::{Ask, Cookies, Harness, InFlight};
use haddock_core::routing::{ApplicationCookie, CookieMode};
use haddock_core::{InstanceId, ServiceName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::instances::{Instances, path_of, try_get};

/// The idle time of sessions in tables, and how much longer HAProxy keeps them. It counts whole seconds since its start.
pub(crate) const IDLE: Duration = Duration::from_secs(1);
pub(crate) const KEPT_LONGER: Duration = Duration::from_millis(800);

/// The application's cookie.
const COOKIE: &str = "JSESSIONID";

/// One request with these cookies, which it updates. Answers with the instance.
pub(crate) async fn get(to: SocketAddr, path: &str, cookies: &mut Cookies) -> Option<InstanceId> {
    try_get(to, path, cookies).await?.instance()
}

/// What is different in a test's `haproxy.cfg`.
pub(crate) struct Lines {
    /// Of the section `global`.
    pub(crate) global: String,
    /// Of the backend `shop`.
    pub(crate) backend: String,
    /// At the end.
    pub(crate) more: String,
    /// Whether a master process reloads workers.
    pub(crate) master: bool,
}

impl Default for Lines {
    fn default() -> Self {
        let lines = HaproxyLocator::lines("shop", COOKIE, IDLE);
        let kept = format!("expire {}ms", (IDLE + KEPT_LONGER).as_millis());
        // It knows whole seconds only.
        let lines =
            lines.replace("expire 1s", &kept).replace("date,sub(proc.start) ge 1 ", "date,sub(proc.start) ge 3 ");
        Self { backend: lines, ..Self::nothing() }
    }
}

impl Lines {
    fn nothing() -> Self {
        Self { global: String::new(), backend: String::new(), more: String::new(), master: false }
    }

    /// Requests wait until the servers are there.
    pub(crate) fn that_wait(self, script: &std::path::Path) -> Self {
        std::fs::write(script, HaproxyLocator::waiting_script()).expect("written");
        let global = format!("{}    lua-load {}\n", self.global, script.display());
        Self { global, backend: self.backend + &HaproxyLocator::waiting_lines("shop"), ..self }
    }
}

/// HAProxy with a backend `shop`, and a directory of its own.
pub(crate) struct World {
    dir: TempDir,
    pub(crate) address: SocketAddr,
    /// HAProxy has it as its standard input. So who connects while none runs has to wait for the next one.
    door: std::net::TcpListener,
    master: bool,
    process: Mutex<Option<Child>>,
    locator: Mutex<Option<HaproxyLocator>>,
    instances: Instances,
}

pub(crate) fn service() -> ServiceName {
    ServiceName::new("shop").expect("valid")
}

impl World {
    /// `None`: there is no HAProxy on this machine, and this is said.
    pub(crate) async fn new(lines: Lines) -> Option<Self> {
        let there = Command::new("haproxy").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if there.is_err() {
            haddock_tests::skip("haproxy");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let door = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = door.local_addr().expect("bound");
        let Lines { global, backend, more, master } = lines;
        let socket = dir.path().join("sock");
        let expose = if master { " expose-fd listeners" } else { "" };
        let text = format!(
            "global\n    localpeer here\n    set-var proc.start date\n    stats socket {} mode 600 level admin{expose}\n    nbthread 2\n    maxconn 500\n\
             {global}defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n\
             frontend web\n    bind fd@0\n    default_backend shop\n{backend}{more}",
            socket.display()
        );
        std::fs::write(dir.path().join("haproxy.cfg"), text).expect("written");
        let world = Self {
            dir,
            address,
            door,
            master,
            process: Mutex::default(),
            locator: Mutex::default(),
            instances: Instances::with_cookie(COOKIE),
        };
        world.start_haproxy().await;
        world.open();
        Some(world)
    }

    /// One that counts, as it does an idle time after HAProxy's start.
    pub(crate) async fn counting() -> Option<Self> {
        let world = Self::new(Lines::default()).await?;
        world.until_it_counts().await;
        Some(world)
    }

    /// HAProxy tells its age in whole seconds.
    pub(crate) async fn until_it_counts(&self) {
        sleep(IDLE + KEPT_LONGER + Duration::from_millis(1_100)).await;
    }

    /// An instance that was started.
    pub(crate) async fn instance(&self, id: &InstanceId) -> Arc<crate::instances::Instance> {
        self.instances.get(id).await
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn open(&self) {
        let locator = self.another();
        *self.locator.lock().expect("not poisoned") = Some(locator);
    }

    /// Another locator, as another process has one.
    pub(crate) fn another(&self) -> HaproxyLocator {
        let socket = self.socket().display().to_string().parse().expect("a path");
        HaproxyLocator::builder(socket, self.dir.path().join("state")).open().expect("a directory")
    }

    pub(crate) async fn start_haproxy(&self) {
        let mode = if self.master { "-W" } else { "-db" };
        let config = self.dir.path().join("haproxy.cfg");
        let log = std::fs::File::create(self.dir.path().join("log")).expect("a file");
        let process = Command::new("haproxy")
            .arg(mode)
            .arg("-f")
            .arg(config)
            .stdin(std::os::fd::OwnedFd::from(self.door.try_clone().expect("a listener")))
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("it runs");
        *self.process.lock().expect("not poisoned") = Some(process);
        let ended = || {
            let mut process = self.process.lock().expect("not poisoned");
            process.as_mut().is_none_or(|process| process.try_wait().expect("a child").is_some())
        };
        let answers = async {
            while self.ask("show info").await.is_none() {
                assert!(!ended(), "HAProxy does not run\n{}", self.log());
                sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), answers).await.is_err() {
            panic!("HAProxy does not answer\n{}", self.log());
        }
    }

    pub(crate) fn kill_haproxy(&self) {
        if let Some(mut process) = self.process.lock().expect("not poisoned").take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends a signal to the process, or to the master.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let process = self.process.lock().expect("not poisoned").as_ref().expect("running").id();
        let process = nix::unistd::Pid::from_raw(i32::try_from(process).expect("a pid"));
        nix::sys::signal::kill(process, signal).expect("it runs");
        if signal == nix::sys::signal::Signal::SIGSTOP {
            let stopped = nix::sys::wait::WaitPidFlag::WUNTRACED;
            nix::sys::wait::waitpid(process, Some(stopped)).expect("it stops");
        }
    }

    /// What HAProxy itself says.
    pub(crate) async fn ask(&self, command: &str) -> Option<String> {
        let mut stream = tokio::net::UnixStream::connect(self.socket()).await.ok()?;
        stream.write_all(format!("{command}\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }

    /// Waits for something, with a deadline.
    pub(crate) async fn eventually(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let look = async {
            while !holds().await {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), look).await;
        assert!(ended.is_ok(), "not in time: {what}\n{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.master {
            // Its workers end with it.
            self.signal(nix::sys::signal::Signal::SIGTERM);
            let process = self.process.lock().expect("not poisoned").as_ref().map(Child::id);
            for _ in 0..200 {
                let ended = process.is_none_or(|it| !std::path::Path::new(&format!("/proc/{it}/exe")).exists());
                if ended {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.kill_haproxy();
    }
}

#[async_trait]
impl Harness for World {
    fn locator(&self) -> Arc<dyn ServiceLocator> {
        Arc::new(self.locator.lock().expect("not poisoned").clone().expect("open"))
    }

    fn service(&self) -> ServiceName {
        service()
    }

    fn idle(&self) -> Duration {
        IDLE
    }

    fn application(&self) -> Option<ApplicationCookie> {
        Some(ApplicationCookie { mode: CookieMode::Learn, ..ApplicationCookie::new(COOKIE) })
    }

    fn late(&self) -> Duration {
        KEPT_LONGER + Duration::from_millis(700)
    }

    async fn start(&self, instance: &InstanceId) -> SocketAddr {
        self.instances.get(instance).await.address
    }

    async fn ask(&self, cookies: &mut Cookies, ask: Ask) -> Option<InstanceId> {
        get(self.address, path_of(ask), cookies).await
    }

    async fn begin(&self, cookies: &mut Cookies) -> Option<Box<dyn InFlight>> {
        self.instances.begin(self.address, cookies).await
    }

    async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    async fn restart(&self) -> bool {
        self.kill_haproxy();
        self.locator.lock().expect("not poisoned").take();
        self.start_haproxy().await;
        self.open();
        true
    }
}
