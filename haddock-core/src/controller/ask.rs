//! Asks whether a ramp may go on: a program on this machine, or what the program around the controller has given to it.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::gate::GateQuestion;
use super::ports::{OUTPUT_LINES, Ports};
use crate::container::Sensitive;
use crate::environment::Asks;
use crate::error::{Error, ErrorKind, Result};
use crate::name::VersionId;
use crate::release::{GateAnswer, ServiceState, TaskResult};

/// `EX_TEMPFAIL` of `sysexits.h`: the program could not do it now, and is to be asked later.
const WAIT_EXIT_CODE: i32 = 75;
/// How much of each stream is kept, from the end. It is more than people read in [`OUTPUT_LINES`] lines.
const KEPT_BYTES: usize = 64 << 10;
/// How long the output is still read after the program has ended. Programs that it left behind may hold it open.
const REST_LIMIT: Duration = Duration::from_millis(500);

/// Asks the gate at the end of a stage.
pub(crate) async fn gate(ports: &Ports, state: &ServiceState, version: VersionId, stage: usize) -> Result<TaskResult> {
    let spec = ports.specification(state, version)?;
    let settings = &state.versions[&version].new.settings.release;
    let (Some(gate), Some(of)) = (spec.gates.get(&stage), settings.ramp.get(stage)) else {
        return Err(failed(format!("nothing is to be asked after stage {stage}")));
    };
    let addresses = state.instances_of(version).filter_map(|(_, instance)| instance.address()).collect();
    let question = GateQuestion { service: state.service.clone(), version, stage, share: of.share, addresses };
    let asked = async {
        match &gate.asks {
            Asks::Command(words) => run(words, &question).await,
            Asks::Call(name) => match ports.gates.get(name) {
                Some(gate) => Ok((gate.ask(question).await?, Vec::new())),
                None => Err(Error::new(ErrorKind::NotFound, format!("this controller has no gate `{name}`"))
                    .with_hint("start the program that has it; to go on without it, advance the release")),
            },
        }
    };
    let (answer, output) = match timeout(gate.within, asked).await {
        Ok(answered) => answered.map_err(|error| spec.masked(error))?,
        Err(_) => (GateAnswer::Stop(format!("it took longer than {} s", gate.within.as_secs_f64())), Vec::new()),
    };
    // What is told goes the way of an error, so that no value of a variable is in it.
    let (why, answer) = match answer {
        GateAnswer::Stop(why) => (why, None),
        other => (String::new(), Some(other)),
    };
    let told = spec.masked(failed(why).with_log_tail(output));
    let answer = answer.unwrap_or_else(|| GateAnswer::Stop(told.message().to_owned()));
    Ok(TaskResult::Answered(answer, told.log_tail().to_vec()))
}

/// Runs a program, and takes its exit code for the answer.
async fn run(words: &[Sensitive], question: &GateQuestion) -> Result<(GateAnswer, Vec<String>)> {
    let GateQuestion { service, version, stage, share, addresses } = question;
    let [program, arguments @ ..] = words else { return Err(failed("there is no command".to_owned())) };
    let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    let child = Command::new(program.expose())
        .args(arguments.iter().map(Sensitive::expose))
        .env("HADDOCK_SERVICE", service.as_str())
        .env("HADDOCK_VERSION", version.0.to_string())
        .env("HADDOCK_STAGE", stage.to_string())
        .env("HADDOCK_SHARE", share.to_string())
        .env("HADDOCK_ADDRESSES", addresses.join(" "))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What it starts ends with it, and Ctrl-C at the controller's terminal is no answer of the gate.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let child = child.map_err(|error| {
        let error = Error::new(ErrorKind::Io, format!("the gate's command cannot be started: {error}"));
        error.with_hint("its path counts from the folder that the controller runs in; to go on without it, advance")
    })?;
    let mut running = Running(child);
    // Virtual time stands still while a thread for blocking work is busy. It would not wait for a process.
    let (_until_dropped, busy) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || busy.recv());
    let (out, err) = (running.0.stdout.take(), running.0.stderr.take());
    let (mut said, mut complained) = (Tail::default(), Tail::default());
    let ended = {
        let reading = async { tokio::join!(said.read(out), complained.read(err)) };
        let mut reading = std::pin::pin!(reading);
        tokio::select! {
            ended = running.0.wait() => {
                let _ = timeout(REST_LIMIT, reading).await;
                ended
            }
            _ = &mut reading => running.0.wait().await,
        }
    };
    let ended = ended.map_err(|error| Error::new(ErrorKind::Io, format!("the gate's command is lost: {error}")))?;
    let mut lines = said.lines();
    lines.extend(complained.lines());
    let lines = lines.split_off(lines.len().saturating_sub(OUTPUT_LINES));
    match ended.code() {
        Some(0) => Ok((GateAnswer::Go, lines)),
        Some(WAIT_EXIT_CODE) => Ok((GateAnswer::Wait, lines)),
        Some(code) => Ok((GateAnswer::Stop(format!("it ended with exit code {code}")), lines)),
        // Whoever ends this machine, or the controller with all that it has started, does not speak for the gate.
        None => Err(failed(format!("the gate was ended before it could answer: {ended}")).with_log_tail(lines)),
    }
}

fn failed(message: String) -> Error {
    Error::new(ErrorKind::HookFailed, message)
}

/// A program with all that it has started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Without an id it has ended and was waited for: the number may be another's by now.
        let group = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// The end of what a program has written.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            self.0.extend_from_slice(&buffer[..count]);
            let over = self.0.len().saturating_sub(KEPT_BYTES);
            self.0.drain(..over);
        }
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.0).lines().map(str::to_owned).collect()
    }
}
