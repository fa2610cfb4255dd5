//! The entries under `services:`.

use std::collections::BTreeMap;
use std::path::Path;

use super::health::read_health_check;
use super::keys;
use super::pairs::{read_env_files, read_environment, read_labels};
use super::ports::{read_expose, read_ports};
use super::reader::{Cursor, Reader, listed};
use super::relations::{Dependency, DraftLink, read_depends_on, read_links};
use super::template::Template;
use super::tree::Value;
use super::variables::{Lookup, Variables};
use super::words;
use crate::container::{HealthCheck, PublishedPort, Sensitive};
use crate::environment::value;
use crate::error::{Error, ErrorKind};
use crate::image::ImageReference;
use crate::name::ComponentName;

/// A component as it was read, before it is known what it is to the others.
pub(super) struct Draft<'t> {
    pub(super) cursor: Cursor<'t>,
    /// Where its image stands, and the variables that are mentioned there.
    pub(super) image_mentions: Vec<String>,
    pub(super) image: Option<ImageReference>,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) command: Option<Vec<String>>,
    pub(super) environment: BTreeMap<String, Sensitive>,
    pub(super) expose: Vec<u16>,
    pub(super) ports: Vec<PublishedPort>,
    pub(super) ports_at: Option<Cursor<'t>>,
    pub(super) depends_on: Vec<Dependency<'t>>,
    pub(super) links: Vec<DraftLink<'t>>,
    pub(super) health_check: Option<HealthCheck>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) stop_grace_period: Option<std::time::Duration>,
    pub(super) stop_signal: Option<String>,
}

/// Reads a file of variables, given its path as the compose file has it, and where to look for variables that are
/// neither the caller's nor further up in it. `None` if there is no such file.
type ReadVariables<'r> = &'r dyn Fn(&Path, Lookup<'_>) -> Result<Option<Variables>, Error>;

/// What reading a component needs from outside of the file.
pub(super) struct Outside<'o> {
    pub(super) read: ReadVariables<'o>,
    /// Images that take the place of the file's.
    pub(super) images: &'o BTreeMap<ComponentName, ImageReference>,
}

/// Reads one component. Errors go to the reader; the draft holds what could be read.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    name: &ComponentName,
    cursor: &Cursor<'t>,
    outside: &Outside<'_>,
) -> Option<Draft<'t>> {
    let mut draft = Draft {
        cursor: cursor.clone(),
        image_mentions: Vec::new(),
        image: None,
        entrypoint: None,
        command: None,
        environment: BTreeMap::new(),
        expose: Vec::new(),
        ports: Vec::new(),
        ports_at: None,
        depends_on: Vec::new(),
        links: Vec::new(),
        health_check: None,
        labels: BTreeMap::new(),
        stop_grace_period: None,
        stop_signal: None,
    };
    let given = outside.images.get(name);
    let entries = reader.known_entries(cursor, &keys::SERVICE)?;
    let builds = cursor.node.get("build").is_some();
    let mut has_image = false;
    let (mut own, mut env_file) = (BTreeMap::new(), None);
    for entry in entries {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "image" => {
                has_image = true;
                draft.image_mentions = mentions(at);
                draft.image = match given {
                    Some(image) => Some(image.clone()),
                    None => read_image(reader, at),
                };
            }
            "command" => draft.command = read_words(reader, at),
            "entrypoint" => draft.entrypoint = read_words(reader, at),
            "environment" => own = read_environment(reader, at),
            "env_file" => env_file = Some(at.clone()),
            "expose" => draft.expose = read_expose(reader, at),
            "ports" => {
                draft.ports = read_ports(reader, at);
                draft.ports_at = Some(at.clone());
            }
            "depends_on" => draft.depends_on = read_depends_on(reader, at),
            "links" => draft.links = read_links(reader, at),
            "healthcheck" => draft.health_check = read_health_check(reader, at),
            "labels" => draft.labels = read_labels(reader, at),
            "stop_grace_period" => draft.stop_grace_period = reader.value(at, value::duration),
            "stop_signal" => draft.stop_signal = reader.value(at, signal),
            "restart" => read_restart(reader, at),
            other => unreachable!("`{other}` is in the list of supported keys"),
        }
    }
    if !has_image && !builds {
        match given {
            Some(image) => draft.image = Some(image.clone()),
            None => reader.wrong(cursor, format!("component `{name}` has no `image`"), "add `image: repository:tag`"),
        }
    }
    // Values in the files may mention what `environment` says.
    let mut environment = env_file.map(|at| read_env_files(reader, &at, &own, outside)).unwrap_or_default();
    environment.append(&mut own);
    draft.environment = environment;
    Some(draft)
}

