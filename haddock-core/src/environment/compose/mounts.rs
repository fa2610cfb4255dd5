//! `volumes` of a component, and those that the file declares.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::keys::{self, nearest};
use super::options::size;
use super::reader::{Cursor, REFUSED_BY_ENGINE, Reader, listed};
use super::tree::{Node, Value};
use crate::container::{BindOptions, ImageOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};
use crate::environment::DeclaredVolume;
use crate::error::{Error, ErrorKind};

/// What is lost if the name of an external volume or network is empty.
const OTHER_NAME: &str = "the one that is meant: Compose uses one of another name";
const MOUNT_FORMS: &str = "write `volume:/path`, `./folder:/path` or `/path`, with `:ro` behind it to read only";

/// The mounts of a component, each with its place in the file. Of two mounts with one target, the later one counts.
pub(super) fn read_mounts<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<(Mount, Cursor<'t>)> {
    let mut mounts: Vec<(Mount, Cursor<'t>)> = Vec::new();
    // The targets as the long form writes them. Compose first takes `/a` and `/a/` for two mounts, then sees that they
    // are one, and refuses them.
    let mut written: Vec<String> = Vec::new();
    for item in reader.items(cursor).unwrap_or_default() {
        let mount = match item.node.value {
            Value::Map(_) => read_long(reader, &item),
            _ => reader.word(&item, short).map(|(mount, unknown)| {
                for option in unknown {
                    reader.note(&item, without_effect(&option));
                }
                mount
            }),
        };
        let Some(mut mount) = mount else { continue };
        if mount.kind == MountKind::Bind
            && let Some(source) = &mount.source
        {
            let Some(path) = host_path(reader, &item, source) else { continue };
            mount.source = Some(path);
        }
        let target = item.node.get("target").and_then(Node::scalar).unwrap_or(&mount.target).to_owned();
        match mounts.iter().position(|(other, _)| other.target == mount.target) {
            Some(before) if written[before] == target => mounts[before] = (mount, item),
            Some(_) => {
                let hint = "remove one of them, or write both paths the same way";
                reader.unfit(&item, "this path is mounted twice, written in two ways", hint);
            }
            None => {
                mounts.push((mount, item));
                written.push(target);
            }
        }
    }
    mounts
}

/// Reports what is wrong with a mount in its short form.
pub(super) fn check_short(reader: &mut Reader<'_>, cursor: &Cursor<'_>) {
    reader.word(cursor, short);
}

/// A path of the host, made absolute. An absolute path stays as it is written; others lose their `.` and `..`.
pub(super) fn host_path(reader: &mut Reader<'_>, cursor: &Cursor<'_>, path: &str) -> Option<String> {
    let path = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let Some(home) = reader.variable(cursor, "HOME") else {
                reader.wrong(cursor, "`~` cannot be filled in, because `HOME` is not set", "write the path out");
                return None;
            };
            PathBuf::from(format!("{home}{rest}"))
        }
        Some(_) => {
            let name = path.split('/').next().unwrap_or(path);
            let message = format!("`{name}` is the home of another user");
            reader.stricter(cursor, message, "write the path out", "whose home it is: Compose takes one's own");
            return None;
        }
        _ if path.chars().nth(1) == Some(':') && path.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            let message = format!("`{}` is a path of Windows", &path[..2]);
            let error = Error::new(ErrorKind::NotSupported, message);
            let error = error.with_hint("write a path of the host that containers run on");
            reader.fail_with(cursor, error.stricter_than_compose("the folder: engines here have no such path"));
            return None;
        }
        // Compose leaves an absolute path as it is.
        _ if path.starts_with('/') => return Some(path.to_owned()),
        _ => reader.path(cursor, path),
    };
    Some(clean(&path).display().to_string())
}

/// The path without `.` and `..`, by its text alone.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = clean.pop(),
            part => clean.push(part),
        }
    }
    clean
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidValue, message).with_hint(MOUNT_FORMS)
}

fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

/// Options of a mount in its short form.
const MOUNT_OPTIONS: [&str; 15] = [
    "ro",
    "rw",
    "nocopy",
    "z",
    "Z",
    "cached",
    "delegated",
    "consistent",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "private",
    "rprivate",
    "U",
];

