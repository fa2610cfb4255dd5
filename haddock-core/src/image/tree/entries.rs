//! Makes images of the Dockerfiles that were found and of what `haddock-images.yaml` says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::description::{Description, Entry, Secret, Text, clean, wrong};
use super::find;
use super::image::TreeImage;
use super::near::nearest;
use crate::error::{Error, ErrorKind, Result};
use crate::image::dockerfile::Dockerfile;
use crate::image::{BuildSecret, ImageReference, SecretSource};

/// A Dockerfile that was found.
struct Found {
    /// Its folder as written.
    written: String,
    path: PathBuf,
}

/// The images of these Dockerfiles, changed as described, and the further images that are described.
pub(super) fn images(root: &Path, paths: Vec<PathBuf>, description: &Description) -> Result<Vec<TreeImage>> {
    let found: Vec<Found> = paths.into_iter().map(|path| Found { written: folder_name(root, &path), path }).collect();
    let mut images = Vec::new();
    let mut used = BTreeSet::new();
    for (name, entry) in &description.images {
        let entry = Described { root, description, name, entry };
        for (context, path) in entry.sources(&found)? {
            used.extend(fs::canonicalize(root.join(&path)));
            images.push(entry.image(context, path)?);
        }
    }
    for Found { written, path } in found {
        let name = written.to_lowercase();
        // An entry may name a Dockerfile under another name.
        let is_used = || fs::canonicalize(root.join(&path)).is_ok_and(|real| used.contains(&real));
        if !description.images.contains_key(&name) && !is_used() {
            let context = path.parent().unwrap_or(Path::new("")).to_owned();
            let repository = repository(description, &name).map_err(|why| bad_folder(&written, &why, &path))?;
            images.push(image(root, description, name, repository, context, path)?);
        }
    }
    Ok(images)
}

/// The path of a Dockerfile's folder, with `/`. That of the root is its name.
fn folder_name(root: &Path, path: &Path) -> String {
    let folder = path.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() {
        return folder.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
    }
    let real = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    real.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn bad_folder(written: &str, why: &str, path: &Path) -> Error {
    Error::new(ErrorKind::ImageTree, format!("no image can have the name of the folder `{written}`: {why}"))
        .with_hint("rename the folder: use letters, digits, `-`, `_` and `.`, and begin each part with a letter")
        .at(find::start_of(path))
}

/// Where an image of this name is kept, or why it cannot have that name.
fn repository(description: &Description, name: &str) -> Result<ImageReference, String> {
    let reason = |error: &Error| match error.message().split_once("`: ") {
        Some((_, reason)) => reason.to_owned(),
        None => error.message().to_owned(),
    };
    let alone = ImageReference::parse(name).map_err(|error| reason(&error))?;
    if alone.with_tag("latest").is_ok_and(|plain| plain != alone) {
        return Err("it would have a tag or a digest".to_owned());
    }
    match &description.prefix {
        Some(prefix) => ImageReference::parse(&format!("{prefix}/{name}")).map_err(|error| reason(&error)),
        None => Ok(alone),
    }
}

/// An image without what only its entry says.
fn image(
    root: &Path,
    description: &Description,
    name: String,
    repository: ImageReference,
    context: PathBuf,
    path: PathBuf,
) -> Result<TreeImage> {
    let head = Dockerfile::parse(&path.display().to_string(), &find::text(root, &path)?)?;
    let args = description.args.iter().filter(|(arg, _)| head.takes_arg(arg));
    let args = args.map(|(arg, value)| (arg.clone(), value.clone())).collect();
    let dockerfile = Some(root.join(&path));
    Ok(TreeImage { path, dockerfile, args, ..TreeImage::new(name, repository, root.join(context), head) })
}

/// An entry of the file.
struct Described<'d> {
    root: &'d Path,
    description: &'d Description,
    name: &'d str,
    entry: &'d Entry,
}

