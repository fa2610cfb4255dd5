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
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    Some(folder.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".docker")))?.join("config.json"))
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
    let keys = keys(registry);
    let helper = keys.iter().find_map(|key| config.helpers.get(key)).or(config.store.as_ref());
    if let Some(helper) = helper {
        // The store wants the key as `docker login` wrote it.
        let key = keys.iter().find(|key| config.auths.contains_key(*key)).unwrap_or(&keys[0]);
        match ask(helper, key).await {
            Ok(found) => return found,
            Err(why) => tracing::warn!(helper, registry, why, "the credential helper failed: pulling without"),
        }
    }
    keys.iter().find_map(|key| config.auths.get(key)).and_then(inline)
}

/// Under which names a registry's credentials are stored.
fn keys(registry: &str) -> Vec<String> {
    match registry {
        "docker.io" => vec!["https://index.docker.io/v1/".to_owned(), "docker.io".to_owned()],
        other => vec![other.to_owned(), format!("https://{other}"), format!("http://{other}")],
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
            "auths": {"r.local:5000": {"auth": "bWU6c2VjOnJldA=="}, "https://index.docker.io/v1/": {}},
            "credHelpers": {"broken.local": "no-such-helper-at-all"}
        }"#;
        std::fs::write(&path, config).expect("written");
        let found = stored(&path, "r.local:5000").await.expect("stored");
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("me"), Some("sec:ret")));
        assert_eq!(stored(&path, "docker.io").await, None);
        assert_eq!(stored(&path, "broken.local").await, None);
        assert_eq!(stored(&folder.path().join("none.json"), "r.local:5000").await, None);
    }
}
