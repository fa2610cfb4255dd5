//! Runs hooks within instances, and sends notifications to receivers. Either may happen twice: a key tells a
//! repetition.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::ports::{OUTPUT_LINES, Ports};
use crate::container::{ExecSpec, Selector, Sensitive};
use crate::environment::{Hook, Receiver};
use crate::error::{Error, ErrorKind, Result};
use crate::name::InstanceId;
use crate::release::{Event, Notification, ServiceState, Story};
use crate::routing::FencingToken;

/// How long a receiver may take.
const NOTIFY_LIMIT: Duration = Duration::from_secs(20);

/// Runs a hook within an instance, and returns the last lines of its output.
pub(crate) async fn hook(
    ports: &Ports,
    state: &ServiceState,
    instance: &InstanceId,
    hook: Hook,
    number: FencingToken,
) -> Result<Vec<String>> {
    let version = state.instances[instance].version;
    let spec = ports.specification(state, version)?;
    let command = spec.hooks.get(&hook).ok_or_else(|| failed(format!("there is no command for `{}`", hook.name())))?;
    let component = command.component.as_ref().unwrap_or(&spec.service()?.entry.component);
    let there = ports.runtime.list(&Selector::environment(ports.journal.id(), instance)).await?;
    let container = there.iter().find(|container| container.component().as_ref() == Some(component));
    let container = container.filter(|container| container.is_running());
    let container = container.ok_or_else(|| failed(format!("component `{component}` does not run")))?;
    let variables = [
        ("HADDOCK_HOOK", hook.name().to_owned()),
        ("HADDOCK_SERVICE", state.service.to_string()),
        ("HADDOCK_VERSION", version.0.to_string()),
        ("HADDOCK_INSTANCE", instance.to_string()),
        ("HADDOCK_KEY", format!("{instance}-{}-{number}", hook.name())),
    ];
    let exec = ExecSpec {
        command: command.command.iter().map(|word| word.expose().to_owned()).collect(),
        environment: variables.map(|(name, value)| (name.to_owned(), Sensitive::new(value))).into(),
        within: command.within,
        keep: Some(ExecSpec::FOR_PEOPLE),
    };
    let ran = ports.runtime.exec(&container.id, &exec).await.map_err(|error| spec.masked(error))?;
    let said = ran.lines();
    let said = said[said.len().saturating_sub(OUTPUT_LINES)..].to_vec();
    match ran.exit_code {
        0 => Ok(said),
        code => {
            let message = format!("the {} hook ended in `{component}` with exit code {code}", hook.name());
            Err(spec.masked(failed(message).with_log_tail(said)))
        }
    }
}

/// The body of a notification.
#[derive(Serialize)]
struct Message<'n> {
    /// The same key for the same notification, however often it is sent.
    key: String,
    service: &'n str,
    at: String,
    /// A sentence for people. Chat services show it.
    text: String,
    event: &'n Event,
}

/// Sends a notification to its receiver.
pub(crate) async fn notify(ports: &Ports, state: &ServiceState, notification: &Notification) -> Result<()> {
    let spec = ports.specs.get(&notification.spec)?;
    let receiver = spec.as_ref().and_then(|spec| spec.notify.get(notification.receiver));
    let receiver = receiver.ok_or_else(|| failed("its specification is not in the spec store".to_owned()))?;
    let message = Message {
        key: format!("{}-{}-{}-{}", ports.journal.id(), state.service, notification.number, notification.index),
        service: state.service.as_str(),
        at: notification.at.to_string(),
        text: format!("{}: {}", state.service, Story::sentence(state, &notification.event)),
        event: &notification.event,
    };
    let body = serde_json::to_vec(&message).expect("plain data can be written as JSON");
    let told = async {
        match receiver {
            Receiver::Url(url) => post(url.clone(), message.key.clone(), body).await,
            Receiver::Command(command) => run(command, &message, &body).await,
        }
    };
    let why = match timeout(NOTIFY_LIMIT, told).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(why)) => why,
        Err(_) => format!("it took longer than {} s", NOTIFY_LIMIT.as_secs()),
    };
    Err(failed(format!("{receiver} was not notified: {why}")))
}

#[cfg(not(feature = "webhooks"))]
async fn post(_url: Sensitive, _key: String, _body: Vec<u8>) -> Result<(), String> {
    Err("this program was built without the feature `webhooks`".to_owned())
}

#[cfg(feature = "webhooks")]
async fn post(url: Sensitive, key: String, body: Vec<u8>) -> Result<(), String> {
    let sent = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(NOTIFY_LIMIT)).build().into();
        let request = agent.post(url.expose()).header("content-type", "application/json");
        request.header("idempotency-key", key).send(&body[..]).map(drop).map_err(|error| match error {
            ureq::Error::StatusCode(code) => format!("it answered {code}"),
            // Other errors may contain the URL, which may hold a token.
            ureq::Error::BadUri(_) => "it is not a URL".to_owned(),
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::HostNotFound => "its host is not found".to_owned(),
            ureq::Error::ConnectionFailed => "it cannot be connected to".to_owned(),
            ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
            ureq::Error::Tls(why) => why.to_owned(),
            ureq::Error::Rustls(error) => error.to_string(),
            _ => "it cannot be reached".to_owned(),
        })
    });
    sent.await.unwrap_or_else(|_| Err("the call was interrupted".to_owned()))
}

async fn run(command: &Sensitive, message: &Message<'_>, body: &[u8]) -> Result<(), String> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command.expose()])
        .envs(BTreeMap::from([("HADDOCK_KEY", message.key.as_str()), ("HADDOCK_SERVICE", message.service)]))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // A command need not read all of its input.
        let _ = input.write_all(&[body, b"\n"].concat()).await;
    }
    let ended = child.wait_with_output().await.map_err(|error| error.to_string())?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let last = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
    Err(format!("{}{last}", ended.status))
}

fn failed(message: String) -> Error {
    Error::new(ErrorKind::HookFailed, message)
}