impl Described<'_> {
    fn key(&self, key: &str) -> String {
        format!("images.{}.{key}", self.name)
    }

    /// The text of a key, which is not empty.
    fn text<'t>(&self, text: Option<&'t Text>, key: &str) -> Result<Option<&'t Text>> {
        match text {
            Some(text) if text.value.is_empty() => {
                let hint = "write a value, or remove the key";
                Err(wrong(&format!("`{key}` is empty"), hint, text, &self.key(key)))
            }
            text => Ok(text),
        }
    }

    /// Context and Dockerfile from the root. There are several only if a folder has two Dockerfiles.
    fn sources(&self, found: &[Found]) -> Result<Vec<(PathBuf, PathBuf)>> {
        let own: Vec<&Found> = found.iter().filter(|found| found.written.to_lowercase() == self.name).collect();
        let folder = |found: &Found| found.path.parent().unwrap_or(Path::new("")).to_owned();
        let context = self.text(self.entry.context.as_ref(), "context")?;
        let dockerfile = self.text(self.entry.dockerfile.as_ref(), "dockerfile")?;
        if context.is_none() && dockerfile.is_none() {
            if own.is_empty() {
                return Err(self.unmatched(found));
            }
            return Ok(own.into_iter().map(|found| (folder(found), found.path.clone())).collect());
        }
        let base = match (context, own.first()) {
            (Some(context), _) => clean(Path::new(&context.value)),
            (None, Some(found)) => folder(found),
            (None, None) if self.root.join(self.name).is_dir() => PathBuf::from(self.name),
            (None, None) => PathBuf::new(),
        };
        if let Some(context) = context.filter(|_| !self.root.join(&base).is_dir()) {
            let message = format!("there is no folder `{}`", context.value);
            return Err(wrong(&message, "name a folder, from that of this file", context, &self.key("context")));
        }
        let path = match (dockerfile, context) {
            (Some(dockerfile), _) => {
                let path = clean(&base.join(&dockerfile.value));
                if !self.root.join(&path).is_file() {
                    let message = format!("there is no file `{}`", path.display());
                    let hint = "name a Dockerfile, from the image's context";
                    return Err(wrong(&message, hint, dockerfile, &self.key("dockerfile")));
                }
                path
            }
            (None, context) => {
                let paths = find::FILE_NAMES.map(|name| base.join(name));
                match (paths.into_iter().find(|path| self.root.join(path).is_file()), context) {
                    (Some(path), _) => path,
                    (None, at) => {
                        let message = format!("there is no Dockerfile in `{}`", base.display());
                        let error = Error::new(ErrorKind::ImageTree, message.as_str());
                        let hint = "name it by `dockerfile`, from the context";
                        return Err(match at {
                            Some(context) => wrong(&message, hint, context, &self.key("context")),
                            None => error.with_hint(hint).at(self.description.place_of(self.name)),
                        });
                    }
                }
            }
        };
        Ok(vec![(base, path)])
    }

    fn unmatched(&self, found: &[Found]) -> Error {
        let names: Vec<String> = found.iter().map(|found| found.written.to_lowercase()).collect();
        let hint = match nearest(self.name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name its folder by `context`, or remove it".to_owned(),
        };
        let message = match self.name {
            "" => "an image has an empty name".to_owned(),
            name => format!("no folder with a Dockerfile has the name `{name}`, and no `context` is given"),
        };
        Error::new(ErrorKind::ImageTree, message).with_hint(hint).at(self.description.place_of(self.name))
    }

    fn image(&self, context: PathBuf, path: PathBuf) -> Result<TreeImage> {
        // The name of the image has to be valid even if it is kept under another.
        let own = repository(self.description, self.name).map_err(|why| {
            let message = format!("no image can have the name `{}`: {why}", self.name);
            Error::new(ErrorKind::ImageTree, message)
                .with_hint("use small letters, digits, `-`, `_` and `.`, and begin each part with a letter")
                .at(self.description.place_of(self.name))
        })?;
        let kept = match self.text(self.entry.name.as_ref(), "name")? {
            None => own,
            Some(name) => repository(self.description, &name.value).map_err(|why| {
                let hint = "write a path such as `team/java`, without a tag";
                wrong(&format!("`{}` is no name in a registry: {why}", name.value), hint, name, &self.key("name"))
            })?,
        };
        let mut image = image(self.root, self.description, self.name.to_owned(), kept, context, path)?;
        image.target = self.text(self.entry.target.as_ref(), "target")?.map(|target| target.value.clone());
        image.platform = self.entry.platform.as_ref().map(|platform| self.platform(platform)).transpose()?;
        image.args.extend(self.entry.args.clone());
        image.labels.clone_from(&self.entry.labels);
        image.ssh = self.entry.ssh;
        let secrets = self.entry.secrets.iter().map(|(id, secret)| self.secret(id, secret));
        image.secrets = secrets.collect::<Result<_>>()?;
        Ok(image)
    }

    fn platform(&self, platform: &Text) -> Result<String> {
        let is_part = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        let parts = platform.value.split('/');
        if matches!(parts.clone().count(), 2 | 3) && parts.clone().all(is_part) {
            return Ok(platform.value.clone());
        }
        let message = format!("`{}` is no platform", platform.value);
        Err(wrong(&message, "write `os/architecture`, such as `linux/arm64`", platform, &self.key("platform")))
    }

    fn secret(&self, id: &str, secret: &Secret) -> Result<BuildSecret> {
        let key = |last: &str| format!("secrets.{id}.{last}");
        let file = self.text(secret.file.as_ref(), &key("file"))?;
        let variable = self.text(secret.environment.as_ref(), &key("environment"))?;
        let source = match (file, variable) {
            (Some(file), None) => SecretSource::File(self.root.join(clean(Path::new(&file.value)))),
            (None, Some(variable)) => SecretSource::Variable(variable.value.clone()),
            (file, _) => {
                let message = match file {
                    Some(_) => format!("secret `{id}` has both a file and a variable"),
                    None => format!("secret `{id}` has neither a file nor a variable"),
                };
                return Err(Error::new(ErrorKind::ImageTree, message)
                    .with_hint("write either `file: path` or `environment: VARIABLE`")
                    .at(self.description.place_of_secret(self.name, id)));
            }
        };
        Ok(BuildSecret { id: id.to_owned(), source })
    }
}
