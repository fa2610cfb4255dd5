//! Gateways: in this process, or each in one of its own where it is to be killed.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haddock_core::LocatorName;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::gateway::Gateway;
use haddock_core::locator::remote::RemoteGateway;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::receipts::Receipts;
use crate::show::told;

/// The word with which a program of ours, as its first argument, becomes a gateway.
pub const GATEWAY: &str = "__gateway";

/// How long a gateway may take until it serves.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long one that was replaced serves those that are still connected.
const LEAVE_LIMIT: Duration = Duration::from_secs(60);

/// One or more gateways with the same key: each follows what another has signed.
pub(super) struct Gateways(Vec<Place>);

/// Where a gateway is, whichever process serves there.
struct Place {
    name: String,
    state: PathBuf,
    key: PathBuf,
    /// Who connects while none runs waits for the next one.
    door: TcpListener,
    address: SocketAddr,
    runs: Runs,
}

enum Runs {
    Here(Gateway),
    Apart { program: PathBuf, admin: SocketAddr, process: Mutex<Child> },
}

impl Gateways {
    /// Starts them, with their files in this folder. With a program, each is a process of its own.
    pub(super) async fn start(how_many: usize, program: Option<&Path>, folder: &Path) -> io::Result<Self> {
        let mut places = Vec::new();
        for number in 1..=how_many {
            let (name, key) = (format!("gateway-{number}"), folder.join("key"));
            let state = folder.join(&name);
            let door = TcpListener::bind("127.0.0.1:0")?;
            let address = door.local_addr()?;
            let runs = match program {
                None => {
                    let builder = Gateway::builder().state_dir(&state).key_file(&key).listener(door.try_clone()?);
                    Runs::Here(builder.start().await.map_err(told)?)
                }
                Some(program) => {
                    // Free until another takes it.
                    let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
                    let process = Mutex::new(run(program, &state, &key, admin, &door).await?);
                    Runs::Apart { program: program.to_owned(), admin, process }
                }
            };
            places.push(Place { name, state, key, door, address, runs });
        }
        Ok(Self(places))
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|place| place.address).collect()
    }

    pub(super) fn locators(&self) -> io::Result<Vec<(LocatorName, Arc<dyn ServiceLocator>)>> {
        let each = self.0.iter().map(|place| {
            let locator: Arc<dyn ServiceLocator> = match &place.runs {
                Runs::Here(gateway) => gateway.locator(),
                Runs::Apart { admin, .. } => Arc::new(RemoteGateway::new(&format!("http://{admin}"), None)?),
            };
            Ok((LocatorName::new(&place.name)?, locator))
        });
        each.collect::<haddock_core::Result<_>>().map_err(told)
    }

    /// Kills one of them, and starts it again.
    pub(super) async fn kill(&self, which: usize, receipts: &Receipts) -> io::Result<()> {
        receipts.kill_begins();
        let (place, program, admin, process) = self.apart(which)?;
        {
            let mut process = process.lock().unwrap_or_else(PoisonError::into_inner);
            process.start_kill()?;
            while process.try_wait()?.is_none() {
                std::thread::yield_now();
            }
        }
        receipts.kill_ended();
        let next = run(program, &place.state, &place.key, admin, &place.door).await?;
        *process.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// Starts a newer one beside the first one, which ends by itself.
    pub(super) async fn replace(&self) -> io::Result<()> {
        let (place, program, admin, process) = self.apart(0)?;
        let next = run(program, &place.state, &place.key, admin, &place.door).await?;
        let mut before = std::mem::replace(&mut *process.lock().unwrap_or_else(PoisonError::into_inner), next);
        // It has requests in flight, and clients that keep their connection: it may take its time.
        tokio::spawn(async move { before.wait().await });
        Ok(())
    }

    fn apart(&self, which: usize) -> io::Result<(&Place, &Path, SocketAddr, &Mutex<Child>)> {
        let place = &self.0[which];
        match &place.runs {
            Runs::Apart { program, admin, process } => Ok((place, program, *admin, process)),
            Runs::Here(_) => Err(io::Error::other("a gateway in this process cannot be killed")),
        }
    }
}

/// Starts a gateway in a process of its own, which is killed with its handle, and waits until it serves.
async fn run(program: &Path, state: &Path, key: &Path, admin: SocketAddr, door: &TcpListener) -> io::Result<Child> {
    let mut process = Command::new(program)
        .arg(GATEWAY)
        .args([state, key])
        .arg(admin.to_string())
        .stdin(Stdio::from(OwnedFd::from(door.try_clone()?)))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let out = process.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
    let mut line = String::new();
    let serves = tokio::time::timeout(START_LIMIT, BufReader::new(out).read_line(&mut line)).await;
    match serves {
        Ok(Ok(read)) if read > 0 => Ok(process),
        _ => Err(io::Error::other("the gateway does not serve")),
    }
}

/// A gateway that serves at the listener that is its standard input, until it is killed or replaced.
pub async fn gateway_main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let [state, key, admin] = &words[..] else { return Err(io::Error::other("state, key and address are needed")) };
    let admin = admin.parse().map_err(io::Error::other)?;
    let door = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    let builder = Gateway::builder().state_dir(state).key_file(key).listener(door).admin(admin).hand_over(true);
    let gateway = builder.start().await.map_err(told)?;
    writeln!(io::stdout(), "{}", gateway.local_addr())?;
    gateway.replaced().await;
    gateway.shutdown(LEAVE_LIMIT).await;
    Ok(())
}
