//! The file `haddock-images.yaml` of an image tree.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_saphyr::{DuplicateKeyPolicy, Error as YamlError, Location, MessageFormatter, Spanned};

use super::find;
use super::near::nearest;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::image::{ImageReference, TagTemplate};

/// The name of the file in the root of a tree.
pub(super) const FILE_NAME: &str = "haddock-images.yaml";
/// Names that people write in its place. Such a file would be left out, and nobody would know.
const NEARLY: [&str; 4] = ["haddock-images.yml", "haddock_images.yaml", "haddock-image.yaml", ".haddock-images.yaml"];

/// What the file says. It has no `Debug`, because it holds values of arguments.
#[derive(Default)]
pub(super) struct Description {
    pub(super) prefix: Option<String>,
    pub(super) tags: TagTemplate,
    pub(super) args: BTreeMap<String, String>,
    /// Folders from the root.
    pub(super) ignore: Vec<PathBuf>,
    pub(super) images: BTreeMap<String, Entry>,
    places: Places,
}

/// A text with its place. What an alias or `<<` brings in has the place where it is written.
pub(super) type Text = Spanned<String>;

/// What the file says of one image.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Entry {
    pub(super) dockerfile: Option<Text>,
    pub(super) context: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) target: Option<Text>,
    #[serde(deserialize_with = "given")]
    pub(super) args: BTreeMap<String, String>,
    #[serde(deserialize_with = "given")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "given")]
    pub(super) secrets: BTreeMap<String, Secret>,
    #[serde(deserialize_with = "given")]
    pub(super) ssh: bool,
    pub(super) platform: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    pub(super) file: Option<Text>,
    pub(super) environment: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    prefix: Option<Text>,
    tag: Option<Text>,
    #[serde(deserialize_with = "given")]
    args: BTreeMap<String, String>,
    #[serde(deserialize_with = "given")]
    ignore: Vec<Text>,
    #[serde(deserialize_with = "given")]
    images: BTreeMap<String, Option<Entry>>,
}

/// Where keys stand that people choose. The paths of errors are not known where keys have places, so these are read
/// apart.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Places {
    #[serde(deserialize_with = "given")]
    images: HashMap<Text, Option<EntryPlaces>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EntryPlaces {
    #[serde(deserialize_with = "given")]
    secrets: HashMap<Text, IgnoredAny>,
}

/// A key without a value says as little as no key.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(reader: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(reader)?.unwrap_or_default())
}

impl Description {
    /// Reads the file of a tree. Without one, nothing is described.
    pub(super) fn read(root: &Path) -> Result<Self> {
        if root.join(FILE_NAME).symlink_metadata().is_ok() {
            return Self::parse(&find::text(root, Path::new(FILE_NAME))?);
        }
        match NEARLY.into_iter().find(|name| root.join(name).symlink_metadata().is_ok()) {
            Some(name) => Err(Error::new(ErrorKind::ImageTree, format!("`{name}` is not read"))
                .with_hint(format!("rename it to `{FILE_NAME}`"))
                .at(find::start_of(Path::new(name)))),
            None => Ok(Self::default()),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let mut path = String::new();
        let written = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |reader| {
            serde_path_to_error::deserialize::<_, Option<Written>>(reader).map_err(|error| {
                path = error.path().to_string();
                error.into_inner()
            })
        });
        let written = written.map_err(|error| unreadable(&error, &path))?.unwrap_or_default();
        let places: Option<Places> =
            serde_saphyr::from_str_with_options(text, options()).map_err(|error| unreadable(&error, ""))?;
        let tags = match &written.tag {
            Some(tag) => tag.value.parse().map_err(|error: Error| {
                wrong(error.message(), error.hint().unwrap_or("write `{branch}-{hash}`"), tag, "tag")
            })?,
            None => TagTemplate::default(),
        };
        Ok(Self {
            prefix: written.prefix.map(prefix).transpose()?,
            tags,
            args: written.args,
            ignore: written.ignore.iter().enumerate().map(ignored).collect::<Result<_>>()?,
            images: written.images.into_iter().map(|(name, entry)| (name, entry.unwrap_or_default())).collect(),
            places: places.unwrap_or_default(),
        })
    }

    /// The place of an image's entry.
    pub(super) fn place_of(&self, name: &str) -> Place {
        let at = self.places.images.keys().find(|key| key.value == name);
        place(at.map(|key| key.defined), &format!("images.{name}"))
    }

    /// The place of a secret of an image.
    pub(super) fn place_of_secret(&self, name: &str, id: &str) -> Place {
        let entries = self.places.images.iter().filter(|(key, _)| key.value == name);
        let mut secrets = entries.filter_map(|(_, entry)| entry.as_ref()).flat_map(|entry| entry.secrets.keys());
        place(secrets.find(|key| key.value == id).map(|key| key.defined), &format!("images.{name}.secrets.{id}"))
    }
}

/// An error at a text.
pub(super) fn wrong(message: &str, hint: &str, at: &Text, key: &str) -> Error {
    Error::new(ErrorKind::ImageTree, message).with_hint(hint).at(place(Some(at.defined), key))
}

