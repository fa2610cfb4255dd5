//! What `docker login` stored, for the registry that an image comes from.
//!
//! A file or a helper that cannot be read is reported and then ignored, because a public image needs neither.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::context;
use crate::error::{Error, ErrorKind};

/// How long a credential helper may take: it may ask a key ring.
const HELPER_LIMIT: Duration = Duration::from_secs(10);
/// The variable with the content of a `config.json`, as GitLab's jobs have it. What it names wins over the file.
const VARIABLE: &str = "DOCKER_AUTH_CONFIG";

/// The parts of the Docker client's `config.json` that name credentials.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Auth>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    username: String,
    secret: String,
}

/// Where `docker login` stores them, unless told otherwise.
pub(super) fn default_file() -> Option<PathBuf> {
    Some(context::config_folder(context::variable)?.join("config.json"))
}

/// Where credentials are stored.
#[derive(Clone)]
pub(super) struct Store {
    file: PathBuf,
    /// The content of such a file, which wins: the variable [`VARIABLE`] has it.
    given: Option<String>,
}

/// What is stored for a registry.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) credentials: Option<DockerCredentials>,
    /// Why there may be others that could not be read.
    trouble: Option<String>,
}

impl Stored {
    /// Adds to the hint of a registry's refusal that credentials could not be read.
    pub(super) fn explain(&self, error: Error) -> Error {
        let Some(trouble) = self.trouble.as_ref().filter(|_| error.kind() == ErrorKind::RegistryRefused) else {
            return error;
        };
        let hint = match error.hint() {
            Some(hint) => format!("{trouble}; {hint}"),
            None => trouble.clone(),
        };
        error.with_hint(hint)
    }

    fn or_without(trouble: String) -> Self {
        tracing::warn!(trouble, "a registry is asked without stored credentials");
        Self { credentials: None, trouble: Some(trouble) }
    }
}

impl Store {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, given: context::variable(VARIABLE) }
    }

    /// The stored credentials for a registry, if there are any that can be read.
    pub(super) async fn get(&self, registry: &str) -> Stored {
        if let Some(text) = &self.given {
            let stored = lookup(text, &format!("the variable `{VARIABLE}`"), registry).await;
            if stored.credentials.is_some() || stored.trouble.is_some() {
                return stored;
            }
        }
        let of = format!("`{}`", self.file.display());
        match std::fs::read_to_string(&self.file) {
            Ok(text) => lookup(&text, &of, registry).await,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Stored::default(),
            Err(error) => Stored::or_without(format!("{of} cannot be read: {error}")),
        }
    }
}

/// The credentials for a registry by the text of a `config.json`.
async fn lookup(text: &str, of: &str, registry: &str) -> Stored {
    let Ok(config) = serde_json::from_str::<Config>(text) else {
        return Stored::or_without(format!("{of} is not a Docker client's configuration"));
    };
    let helper = config.helpers.iter().find(|(key, _)| is_of(key, registry)).map(|(_, helper)| helper);
    let stored = config.auths.iter().find(|(key, _)| is_of(key, registry));
    let mut found = Stored::default();
    if let Some(helper) = helper.or(config.store.as_ref()) {
        // The helper wants the key as `docker login` wrote it.
        let key = stored.map_or_else(|| written(registry), |(key, _)| key);
        let program = format!("docker-credential-{helper}");
        found = match ask(program.as_ref(), key, HELPER_LIMIT).await {
            Ok(credentials) => Stored { credentials, trouble: None },
            Err(why) => Stored::or_without(format!("the credential helper `{program}` failed: {why}")),
        };
        if found.credentials.is_some() {
            return found;
        }
    }
    let inline = config.auths.iter().filter(|(key, _)| is_of(key, registry)).find_map(|(_, auth)| inline(auth));
    Stored { credentials: inline, ..found }
}

/// How `docker login` writes a registry's name.
pub(super) fn written(registry: &str) -> &str {
    if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry }
}

/// Whether credentials under that key belong to the registry. Some keys have a scheme and a path, which are ignored.
fn is_of(key: &str, registry: &str) -> bool {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = host.split_once('/').map_or(host, |(host, _)| host);
    match registry {
        "docker.io" => matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io"),
        registry => host.eq_ignore_ascii_case(registry),
    }
}

fn inline(auth: &Auth) -> Option<DockerCredentials> {
    let decoded = auth.auth.as_ref().and_then(|auth| String::from_utf8(STANDARD.decode(auth).ok()?).ok());
    let (username, password) = match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((username, password)) => (Some(username.to_owned()), Some(password.to_owned())),
        None => (None, None),
    };
    let token = auth.identitytoken.clone();
    (username.is_some() || token.is_some()).then(|| DockerCredentials {
        username,
        password,
        identitytoken: token,
        ..Default::default()
    })
}

