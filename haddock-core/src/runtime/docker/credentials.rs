//! What `docker login` stored, for the registry that an image comes from.
//!
//! A file or a helper that cannot be read is reported and else ignored: a public image needs neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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

/// How long a credential helper may take: it may ask a key ring.
const HELPER: Duration = Duration::from_secs(10);

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

/// The stored credentials for a registry, if there are any that can be read.
pub(super) async fn stored(path: &Path, registry: &str) -> Option<DockerCredentials> {
    let text = std::fs::read_to_string(path).ok()?;
    let config: Config = match serde_json::from_str(&text) {
        Ok(config) => config,
        Err(_) => {
            tracing::warn!(file = %path.display(), "the Docker client's configuration cannot be read");
            return None;
        }
    };
    let helper = config.helpers.iter().find(|(key, _)| is_of(key, registry)).map(|(_, helper)| helper);
    let stored = config.auths.iter().find(|(key, _)| is_of(key, registry));
    if let Some(helper) = helper.or(config.store.as_ref()) {
        // The store wants the key as `docker login` wrote it.
        let key = stored.map_or_else(|| written(registry), |(key, _)| key);
        match ask(helper, key).await {
            Ok(found) => return found,
            Err(why) => tracing::warn!(helper, registry, why, "the credential helper failed: pulling without"),
        }
    }
    config.auths.iter().filter(|(key, _)| is_of(key, registry)).find_map(|(_, auth)| inline(auth))
}

/// How `docker login` writes a registry's name.
fn written(registry: &str) -> &str {
    if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry }
}

/// Whether credentials that are stored under that key are the registry's. Keys were written with a scheme and a path at
/// times, and those count for nothing.
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

/// Asks `docker-credential-HELPER get`; `None` if it has none for the registry.
async fn ask(helper: &str, registry: &str) -> Result<Option<DockerCredentials>, &'static str> {
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|_| "it cannot be run")?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read its input fails below, by what it answers.
        let _ = input.write_all(registry.as_bytes()).await;
    }
    let output = timeout(HELPER, child.wait_with_output()).await.map_err(|_| "it did not answer in time")?;
    let output = output.map_err(|_| "it cannot be run")?;
    if !output.status.success() {
        let nothing = String::from_utf8_lossy(&output.stdout).contains("credentials not found");
        return if nothing { Ok(None) } else { Err("it answered with an error") };
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

    #[tokio::test]
    async fn stored_credentials_are_found_and_a_broken_helper_does_no_harm() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        let config = r#"{
            "auths": {
                "https://r.local:5000/v2/": {"auth": "bWU6c2VjOnJldA=="}, "https://index.docker.io/v1/": {},
                "R.local": {"auth": "eW91OnBsYWlu"}
            },
            "credHelpers": {"broken.local": "no-such-helper-at-all"}
        }"#;
        std::fs::write(&path, config).expect("written");
        let found = stored(&path, "r.local:5000").await.expect("stored");
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("me"), Some("sec:ret")));
        let other = stored(&path, "r.local").await.expect("stored");
        assert_eq!(other.username.as_deref(), Some("you"), "a port is a part of the name");
        assert_eq!(stored(&path, "docker.io").await, None);
        assert_eq!(stored(&path, "broken.local").await, None);
        assert_eq!(stored(&folder.path().join("none.json"), "r.local:5000").await, None);
    }
}
