//! The entries under `services:`.

use std::collections::BTreeMap;

use super::build::read_build;
use super::health::read_health_check;
use super::injected;
use super::keys;
use super::mounts::read_mounts;
use super::networks;
use super::options::{Options, resources};
use super::pairs::{read_env_files, read_environment, read_label_files, read_labels};
use super::ports::{read_expose, read_ports};
use super::reader::{Cursor, REFUSED_BY_ENGINE, Reader, listed};
use super::relations::{
    Dependency, DraftLink, DraftVolumes, read_depends_on, read_links, read_volumes_from, read_volumes_from_outside,
};
use super::words::read_words;
use crate::container::{Bytes, ContainerOptions, Cpus, Endpoint, Mount};
use crate::environment::{Component, FileUse};
use crate::error::{Error, ErrorKind};
use crate::image::ImageReference;
use crate::name::ComponentName;
use crate::value;

/// Keys that may have no value. Then the image's own command or entry point is used, or the key means nothing.
const MAY_BE_EMPTY: [&str; 4] = ["command", "entrypoint", "deploy", "develop"];

/// A component as it was read, before it is checked against the others.
pub(super) struct Draft<'t> {
    pub(super) cursor: Cursor<'t>,
    /// The variables that its image mentions.
    pub(super) image_mentions: Vec<String>,
    /// `None`: the image that is built.
    pub(super) image: Option<ImageReference>,
    /// Everything that names no other component.
    pub(super) body: Component,
    pub(super) ports_at: Option<Cursor<'t>>,
    pub(super) depends_on: Vec<Dependency<'t>>,
    pub(super) links: Vec<DraftLink<'t>>,
    pub(super) networks: BTreeMap<String, (Endpoint, Cursor<'t>)>,
    pub(super) mounts: Vec<(Mount, Cursor<'t>)>,
    pub(super) volumes_from: Vec<DraftVolumes<'t>>,
    pub(super) secrets: Vec<(FileUse, Cursor<'t>)>,
    pub(super) configs: Vec<(FileUse, Cursor<'t>)>,
    /// The components whose namespaces it joins.
    pub(super) joins: Vec<(String, Cursor<'t>)>,
    pub(super) container_name_at: Option<Cursor<'t>>,
}

impl<'t> Draft<'t> {
    /// The components that it names, each with its place: in `depends_on`, in a link, in `volumes_from`, or because it
    /// joins their namespace.
    pub(super) fn others(&self) -> impl Iterator<Item = (&str, &Cursor<'t>)> {
        let depends = self.depends_on.iter().map(|other| (other.on.as_str(), &other.cursor));
        let links = self.links.iter().map(|link| (link.to.as_str(), &link.cursor));
        let volumes = self.volumes_from.iter().map(|from| (from.of.as_str(), &from.cursor));
        depends.chain(links).chain(self.joins.iter().map(|(to, cursor)| (to.as_str(), cursor))).chain(volumes)
    }

    /// Whether it cannot run without that component.
    pub(super) fn requires(&self, to: &str) -> bool {
        !self.depends_on.iter().any(|other| other.on == to && !other.dependency.required)
    }

    /// The components that it links to or whose namespace it joins. If one of them is versioned, this one is, too.
    pub(super) fn reaches(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(|link| link.to.as_str()).chain(self.joins.iter().map(|(to, _)| to.as_str()))
    }
}

/// Reads one component. Errors go to the reader; the draft holds what could be read.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    name: &ComponentName,
    cursor: &Cursor<'t>,
    given: Option<&ImageReference>,
) -> Option<Draft<'t>> {
    let nothing = ImageReference::parse("nothing").expect("a valid name");
    let mut draft = Draft {
        cursor: cursor.clone(),
        image_mentions: Vec::new(),
        image: None,
        body: Component::new(nothing),
        ports_at: None,
        depends_on: Vec::new(),
        links: Vec::new(),
        networks: BTreeMap::new(),
        mounts: Vec::new(),
        volumes_from: Vec::new(),
        secrets: Vec::new(),
        configs: Vec::new(),
        joins: Vec::new(),
        container_name_at: None,
    };
    let entries = reader.known_entries(cursor, &keys::SERVICE)?;
    let mut options = Options::default();
    let builds = cursor.node.get("build").is_some();
    let mut has_image = false;
    let (mut own, mut env_file, mut label_file) = (BTreeMap::new(), None, BTreeMap::new());
    for entry in entries {
        let (key, at) = (entry.key.text.as_str(), &entry.value);
        if at.is_null() && !MAY_BE_EMPTY.contains(&key) {
            reader.mistyped(at, "something", "write a value after the `:`");
            continue;
        }
        if key != "use_api_socket" && options.read(reader, key, at) {
            if matches!(key, "ipc" | "pid" | "uts") {
                draft.joins.extend(joined(reader, at));
            }
            continue;
        }
        let body = &mut draft.body;
        match key {
            "image" => {
                has_image = true;
                draft.image_mentions = at.mentions();
                draft.image = match given {
                    Some(image) => Some(image.clone()),
                    None if builds && at.node.scalar() == Some("") => None,
                    None => read_image(reader, at),
                };
            }
            "build" => body.build = read_build(reader, at),
            "use_api_socket" => {
                options.read(reader, key, at);
                if reader.boolean(at) == Some(true) {
                    reader.note(at, "`use_api_socket` gives the engine's socket, and no credentials of registries");
                }
            }
            // If it is empty, the engine uses the image's own command.
            "command" => body.command = read_words(reader, at).filter(|words| !words.is_empty()),
            "configs" => draft.configs = injected::read_uses(reader, at, None),
            "container_name" => {
                body.container_name = reader.word(at, container_name);
                draft.container_name_at = Some(at.clone());
            }
            "depends_on" => draft.depends_on = read_depends_on(reader, at),
            "deploy" => read_deploy(reader, at, body, &mut options),
            "entrypoint" => body.entrypoint = read_words(reader, at),
            "env_file" => env_file = Some(at.clone()),
            "environment" => own = read_environment(reader, at),
            "expose" => body.expose = read_expose(reader, at),
            "external_links" => body.external_links = reader.distinct_texts(at),
            "healthcheck" => body.health_check = read_health_check(reader, at),
            "label_file" => label_file = read_label_files(reader, at),
            "labels" => body.labels = read_labels(reader, at),
            "links" => draft.links = read_links(reader, at),
            "network_mode" => {
                let read = |text: &str| if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
                body.network_mode = reader.word(at, read).flatten();
                draft.joins.extend(joined(reader, at));
            }
            "networks" => draft.networks = networks::read_endpoints(reader, at),
            "ports" => {
                body.ports = read_ports(reader, at);
                draft.ports_at = Some(at.clone());
            }
            "pull_policy" => body.pull_policy = reader.word(at, str::parse),
            "restart" => {
                let policy = |text: &str| if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
                body.restart = reader.word(at, policy).flatten();
            }
            "scale" => body.replicas = reader.number(at, 0),
            "secrets" => draft.secrets = injected::read_uses(reader, at, Some("/run/secrets/")),
            "stop_grace_period" => body.stop_grace_period = reader.word(at, value::duration),
            "stop_signal" => {
                let read = |text: &str| if text.is_empty() { Ok(None) } else { signal(text).map(Some) };
                body.stop_signal = reader.word(at, read).flatten();
            }
            "volumes" => draft.mounts = read_mounts(reader, at),
            "volumes_from" => {
                draft.volumes_from = read_volumes_from(reader, at);
                options.volumes_from(read_volumes_from_outside(reader, at));
            }
            // `attach` is about output on a terminal, and `develop` about watching files. Haddock does neither.
            "attach" => _ = reader.boolean(at).map(|_| reader.note(at, "`attach` has no effect")),
            "develop" => {
                read_develop(reader, at);
                reader.note(at, "`develop` has no effect");
            }
            // These were read before.
            "profiles" | "extends" => {}
            other => unreachable!("`{other}` is in the list of supported keys"),
        }
    }
    if !has_image {
        draft.image = match (given, &draft.body.build) {
            (Some(image), _) => Some(image.clone()),
            (None, Some(_)) => None,
            // A component with `provider` has no image. That `provider` is not supported is reported already.
            (None, None) if cursor.node.get("provider").is_some() => None,
            (None, None) => {
                reader.wrong(cursor, format!("component `{name}` has no `image`"), "add `image: repository:tag`");
                None
            }
        };
    }
    let replicas =
        cursor.child("deploy").and_then(|deploy| deploy.child("replicas")).and_then(|it| reader.number(&it, 0));
    if let (Some(at), Some(count)) = (&draft.container_name_at, draft.body.replicas)
        && count > 1
        && draft.body.container_name.is_some()
    {
        reader.unfit(
            at,
            "there are several replicas, and only one container can have the name in `container_name`",
            "remove `container_name`",
        );
    }
    if let (Some(scale), Some(replicas)) = (cursor.child("scale").and_then(|it| reader.number(&it, 0)), replicas)
        && scale != replicas
    {
        reader.unfit(cursor, "`scale` and `deploy.replicas` are not the same", "remove one of them");
    }
    label_file.append(&mut draft.body.labels);
    draft.body.labels = label_file;
    draft.body.options = options.finish();
    check_platform(reader, cursor, &draft.body);
    check_limits(reader, cursor, &draft.body.options);
    // Values in the files may mention variables of `environment`.
    let mut environment = env_file.map(|at| read_env_files(reader, &at, &own)).unwrap_or_default();
    environment.append(&mut own);
    draft.body.environment = environment;
    if let Some(mode) = cursor.child("network_mode")
        && !draft.networks.is_empty()
    {
        reader.unfit(&mode, "a component has either `network_mode` or `networks`", "remove one of them");
    }
    let tmpfs = draft.body.options.tmpfs.iter().map(|it| it.split(':').next().unwrap_or(it));
    let tmpfs: Vec<&str> = tmpfs.collect();
    if let Some(index) = (1..tmpfs.len()).find(|index| tmpfs[..*index].contains(&tmpfs[*index]))
        && let Some(at) = cursor.child("tmpfs")
    {
        let message = format!("`{}` is a `tmpfs` twice", tmpfs[index]);
        reader.stricter(&at, message, "keep one of them", REFUSED_BY_ENGINE);
    }
    if let Some((mount, at)) = draft.mounts.iter().find(|(mount, _)| tmpfs.contains(&mount.target.as_str())) {
        let message = format!("`{}` is a mount and a `tmpfs`", mount.target);
        reader.stricter(at, message, "keep one of them", REFUSED_BY_ENGINE);
    }
    Some(draft)
}

/// `develop` has no effect, but is checked as in Compose.
fn read_develop<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) {
    const ACTIONS: [&str; 5] = ["rebuild", "sync", "restart", "sync+restart", "sync+exec"];
    if cursor.is_null() {
        return;
    }
    for entry in reader.known_entries(cursor, &keys::DEVELOP).unwrap_or_default() {
        for item in reader.items(&entry.value).unwrap_or_default() {
            for part in reader.known_entries(&item, &keys::WATCH).unwrap_or_default() {
                if part.key.text == "action"
                    && let Some(action) = reader.text(&part.value)
                    && !ACTIONS.contains(&action.as_str())
                {
                    let hint = format!("write one of {}", listed(ACTIONS));
                    reader.wrong(&part.value, "this is not an action of `watch`", hint);
                }
                reader.check_texts(&part.value);
            }
            for key in ["path", "action"] {
                if item.node.get(key).is_none() {
                    reader.wrong(&item, format!("the entry of `watch` has no `{key}`"), format!("add `{key}`"));
                }
            }
        }
    }
}

/// A limit that also stands under `deploy` has to be the same in both places.
fn check_limits(reader: &mut Reader<'_>, cursor: &Cursor<'_>, options: &ContainerOptions) {
    let limits = options.resources.limits.as_ref();
    let reservations = options.resources.reservations.as_ref();
    let bytes = |bytes: Option<Bytes>| bytes.map_or(0, |bytes| bytes.0);
    let cpus = |cpus: Option<Cpus>| cpus.map_or(0, |cpus| cpus.0);
    let pairs = [
        ("mem_limit", bytes(options.mem_limit), limits.map(|it| bytes(it.memory))),
        ("mem_reservation", bytes(options.mem_reservation), reservations.map(|it| bytes(it.memory))),
        ("cpus", cpus(options.cpus), limits.map(|it| cpus(it.cpus))),
        ("pids_limit", options.pids_limit.unwrap_or(0), limits.map(|it| it.pids.unwrap_or(0))),
    ];
    for (key, own, deployed) in pairs {
        if let Some(at) = cursor.child(key).filter(|_| own != 0 && deployed.is_some_and(|deployed| deployed != own)) {
            let message = format!("`{key}` and what `deploy.resources` says of it are not the same");
            reader.unfit(&at, message, "write the same in both, or remove one of them");
        }
    }
}

/// An image that is built has to be built for the platform that it runs on.
fn check_platform(reader: &mut Reader<'_>, cursor: &Cursor<'_>, body: &Component) {
    let platforms = body.build.iter().flat_map(|build| &build.platforms).collect::<Vec<_>>();
    if let Some(platform) = &body.options.platform
        && !platforms.is_empty()
        && !platforms.contains(&platform)
    {
        let hint = format!("add `{platform}` to `build.platforms`");
        reader.unfit(cursor, format!("the component runs on `{platform}`, but its image is not built for it"), hint);
    }
}

/// The component whose namespace it joins: `service:name`.
fn joined<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<(String, Cursor<'t>)> {
    let text = cursor.node.scalar()?;
    let name = text.strip_prefix("service:")?;
    if name.is_empty() {
        reader.wrong(cursor, "`service:` is followed by no component", "write `service:component`");
        return None;
    }
    Some((name.to_owned(), cursor.clone()))
}

fn container_name(text: &str) -> Result<String, Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match text.len() > 1 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => {
            let error = Error::new(ErrorKind::InvalidName, format!("`{text}` is not a name for a container"))
                .with_hint("use at least two letters, digits, `_`, `.` and `-`, a letter or digit first");
            // Compose accepts the name if any two characters in a row would be a valid name.
            let has_two = text
                .char_indices()
                .any(|(at, c)| c.is_ascii_alphanumeric() && text[at + c.len_utf8()..].starts_with(allowed));
            Err(if has_two { error.stricter_than_compose(REFUSED_BY_ENGINE) } else { error })
        }
    }
}