/// Asks this helper with `get`; `None` if it has none for the registry.
async fn ask(program: &OsStr, registry: &str, limit: Duration) -> Result<Option<DockerCredentials>, String> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such program in PATH",
            _ => "it cannot be run",
        })?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read its input fails below, by what it answers.
        let _ = input.write_all(registry.as_bytes()).await;
    }
    let output = timeout(limit, child.wait_with_output()).await;
    let output = output.map_err(|_| format!("it did not answer within {} s", limit.as_secs()))?;
    let output = output.map_err(|_| "it cannot be run")?;
    if !output.status.success() {
        let nothing = String::from_utf8_lossy(&output.stdout).contains("credentials not found");
        return if nothing { Ok(None) } else { Err(format!("it ended with an error ({})", output.status)) };
    }
    let secret: Secret = serde_json::from_slice(&output.stdout).map_err(|_| "its answer cannot be understood")?;
    Ok(Some(match secret.username.as_str() {
        // The word of the helper protocol for a token in place of a password.
        "<token>" => DockerCredentials { identitytoken: Some(secret.secret), ..Default::default() },
        _ => DockerCredentials { username: Some(secret.username), password: Some(secret.secret), ..Default::default() },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "auths": {
            "https://r.local:5000/v2/": {"auth": "bWU6c2VjOnJldA=="}, "https://index.docker.io/v1/": {},
            "R.local": {"auth": "eW91OnBsYWlu"}
        },
        "credHelpers": {"broken.local": "no-such-helper-at-all"}
    }"#;

    fn refused() -> Error {
        Error::new(ErrorKind::RegistryRefused, "denied").with_hint("docker login")
    }

    #[tokio::test]
    async fn stored_credentials_are_found_and_a_broken_helper_does_no_harm() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        std::fs::write(&file, CONFIG).expect("written");
        let store = Store { file, given: None };
        let found = store.get("r.local:5000").await.credentials.expect("stored");
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("me"), Some("sec:ret")));
        let other = store.get("r.local").await.credentials.expect("stored");
        assert_eq!(other.username.as_deref(), Some("you"), "a port is a part of the name");
        assert_eq!(store.get("docker.io").await.explain(refused()), refused());
        let broken = store.get("broken.local").await;
        assert_eq!(broken.credentials, None);
        let hint = "the credential helper `docker-credential-no-such-helper-at-all` failed: there is no such program in \
                    PATH; docker login";
        assert_eq!(broken.explain(refused()), refused().with_hint(hint));
        let none = Store { file: folder.path().join("none.json"), given: None }.get("r.local:5000").await;
        assert_eq!((&none.credentials, none.explain(refused())), (&None, refused()));
    }

    #[tokio::test]
    async fn helpers_that_fail_say_why_and_nothing_that_they_print() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("docker-credential-of-a-test");
        let failed = "it ended with an error (exit status: 1)".to_owned();
        let odd = "its answer cannot be understood".to_owned();
        for (script, expected) in [
            (
                "read key; echo \"{\\\"Username\\\": \\\"me\\\", \\\"Secret\\\": \\\"of $key\\\"}\"",
                Ok(Some("of r.local")),
            ),
            ("echo 'credentials not found in native keychain'; exit 1", Ok(None)),
            ("echo hunter2; exit 1", Err(failed)),
            ("echo hunter2", Err(odd.clone())),
            ("", Err(odd)),
            ("exec sleep 600", Err("it did not answer within 1 s".to_owned())),
        ] {
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("made executable");
            // The key ends with a line here, so that the script can read it.
            let found = ask(program.as_os_str(), "r.local\n", Duration::from_secs(1)).await;
            let found = found.map(|it| it.and_then(|it| it.password));
            assert_eq!(found, expected.map(|it| it.map(str::to_owned)), "{script}");
        }
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o644)).expect("no longer executable");
        let found = ask(program.as_os_str(), "r.local", HELPER_LIMIT).await;
        assert_eq!(found, Err("it cannot be run".to_owned()));
    }

    #[tokio::test]
    async fn what_the_variable_names_wins() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        std::fs::write(&file, CONFIG).expect("written");
        let given = r#"{"auths": {"r.local:5000": {"auth": "dGhleTpvdGhlcg=="}}}"#;
        let store = |given: &str| Store { file: file.clone(), given: Some(given.to_owned()) };
        for (given, registry, expected) in [
            (given, "r.local:5000", Some("they")),
            (given, "r.local", Some("you")),
            ("{}", "r.local:5000", Some("me")),
            ("no JSON", "r.local:5000", None),
        ] {
            let found = store(given).get(registry).await.credentials.and_then(|it| it.username);
            assert_eq!(found.as_deref(), expected, "{given} {registry}");
        }
    }
}