/// The note on an option that Compose ignores.
fn without_effect(option: &str) -> String {
    // Two options without a comma between them.
    let halves = (1..option.len()).filter_map(|at| option.split_at_checked(at));
    let two = |(one, other): &(&str, &str)| MOUNT_OPTIONS.contains(one) && MOUNT_OPTIONS.contains(other);
    let meant = match halves.into_iter().find(two) {
        Some((one, other)) => format!("; `{one},{other}` was probably meant"),
        None if option == "U" => "; it is podman's".to_owned(),
        None => {
            nearest(option, MOUNT_OPTIONS).map(|meant| format!("; `{meant}` was probably meant")).unwrap_or_default()
        }
    };
    format!("`{option}` is not an option of a mount and has no effect{meant}")
}

/// Reads `[source:]target[:options]`. The second part of the result are the options that have no effect.
fn short(text: &str) -> Result<(Mount, Vec<String>), Error> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        let error = invalid(format!("`{text}` has an empty part before, between or after its colons"));
        // Compose takes such a short text for a path in the container.
        let path = matches!(text.len(), 1 | 2);
        return Err(if path { error.stricter_than_compose(REFUSED_BY_ENGINE) } else { error });
    }
    let drive = |part: &str| part.len() == 1 && part.chars().all(|c| c.is_ascii_alphabetic());
    if parts.len() > 1 && drive(parts[0]) {
        let message = format!("`{}:` could be a drive of Windows", parts[0]);
        let error = Error::new(ErrorKind::NotSupported, message).with_hint("give the volume a longer name");
        return Err(error.stricter_than_compose("the volume: Compose takes its name for a drive"));
    }
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(invalid(format!("`{text}` has too many colons"))),
    };
    if !target.starts_with('/') {
        return Err(invalid(format!("`{target}` is not an absolute path")).stricter_than_compose(REFUSED_BY_ENGINE));
    }
    let kind = if source.is_some_and(is_path) { MountKind::Bind } else { MountKind::Volume };
    let mut mount = plain(kind, source.map(str::to_owned), target);
    let mut unknown = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "nocopy" => mount.volume.get_or_insert_default().nocopy = true,
            "z" | "Z" => mount.bind.get_or_insert_default().selinux = Some(option.to_owned()),
            "cached" | "delegated" | "consistent" => mount.consistency = Some(option.to_owned()),
            "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => {
                mount.bind.get_or_insert_default().propagation = Some(option.to_owned());
            }
            _ => unknown.push(option.to_owned()),
        }
    }
    Ok((mount, unknown))
}

fn plain(kind: MountKind, source: Option<String>, target: &str) -> Mount {
    let target = clean(Path::new(target)).display().to_string();
    Mount { source, ..Mount::new(kind, target) }
}

fn read_long<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Mount> {
    let errors = reader.error_count();
    let mut mount = plain(MountKind::Volume, None, "/");
    let (mut kind, mut target) = (None, None);
    for entry in reader.known_entries(cursor, &keys::MOUNT)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "type" => {
                kind = reader.word(at, |text| match text {
                    "volume" => Ok(MountKind::Volume),
                    "bind" => Ok(MountKind::Bind),
                    "tmpfs" => Ok(MountKind::Tmpfs),
                    "image" => Ok(MountKind::Image),
                    "npipe" | "cluster" => {
                        let message = format!("mounts of type `{text}` are not supported yet");
                        let error = Error::new(ErrorKind::NotSupported, message);
                        let error = error.with_hint("write `volume`, `bind` or `tmpfs`");
                        Err(error.stricter_than_compose("the mount: engines here have none of the kind"))
                    }
                    _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a type of mount"))
                        .with_hint("write `volume`, `bind` or `tmpfs`")),
                });
            }
            "source" => mount.source = reader.text(at).filter(|source| !source.is_empty()),
            "target" => target = reader.text(at),
            "read_only" => mount.read_only = reader.boolean(at).unwrap_or(false),
            "consistency" => mount.consistency = reader.text(at),
            "bind" => mount.bind = read_bind(reader, at),
            "volume" => mount.volume = read_volume(reader, at),
            "image" => mount.image = read_image(reader, at),
            "tmpfs" => mount.tmpfs = read_tmpfs(reader, at),
            other => keys::unread(other),
        }
    }
    if reader.error_count() > errors {
        return None;
    }
    let (Some(kind), Some(target)) = (kind, target) else {
        reader.wrong(cursor, "the mount lacks its `type` or its `target`", "set both, or write `source:target`");
        return None;
    };
    if kind == MountKind::Bind && mount.source.is_none() {
        let hint = "set `source` to the path on the host";
        let lost = "the folder: Compose mounts the whole project";
        reader.stricter(cursor, "the mount of type `bind` has no `source`", hint, lost);
        return None;
    }
    if !target.starts_with('/') {
        reader.fail_with(
            cursor,
            invalid(format!("`{target}` is not an absolute path")).stricter_than_compose(REFUSED_BY_ENGINE),
        );
        return None;
    }
    mount.kind = kind;
    mount.target = clean(Path::new(&target)).display().to_string();
    Some(mount)
}