/// `deploy`: the number of replicas, and their resources. The rest is for swarms.
fn read_deploy<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>, body: &mut Component, options: &mut Options) {
    if cursor.is_null() {
        return;
    }
    for entry in reader.known_entries(cursor, &keys::DEPLOY).unwrap_or_default() {
        let (key, at) = (entry.key.text.as_str(), &entry.value);
        match key {
            "replicas" => body.replicas = reader.number(at, 0),
            "resources" => options.resources(resources(reader, at)),
            _ => {
                match key {
                    "mode" | "endpoint_mode" => _ = reader.text(at),
                    "labels" => _ = reader.pairs(at),
                    "placement" => _ = reader.known_entries(at, &keys::PLACEMENT),
                    "restart_policy" => _ = reader.known_entries(at, &keys::RESTART_POLICY),
                    "update_config" | "rollback_config" => _ = reader.known_entries(at, &keys::UPDATE_CONFIG),
                    other => keys::unread(other),
                }
                reader.note(at, format!("`deploy.{key}` has no effect: it is for swarms"));
            }
        }
    }
}

fn read_image(reader: &mut Reader<'_>, cursor: &Cursor<'_>) -> Option<ImageReference> {
    let notes = reader.notes.len();
    reader.quoted(cursor)?;
    let filled = reader.filled(cursor)?;
    if !filled.unset.is_empty() {
        // Nobody wants an image whose name has an empty part. So this is an error, and not a note.
        reader.notes.truncate(notes);
        let verb = if filled.unset.len() == 1 { "is" } else { "are" };
        let hint = match filled.unset[0].as_str() {
            "TAG" => "name the version that is wanted by its tag, or write a default: `${TAG:-latest}`".to_owned(),
            name => format!("set `{name}` in the environment or in `.env`, or write a default: `${{{name}:-…}}`"),
        };
        let message = format!("the image needs {}, which {verb} not set", listed(&filled.unset));
        reader.stricter(cursor, message, hint, "the tag or name of the image");
        return None;
    }
    match ImageReference::parse(&filled.text) {
        Ok(image) => Some(image),
        Err(error) => {
            reader.refuse(cursor, &filled, error.stricter_than_compose(REFUSED_BY_ENGINE));
            None
        }
    }
}

fn signal(text: &str) -> Result<String, Error> {
    // The engine also takes `sigterm`. Other names in lower case are not signals.
    let text_of = if text.starts_with("sig") { text.to_ascii_uppercase() } else { text.to_owned() };
    let known = |name: &str| {
        name.len() >= 2
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"+-".contains(&byte))
    };
    let number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    if number
        || known(text_of.strip_prefix("SIG").unwrap_or(&text_of)) && !text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Ok(text.to_owned());
    }
    Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a signal"))
        .with_hint("write a signal such as `SIGTERM` or `SIGQUIT`")
        .stricter_than_compose(REFUSED_BY_ENGINE))
}
