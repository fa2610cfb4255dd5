//! Which engine to connect to: the given address, else the one that the `docker` command would use.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// Where the engine is if nobody says otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// The context that stands for "no context": `DOCKER_HOST`, else the local socket.
const NO_CONTEXT: &str = "default";

/// Who said where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineSource {
    /// The caller.
    Given,
    /// The environment variable `DOCKER_HOST`.
    DockerHost,
    /// The Docker context of this name.
    Context {
        /// Its name.
        name: String,
        /// Who chose it: `DOCKER_CONTEXT`, or the file whose `currentContext` it is.
        chosen_by: String,
    },
    /// Nobody, so it is the local socket.
    Default,
}

impl fmt::Display for EngineSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("as it was given"),
            Self::DockerHost => f.write_str("by DOCKER_HOST"),
            Self::Context { name, chosen_by } => write!(f, "by the Docker context `{name}` of {chosen_by}"),
            Self::Default => f.write_str("the local socket, for nothing else was said"),
        }
    }
}

/// An engine's address, with the folder of its certificates if it is reached with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) host: String,
    pub(super) certificates: Option<PathBuf>,
    pub(super) source: EngineSource,
}

/// The parts of the `docker` command's `config.json` that name the context.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

/// A context as `docker context create` writes it to `contexts/meta/<digest of the name>/meta.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    endpoints: BTreeMap<String, Endpoint>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Endpoint {
    host: Option<String>,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The folder of the `docker` command's configuration.
pub(super) fn config_folder(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let home = || Some(Path::new(&variable("HOME")?).join(".docker"));
    variable("DOCKER_CONFIG").map(PathBuf::from).or_else(home)
}

/// A variable of this process that is set to something.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The engine at `host`; else the one of `context`; else by `DOCKER_HOST`, `DOCKER_CONTEXT`, `currentContext` and the
/// local socket, in the order of the `docker` command.
pub(super) fn locate(
    host: Option<String>,
    context: Option<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Located> {
    let folder = config_folder(&variable);
    if let Some(host) = host {
        return Ok(at(host, folder.as_deref(), EngineSource::Given, &variable));
    }
    let asked = context.is_some();
    if !asked && let Some(host) = variable("DOCKER_HOST") {
        return Ok(at(host, folder.as_deref(), EngineSource::DockerHost, &variable));
    }
    let chosen = match (context, variable("DOCKER_CONTEXT")) {
        (Some(name), _) => Some((name, "the caller".to_owned())),
        (None, Some(name)) => Some((name, "DOCKER_CONTEXT".to_owned())),
        (None, None) => folder.as_deref().and_then(current_context),
    };
    match (chosen.filter(|(name, _)| name != NO_CONTEXT), folder) {
        (Some((name, chosen_by)), Some(folder)) => of_context(&folder, name, chosen_by),
        (Some((name, chosen_by)), None) => Err(unknown(&name, &chosen_by, &[])),
        (None, folder) => match variable("DOCKER_HOST") {
            Some(host) => Ok(at(host, folder.as_deref(), EngineSource::DockerHost, &variable)),
            None => Ok(Located { host: DEFAULT_HOST.to_owned(), certificates: None, source: EngineSource::Default }),
        },
    }
}

/// An address outside contexts, where `DOCKER_TLS_VERIFY` decides on TLS and `DOCKER_CERT_PATH` names the certificates.
fn at(
    host: String,
    folder: Option<&Path>,
    source: EngineSource,
    variable: &impl Fn(&str) -> Option<String>,
) -> Located {
    let with_tls = host.starts_with("tcp://") && variable("DOCKER_TLS_VERIFY").is_some();
    let stored = variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| folder.map(Path::to_owned));
    Located { host, certificates: stored.filter(|_| with_tls), source }
}

/// What `config.json` names, and that file.
fn current_context(folder: &Path) -> Option<(String, String)> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).ok()?;
    match serde_json::from_str::<Config>(&text) {
        Ok(config) => Some((config.current_context.filter(|name| !name.is_empty())?, format!("`{}`", path.display()))),
        Err(_) => {
            tracing::warn!(file = %path.display(), "the Docker client's configuration cannot be read");
            None
        }
    }
}