fn place(at: Option<Location>, key: &str) -> Place {
    let (line, column) = at.map_or((1, 1), |at| (at.line().max(1), at.column().max(1)));
    Place { file: FILE_NAME.to_owned(), line, column, key: key.to_owned() }
}

fn prefix(text: Text) -> Result<String> {
    let refuse = |message: &str, hint: &str| {
        Err(wrong(&format!("the prefix `{}` {message}", text.value), hint, &text, "prefix"))
    };
    let example = "write a registry and a path, such as `registry.local:5000/team`";
    if text.value.is_empty() {
        return Err(wrong("the prefix is empty", example, &text, "prefix"));
    }
    if text.value.contains('$') {
        return refuse("has a `$`, and this file has no variables", "write the prefix itself");
    }
    if let Some((scheme, rest)) = text.value.split_once("://") {
        return refuse(&format!("begins with `{scheme}://`"), &format!("write `{rest}`"));
    }
    if text.value.ends_with('/') {
        return refuse("ends in `/`", "remove the `/` at its end");
    }
    // What has no `/` may be a registry alone.
    let whole = match text.value.contains('/') {
        true => text.value.clone(),
        false => format!("{}/x", text.value),
    };
    match ImageReference::parse(&whole) {
        Ok(image) if image.with_tag("latest").is_ok_and(|plain| plain == image) => Ok(text.value),
        Ok(_) => refuse("has a tag or a digest", "remove it; `tag` says what the tags are made of"),
        Err(error) => {
            let reason = error.message().split_once("`: ").map_or(error.message(), |(_, reason)| reason);
            refuse(&format!("is not valid: {reason}"), example)
        }
    }
}

fn ignored((number, text): (usize, &Text)) -> Result<PathBuf> {
    let path = clean(Path::new(&text.value));
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    if stays && !path.as_os_str().is_empty() {
        return Ok(path);
    }
    let message = format!("`{}` is no folder below that of this file", text.value);
    Err(wrong(&message, "name a folder, such as `old/images`", text, &format!("ignore[{number}]")))
}

/// A path without `.`.
pub(super) fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
    }
}

/// The YAML library's error as ours. It never shows a value, because it may be that of an argument.
fn unreadable(error: &YamlError, path: &str) -> Error {
    let inner = match error {
        YamlError::AliasError { error, .. } => error,
        other => other,
    };
    let mut key = plain(path);
    let (message, hint) = match inner {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            if !key.ends_with(field.as_str()) {
                key = [key.as_str(), field].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
            }
            let hint = match nearest(field, expected.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let names: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
                    format!("the keys are {}", names.join(", "))
                }
            };
            (format!("unknown key `{field}`"), hint)
        }
        YamlError::DuplicateMappingKey { key: second, .. } => {
            let second = second.clone().unwrap_or_default();
            // The path ends before the key.
            key = format!("{}{second}", key.strip_suffix('?').unwrap_or_default());
            (format!("key `{second}` stands here a second time"), "keep one of them".to_owned())
        }
        YamlError::MultipleDocuments { .. } => {
            ("a second YAML document begins here".to_owned(), "keep one document".to_owned())
        }
        YamlError::NullIntoString { .. } => expected("a text"),
        YamlError::InvalidBooleanStrict { .. } | YamlError::InvalidScalar { .. } => expected("`true` or `false`"),
        YamlError::Unexpected { expected: what, .. } => expected(match *what {
            "mapping start" => "a mapping",
            "sequence start" => "a list",
            _ => "a text",
        }),
        YamlError::SerdeInvalidType { expected: what, .. } => match what.as_str() {
            "a string" => expected("a text"),
            "a boolean" => expected("`true` or `false`"),
            "a sequence" => expected("a list"),
            _ => expected("a mapping"),
        },
        other => {
            let message = serde_saphyr::UserMessageFormatter.format_message(other);
            let hint = "look at this line and the one above; put a text that begins with `{` in quotes";
            (format!("not valid YAML: {message}"), hint.to_owned())
        }
    };
    let at = inner.location().or(error.location());
    Error::new(ErrorKind::ImageTree, message).with_hint(hint).at(place(at, &key))
}

fn expected(what: &str) -> (String, String) {
    let hint = match what {
        "a text" => "put a text that begins with `{` or `[` in quotes",
        _ => "docs/reference/images-file.md has the form of each key",
    };
    (format!("{what} is expected here"), hint.to_owned())
}

/// A path of keys without what stands for the place of a text.
fn plain(path: &str) -> String {
    const TEXTS: [&str; 9] =
        ["prefix", "tag", "dockerfile", "context", "name", "target", "platform", "file", "environment"];
    let path = path.trim_matches('.');
    match path.strip_suffix(".value") {
        Some(before) if before.ends_with(']') || TEXTS.iter().any(|text| before.ends_with(text)) => before.to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
#[path = "description_tests.rs"]
mod tests;