/// The variables that a value mentions.
fn mentions(cursor: &Cursor<'_>) -> Vec<String> {
    let Value::Scalar(text) = &cursor.node.value else { return Vec::new() };
    Template::parse(text).map(|template| template.names().into_iter().map(str::to_owned).collect()).unwrap_or_default()
}

fn read_image(reader: &mut Reader<'_>, cursor: &Cursor<'_>) -> Option<ImageReference> {
    let notes = reader.notes.len();
    let filled = reader.filled(cursor)?;
    if !filled.unset.is_empty() {
        // An image with a hole in it is never meant: this is an error, not a note.
        reader.notes.truncate(notes);
        let verb = if filled.unset.len() == 1 { "is" } else { "are" };
        let hint = match filled.unset[0].as_str() {
            "TAG" => "name the version that is wanted by its tag, or write a default: `${TAG:-latest}`".to_owned(),
            name => format!("set `{name}` in the environment or in `.env`, or write a default: `${{{name}:-…}}`"),
        };
        let message = format!("the image needs {}, which {verb} not set", listed(&filled.unset));
        reader.wrong(cursor, message, hint);
        return None;
    }
    match ImageReference::parse(&filled.text) {
        Ok(image) => Some(image),
        Err(error) => {
            reader.refuse(cursor, &filled, error);
            None
        }
    }
}

/// A command: a text that is split as a shell does it, or a list of words.
pub(super) fn read_words(reader: &mut Reader<'_>, cursor: &Cursor<'_>) -> Option<Vec<String>> {
    let words = match &cursor.node.value {
        // The image's own, says the Compose Specification.
        Value::Null => return None,
        Value::List(items) => {
            let mut words = Vec::new();
            for (index, node) in items.iter().enumerate() {
                let item = Cursor { node, path: format!("{}[{index}]", cursor.path) };
                words.push(reader.text(&item)?);
            }
            words
        }
        _ => {
            let filled = reader.filled(cursor)?;
            match words::split(&filled.text) {
                Ok(words) => words,
                Err(words::Flaw::Open) => {
                    let message = format!("`{}` has a quote that is not closed", cursor.name());
                    reader.wrong(cursor, message, "close it, or write the words as a list");
                    return None;
                }
                Err(words::Flaw::NeedsShell(c)) => {
                    let message = format!("`{}` has `{c}` outside of quotes, and no shell runs it", cursor.name());
                    reader.wrong(cursor, message, "write `sh -c '…'`, or the words as a list");
                    return None;
                }
            }
        }
    };
    if words.is_empty() {
        let what = format!("an empty `{}` is", cursor.name());
        reader.unsupported(cursor, what, "remove the key to take the image's own");
        return None;
    }
    Some(words)
}

fn signal(text: &str) -> Result<String, Error> {
    let known = |name: &str| {
        name.len() >= 2
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"+-".contains(&byte))
    };
    let number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    if number || known(text.strip_prefix("SIG").unwrap_or(text)) && !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a signal"))
        .with_hint("write a signal such as `SIGTERM` or `SIGQUIT`"))
}

/// Whatever it says, what is started again is decided by us: a component that restarts has lost its sessions.
fn read_restart(reader: &mut Reader<'_>, cursor: &Cursor<'_>) {
    let policy = reader.value(cursor, |text| {
        let known = match text.split_once(':') {
            Some(("on-failure", times)) => times.parse::<u32>().is_ok(),
            _ => matches!(text, "no" | "always" | "unless-stopped" | "on-failure"),
        };
        match known {
            true => Ok(text.to_owned()),
            false => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a restart policy"))
                .with_hint("write `no`, or remove the key: Haddock decides what is started again")),
        }
    });
    if policy.is_some_and(|policy| policy != "no") {
        reader.note(cursor, "`restart` has no effect: Haddock decides what is started again");
    }
}