fn read_bind<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<BindOptions> {
    let mut bind = BindOptions::default();
    for entry in reader.known_entries(cursor, &keys::MOUNT_BIND)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "propagation" => bind.propagation = reader.text(at),
            // `true` is the default, so only `false` is kept.
            "create_host_path" => bind.create_host_path = reader.boolean(at).filter(|create| !create),
            "recursive" => {
                bind.recursive = reader.word(at, |text| match text {
                    "enabled" | "disabled" | "writable" | "readonly" => Ok(text.to_owned()),
                    _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is no value of `recursive`"))
                        .with_hint("write `enabled`, `disabled`, `writable` or `readonly`")),
                });
            }
            "selinux" => bind.selinux = reader.text(at),
            other => keys::unread(other),
        }
    }
    Some(bind).filter(|bind| *bind != BindOptions::default())
}

fn read_volume<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<VolumeOptions> {
    if cursor.is_null() {
        return None;
    }
    let mut volume = VolumeOptions::default();
    for entry in reader.known_entries(cursor, &keys::MOUNT_VOLUME)? {
        match entry.key.text.as_str() {
            "nocopy" => volume.nocopy = reader.boolean(&entry.value).unwrap_or(false),
            "subpath" => volume.subpath = reader.text(&entry.value).filter(|path| !path.is_empty()),
            "labels" => volume.labels = reader.pairs(&entry.value),
            other => keys::unread(other),
        }
    }
    Some(volume).filter(|volume| *volume != VolumeOptions::default())
}

fn read_image<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<ImageOptions> {
    let mut image = ImageOptions::default();
    for entry in reader.known_entries(cursor, &keys::MOUNT_IMAGE)? {
        image.subpath = reader.text(&entry.value);
    }
    Some(image).filter(|image| *image != ImageOptions::default())
}

fn read_tmpfs<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<TmpfsOptions> {
    if cursor.is_null() {
        return None;
    }
    let mut tmpfs = TmpfsOptions::default();
    for entry in reader.known_entries(cursor, &keys::MOUNT_TMPFS)? {
        match entry.key.text.as_str() {
            "size" => {
                tmpfs.size = size(reader, &entry.value);
                if tmpfs.size.is_some_and(|size| size.0 < 0) {
                    reader.wrong(&entry.value, "the size is below zero", "write a size such as `64m`");
                }
            }
            "mode" => tmpfs.mode = reader.unquoted(&entry.value).and_then(|()| reader.numeric(&entry.value, mode)),
            other => keys::unread(other),
        }
    }
    Some(tmpfs).filter(|tmpfs| *tmpfs != TmpfsOptions::default())
}

/// Permissions, in octal digits if the first one is a zero.
pub(super) fn mode(text: &str) -> Result<u32, Error> {
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0')).filter(|digits| !digits.is_empty());
    let read = match digits {
        Some(digits) => u32::from_str_radix(digits, 8),
        None => text.parse(),
    };
    read.map_err(|_| {
        Error::new(ErrorKind::InvalidValue, format!("`{text}` is not permissions")).with_hint("write them as `0440`")
    })
}