fn of_context(folder: &Path, name: String, chosen_by: String) -> Result<Located> {
    let all = all(folder);
    let Some((digest, meta)) = all.iter().find(|(_, meta)| meta.name == name) else {
        return Err(unknown(&name, &chosen_by, &all));
    };
    let endpoint = meta.endpoints.get("docker");
    let Some(host) = endpoint.and_then(|endpoint| endpoint.host.clone()).filter(|host| !host.is_empty()) else {
        return Err(Error::new(ErrorKind::NotSupported, format!("the Docker context `{name}` names no Docker Engine"))
            .with_hint("choose another with `docker context use`, or set DOCKER_HOST"));
    };
    let certificates = folder.join("contexts/tls").join(digest).join("docker");
    let certificates = Some(certificates).filter(|folder| folder.is_dir());
    if endpoint.is_some_and(|endpoint| endpoint.skip_tls_verify) {
        let message = format!("the Docker context `{name}` has `skip-tls-verify`, and `{host}` would not be verified");
        return Err(Error::new(ErrorKind::NotSupported, message)
            .with_hint("give the context the engine's certificate: `docker context update --docker ca=…`"));
    }
    Ok(Located { host, certificates, source: EngineSource::Context { name, chosen_by } })
}

/// Every context that can be read, with the name of its folder.
fn all(folder: &Path) -> Vec<(String, Meta)> {
    let entries = std::fs::read_dir(folder.join("contexts/meta")).into_iter().flatten().flatten();
    let read = entries.filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("meta.json")).ok()?;
        Some((entry.file_name().into_string().ok()?, serde_json::from_str(&text).ok()?))
    });
    read.collect()
}

fn unknown(name: &str, chosen_by: &str, known: &[(String, Meta)]) -> Error {
    let mut names: Vec<&str> = known.iter().map(|(_, meta)| meta.name.as_str()).chain([NO_CONTEXT]).collect();
    names.sort_unstable();
    let message = format!("there is no Docker context `{name}`, which {chosen_by} names");
    Error::new(ErrorKind::NotFound, message)
        .with_hint(format!("the contexts are `{}`: choose one with `docker context use`", names.join("`, `")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as the `docker` command keeps it, with the contexts `colima` and, with TLS, `far`.
    fn folder(config: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (digest, name, host) in [("0a", "colima", "unix:///c.sock"), ("0b", "far", "tcp://far.example:2376")] {
            let meta = folder.path().join("contexts/meta").join(digest);
            std::fs::create_dir_all(&meta).expect("made");
            let text = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
            std::fs::write(meta.join("meta.json"), text).expect("written");
        }
        std::fs::create_dir_all(folder.path().join("contexts/tls/0b/docker")).expect("made");
        std::fs::write(folder.path().join("config.json"), config).expect("written");
        folder
    }

    fn found(config: &str, variables: &[(&str, &str)]) -> Result<Located> {
        let folder = folder(config);
        let path = folder.path().to_str().expect("a text").to_owned();
        let of = |name: &str| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
        locate(None, None, |name| if name == "DOCKER_CONFIG" { Some(path.clone()) } else { of(name) })
    }

    #[test]
    fn the_engine_is_that_of_the_docker_command() {
        let current = r#"{"currentContext": "colima"}"#;
        for (config, variables, expected) in [
            ("{}", &[][..], DEFAULT_HOST),
            ("no JSON", &[], DEFAULT_HOST),
            (current, &[], "unix:///c.sock"),
            (current, &[("DOCKER_CONTEXT", "far")], "tcp://far.example:2376"),
            (current, &[("DOCKER_CONTEXT", "default")], DEFAULT_HOST),
            (current, &[("DOCKER_HOST", "unix:///h.sock")], "unix:///h.sock"),
            ("{}", &[("DOCKER_HOST", "unix:///h.sock"), ("DOCKER_CONTEXT", "far")], "unix:///h.sock"),
            (r#"{"currentContext": "default"}"#, &[], DEFAULT_HOST),
        ] {
            let found = found(config, variables).expect("located");
            assert_eq!(found.host, expected, "{config} {variables:?}");
        }
    }

    #[test]
    fn an_engine_with_tls_has_its_certificates() {
        let far = found("{}", &[("DOCKER_CONTEXT", "far")]).expect("located");
        assert!(far.certificates.expect("some").ends_with("contexts/tls/0b/docker"));
        let tls = [("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/certs")];
        assert_eq!(found("{}", &tls).expect("located").certificates, Some(PathBuf::from("/certs")));
        assert_eq!(found("{}", &tls[..1]).expect("located").certificates, None);
    }

    #[test]
    fn an_unknown_context_is_an_error_that_names_it_and_those_there_are() {
        let error = found(r#"{"currentContext": "gone"}"#, &[]).expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains("`gone`") && error.message().contains("config.json"), "{error}");
        assert!(error.hint().expect("a hint").contains("`colima`, `default`, `far`"), "{error:?}");
    }
}
