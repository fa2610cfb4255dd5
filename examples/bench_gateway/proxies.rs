//! The proxies: how each is started on core 0, looked at, and stopped.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;

use crate::Failure;
use crate::certificate::Certificate;
use crate::setup::Setup;

/// The file of what a peer says.
const LOG: &str = "log";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Proxy {
    /// Without a proxy.
    Direct,
    /// hyper's own server and client with a pool, and nothing in between.
    Hyper,
    Haproxy,
    Nginx,
    Envoy,
    Caddy,
    Traefik,
    Gateway,
    /// Sessions are known by the application's own cookie.
    HaproxyApplication,
    GatewayApplication,
    HaproxyTls,
    NginxTls,
    EnvoyTls,
    CaddyTls,
    TraefikTls,
    GatewayTls,
}

impl Proxy {
    /// HAProxy with the same duties.
    pub(crate) fn peer(self) -> Option<Self> {
        match self {
            Self::Direct | Self::Haproxy | Self::HaproxyApplication | Self::HaproxyTls => None,
            _ if self.is_application() => Some(Self::HaproxyApplication),
            _ if self.is_tls() => Some(Self::HaproxyTls),
            _ => Some(Self::Haproxy),
        }
    }

    pub(crate) fn is_application(self) -> bool {
        matches!(self, Self::HaproxyApplication | Self::GatewayApplication)
    }

    pub(crate) fn is_tls(self) -> bool {
        matches!(
            self,
            Self::HaproxyTls | Self::NginxTls | Self::EnvoyTls | Self::CaddyTls | Self::TraefikTls | Self::GatewayTls
        )
    }

    /// The program of a peer.
    fn program(self) -> Option<&'static str> {
        match self {
            Self::Direct | Self::Hyper | Self::Gateway | Self::GatewayApplication | Self::GatewayTls => None,
            Self::Haproxy | Self::HaproxyApplication | Self::HaproxyTls => Some("haproxy"),
            Self::Nginx | Self::NginxTls => Some("nginx"),
            Self::Envoy | Self::EnvoyTls => Some("envoy"),
            Self::Caddy | Self::CaddyTls => Some("caddy"),
            Self::Traefik | Self::TraefikTls => Some("traefik"),
        }
    }

    /// Why it cannot be measured here, if so. nginx has `sticky` since 1.29.6.
    pub(crate) fn missing(self) -> Option<String> {
        let name = self.program()?;
        let Some(program) = find(name) else { return Some(format!("{name} is not installed")) };
        if name != "nginx" {
            return None;
        }
        let said = Command::new(&program).arg("-v").output().ok()?;
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        let version = text.trim().rsplit('/').next()?.to_owned();
        let parts: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
        (parts < vec![1, 29, 6]).then(|| format!("nginx {version} has no `sticky`; 1.29.6 has"))
    }
}

/// Where a program is: in the search path, or where root's programs are.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A proxy that runs, and is killed when dropped.
pub(crate) struct Running {
    child: Option<Child>,
    pub(crate) address: SocketAddr,
    files: Option<tempfile::TempDir>,
}

impl Running {
    pub(crate) fn start(proxy: Proxy, instances: &[SocketAddr], certificate: &Certificate) -> Result<Self, Failure> {
        match proxy.program() {
            None if proxy == Proxy::Direct => Ok(Self { child: None, address: instances[0], files: None }),
            None => Self::ourselves(proxy, instances, certificate),
            Some(name) => Self::peer(proxy, name, instances, certificate),
        }
    }

    /// This program, started as the gateway or as the bare proxy.
    fn ourselves(proxy: Proxy, instances: &[SocketAddr], certificate: &Certificate) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--gateway").args(instances.iter().map(ToString::to_string));
        match proxy {
            Proxy::Hyper => drop(command.arg("--bare")),
            Proxy::GatewayApplication => drop(command.arg("--application")),
            Proxy::GatewayTls => drop(command.arg("--certificate").arg(certificate.folder())),
            _ => {}
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Self { child: Some(child), address: line.trim().parse()?, files: None })
    }

    fn peer(proxy: Proxy, name: &str, instances: &[SocketAddr], certificate: &Certificate) -> Result<Self, Failure> {
        let program = find(name).ok_or("it was there a moment ago")?;
        let files = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let setup = Setup {
            address,
            instances,
            certificate: proxy.is_tls().then(|| certificate.folder()),
            files: files.path(),
        };
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(&program);
        match name {
            "haproxy" => {
                let config = setup.write("haproxy.cfg", &setup.haproxy(proxy.is_application()))?;
                command.args(["-db", "-q", "-f"]).arg(config);
            }
            "nginx" => {
                let config = setup.write("nginx.conf", &setup.nginx())?;
                command.arg("-p").arg(files.path()).arg("-c").arg(config);
            }
            "envoy" => {
                let config = setup.write("envoy.json", &setup.envoy().to_string())?;
                command.args(["--concurrency", "1", "-l", "error", "--disable-hot-restart", "-c"]).arg(config);
            }
            "caddy" => {
                let config = setup.write("Caddyfile", &setup.caddy())?;
                command.env("GOMAXPROCS", "1").env("XDG_CONFIG_HOME", files.path()).env("XDG_DATA_HOME", files.path());
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
            }
            _ => {
                // It reads YAML and TOML; JSON is YAML.
                let dynamic = setup.write("services.yaml", &setup.traefik_services().to_string())?;
                command.env("GOMAXPROCS", "1");
                command.arg(format!("--providers.file.filename={}", dynamic.display()));
                command.arg(format!("--entrypoints.web.address={address}"));
                command.args([
                    "--log.level=ERROR",
                    "--global.sendanonymoususage=false",
                    "--global.checknewversion=false",
                ]);
            }
        }
        let log = std::fs::File::create(files.path().join(LOG))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child: Some(child), address, files: Some(files) })
    }

    /// What a peer has said.
    pub(crate) fn log(&self) -> String {
        let path = self.files.as_ref().map(|files| files.path().join(LOG));
        path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
    }

    /// The processes of the proxy: nginx has a worker.
    fn processes(&self) -> Vec<u32> {
        let Some(child) = &self.child else { return Vec::new() };
        let path = format!("/proc/{0}/task/{0}/children", child.id());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        std::iter::once(child.id()).chain(children.split_whitespace().filter_map(|id| id.parse().ok())).collect()
    }

    /// The most memory that it had so far, in MiB.
    pub(crate) fn memory(&self) -> f64 {
        let peak = |process: u32| {
            let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
        };
        self.processes().into_iter().map(peak).fold(0.0, |sum, more| sum + more)
    }

    /// Processor time taken so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.processes().into_iter().map(|process| cpu(&process.to_string())).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let processes = self.processes();
        let Some(child) = &mut self.child else { return };
        let _ = child.kill();
        let _ = child.wait();
        for process in processes.into_iter().skip(1).filter_map(|id| i32::try_from(id).ok()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// Processor time of a process and all its threads, from the scheduler, in nanoseconds.
pub(crate) fn cpu(pid: &str) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