/// The entries under `volumes:`.
pub(super) fn read_declared<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> BTreeMap<String, DeclaredVolume> {
    let mut volumes = BTreeMap::new();
    if cursor.is_null() {
        return volumes;
    }
    for entry in reader.entries(cursor).unwrap_or_default() {
        let mut volume = DeclaredVolume::default();
        if !entry.value.is_null() {
            for part in reader.known_entries(&entry.value, &keys::DECLARED_VOLUME).unwrap_or_default() {
                let at = &part.value;
                match part.key.text.as_str() {
                    "name" => volume.name = reader.text(at).filter(|name| !name.is_empty()).or(volume.name.take()),
                    "external" => volume.external = external(reader, at, &entry.value, &mut volume.name),
                    "driver" => volume.driver = reader.text(at).filter(|driver| !driver.is_empty()),
                    "driver_opts" => volume.driver_opts = reader.options(at),
                    "labels" => volume.labels = reader.pairs(at),
                    other => keys::unread(other),
                }
            }
        }
        let made = volume.driver.is_some() || !volume.driver_opts.is_empty() || !volume.labels.is_empty();
        if volume.external && made {
            let message = "the volume is `external`, so its driver, options and labels have no effect";
            reader.wrong(&entry.value, message, "remove `external`, or what is beside it and its `name`");
        }
        complete_device(reader, &entry.value, &mut volume);
        named(reader, &entry.value, volume.external, &mut volume.name, &entry.key.text);
        volumes.insert(entry.key.text.clone(), volume);
    }
    volumes
}

/// Makes the path of a volume's `device` absolute, as with mounts, if it is a folder of the host. It is one only if
/// `bind` is among the options. Else it is something different, such as `:/export` of a file server.
fn complete_device(reader: &mut Reader<'_>, cursor: &Cursor<'_>, volume: &mut DeclaredVolume) {
    let binds = volume.driver_opts.get("o").is_some_and(|options| options.split(',').any(|it| it.trim() == "bind"));
    let local = volume.driver.as_deref().is_none_or(|driver| driver == "local");
    let Some(device) = volume.driver_opts.get_mut("device").filter(|_| binds && local) else { return };
    if device.is_empty() {
        let at = cursor.child("driver_opts").and_then(|options| options.child("device"));
        let at = at.as_ref().unwrap_or(cursor);
        reader.note(at, "the `device` is empty, so the whole folder of the compose file is mounted");
    }
    if let Some(path) = host_path(reader, cursor, device) {
        *device = path;
    }
}

/// If something is external and has no `name`, its key in the file is its name.
pub(super) fn named(
    reader: &mut Reader<'_>,
    cursor: &Cursor<'_>,
    external: bool,
    name: &mut Option<String>,
    key: &str,
) {
    if !external {
        return;
    }
    if cursor.node.get("name").is_some() && name.is_none() {
        let hint = cursor.child("name").map(|name| name_of_external(&name)).unwrap_or_default();
        reader.stricter(cursor, "its `name` is empty", hint, OTHER_NAME);
    }
    name.get_or_insert_with(|| key.to_owned());
}

/// The hint for the empty name of something external.
fn name_of_external(name: &Cursor<'_>) -> String {
    match name.mentions() {
        names if names.is_empty() => "name the one that is meant, or remove `name`".to_owned(),
        names => format!("set {}", listed(names)),
    }
}

/// Reads `external: true`, or the older form `external: { name: … }`. It is an error if `declared` also has a `name`
/// that differs.
pub(super) fn external<'t>(
    reader: &mut Reader<'t>,
    cursor: &Cursor<'t>,
    declared: &Cursor<'t>,
    name: &mut Option<String>,
) -> bool {
    let Value::Map(_) = cursor.node.value else { return reader.boolean(cursor).unwrap_or(false) };
    reader.known_entries(cursor, &keys::EXTERNAL);
    let Some(own) = cursor.child("name") else { return true };
    let Some(read) = reader.text(&own) else { return true };
    if read.is_empty() {
        reader.stricter(cursor, "its `name` is empty", name_of_external(&own), OTHER_NAME);
    }
    if declared.child("name").is_some_and(|beside| beside.node.scalar().is_some_and(|name| name != read)) {
        reader.wrong(cursor, "`name` and the name under `external` differ", "keep `name`, and write `external: true`");
    }
    *name = Some(read);
    true
}
