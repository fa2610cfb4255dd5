//! The images of an environment's components: `build` of a compose file, as a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Images;
use crate::environment::{Build, Component, EnvironmentSpec, FileSource, FileUse};
use crate::error::{Error, ErrorKind, Result};
use crate::image::dockerfile::{Dockerfile, ImageUse};
use crate::image::tree::{ImageTree, Need, NeededImage, TreeImage};
use crate::image::{BuildSecret, ImageReference, SecretSource};
use crate::name::ComponentName;
use crate::runtime::ImageBuilder;

/// The tag of images that have none of their own. Each component's image has one.
const NO_TAG: &str = "latest";
/// What makes an image of a folder, so that another build can copy from it.
const ALL_OF_A_FOLDER: &str = "FROM scratch\nCOPY . /\n";

impl Images {
    /// The images that components of an environment are built from, each under the name and tag of its component.
    ///
    /// One needs another if its Dockerfile names the other's image, or a name under `additional_contexts` that means it. A
    /// folder under `additional_contexts` becomes an image of its own.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// use haddock_core::build::{BuildOptions, Images};
    /// use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
    /// # use haddock_core::runtime::docker::DockerRuntime;
    ///
    /// # async fn example() -> haddock_core::Result<()> {
    /// # let engine = Arc::new(DockerRuntime::connect(None).await?);
    /// let spec = ComposeFile::read("compose.yaml".as_ref())?.resolve(&ResolveOptions::default())?.spec;
    /// let images = Images::of_components(&spec, engine)?;
    /// images.build(&BuildOptions::default(), &|event| println!("{event:?}")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ImageTree`](ErrorKind::ImageTree) if a Dockerfile cannot be read, or if two components build different images of
    /// one name; [`NotSupported`](ErrorKind::NotSupported), with the component and the key, for what no builder here does.
    pub fn of_components(spec: &EnvironmentSpec, builder: Arc<dyn ImageBuilder>) -> Result<Self> {
        Self::of(component_tree(spec)?, builder, NO_TAG)
    }
}

/// A component with `build`.
struct Built<'s> {
    name: &'s ComponentName,
    component: &'s Component,
    build: &'s Build,
}

/// What a name under `additional_contexts` means.
enum Named {
    Image(ImageReference),
    Component(String),
    Folder(PathBuf),
}

/// The images that components of an environment are built from, as a tree; see [`Images::of_components`].
///
/// # Errors
/// As there.
pub fn component_tree(spec: &EnvironmentSpec) -> Result<ImageTree> {
    let mut built: Vec<Built<'_>> = Vec::new();
    for (name, component) in &spec.components {
        let Some(build) = &component.build else { continue };
        match built.iter().find(|other| other.component.image == component.image) {
            // One build is enough, and the other component uses its image.
            Some(other) if other.build == build && other.platform() == platform(component, build) => {}
            Some(other) => {
                let message = format!(
                    "components `{}` and `{name}` build different images of the name `{}`",
                    other.name, component.image
                );
                return Err(Error::new(ErrorKind::ImageTree, message).with_hint("give one of them another `image`"));
            }
            None => built.push(Built { name, component, build }),
        }
    }
    let by_reference: BTreeMap<&ImageReference, &ComponentName> =
        built.iter().map(|it| (&it.component.image, it.name)).collect();
    // Of several components with one image, only the first is in the tree.
    let name_of = |component: &str| {
        let image = spec.components.iter().find(|(name, _)| name.as_str() == component).map(|(_, it)| &it.image);
        image.and_then(|image| by_reference.get(image)).map(ToString::to_string)
    };
    let meant_by = |reference: ImageReference, own: &ComponentName| match by_reference.get(&reference) {
        Some(of) if *of != own => NeededImage::Tree(of.to_string()),
        _ => NeededImage::Outside(reference),
    };
    let mut images = Vec::new();
    for it in &built {
        let mut image = it.image(spec)?;
        let contexts = it.contexts(&image)?;
        let args = image.values_of_args();
        let means = |used: ImageUse| -> Result<Need> {
            let written = ImageReference::parse(&used.image)?;
            let named = contexts.iter().find(|(name, _)| ImageReference::parse(name).is_ok_and(|it| it == written));
            let image = match named {
                Some((_, Named::Image(image))) => meant_by(image.clone(), it.name),
                Some((name, Named::Component(of))) => NeededImage::Tree(name_of(of).ok_or_else(|| {
                    let hint = "bring it up as well: name it by `--only`, or activate its profile";
                    it.wrong(&format!("additional_contexts.{name}"), &format!("component `{of}` is left out"))
                        .with_hint(hint)
                })?),
                Some((name, Named::Folder(_))) => NeededImage::Tree(it.name_of_folder(name)),
                None => meant_by(written, it.name),
            };
            Ok(Need { image, used })
        };
        let target = image.target.as_deref();
        image.base = image.head.base(&args, target)?.map(|used| used.image);
        image.needs = image.head.uses(&args, target)?.into_iter().map(means).collect::<Result<_>>()?;
        let used: BTreeSet<&str> = image.tree_needs().map(|(name, _)| name).collect();
        for (name, context) in &contexts {
            if let Named::Folder(folder) = context
                && used.contains(it.name_of_folder(name).as_str())
            {
                images.push(it.image_of_folder(name, folder)?);
            }
        }
        images.push(image);
    }
    ImageTree::of(images)
}

fn platform<'c>(component: &'c Component, build: &'c Build) -> Option<&'c String> {
    let only = build.platforms.first().filter(|_| build.platforms.len() == 1);
    component.options.platform.as_ref().or(only)
}

impl Built<'_> {
    fn platform(&self) -> Option<&String> {
        platform(self.component, self.build)
    }

    fn wrong(&self, key: &str, why: &str) -> Error {
        Error::new(ErrorKind::ImageTree, format!("`build.{key}` of component `{}`: {why}", self.name))
    }

    fn not_supported(&self, key: &str, what: &str, hint: &str) -> Error {
        let message = format!("`build.{key}` of component `{}`: {what} is not supported", self.name);
        Error::new(ErrorKind::NotSupported, message).with_hint(hint)
    }

    /// The image, without what it needs.
    fn image(&self, spec: &EnvironmentSpec) -> Result<TreeImage> {
        let (build, reference) = (self.build, &self.component.image);
        self.refuse_the_rest()?;
        let tag = match (reference.tag(), reference.digest()) {
            (Some(tag), None) => tag,
            _ => {
                let why = format!("an image cannot be built for the digest in `{reference}`");
                return Err(self.wrong("context", &why).with_hint("remove the digest, or `build`"));
            }
        };
        let context = self.folder("context", build.context.as_deref().unwrap_or_default())?;
        let (dockerfile, path, text) = match &build.dockerfile_inline {
            Some(text) => (None, PathBuf::from(format!("{}: dockerfile_inline", self.name)), text.clone()),
            None => {
                let path = context.join(build.dockerfile.as_deref().unwrap_or("Dockerfile"));
                let text = self.text(&path)?;
                (Some(path.clone()), path, text)
            }
        };
        let head = Dockerfile::parse(&path.display().to_string(), &text)?;
        Ok(TreeImage {
            path,
            dockerfile,
            tag: Some(tag.to_owned()),
            more_names: build.tags.iter().map(|name| ImageReference::parse(name)).collect::<Result<_>>()?,
            target: build.target.clone(),
            args: build.args.clone(),
            secrets: build.secrets.iter().map(|secret| self.secret(spec, secret)).collect::<Result<_>>()?,
            ssh: !build.ssh.is_empty(),
            platform: self.platform().cloned(),
            extra_hosts: build.extra_hosts.iter().map(|line| line.replacen('=', ":", 1)).collect(),
            network: build.network.clone(),
            labels: build.labels.clone(),
            pull: build.pull,
            no_cache: build.no_cache || !build.no_cache_filter.is_empty(),
            ..TreeImage::new(self.name.to_string(), reference.with_tag("latest")?, context, head)
        })
    }

    /// Refuses keys that would change the image, and that are not handed on. Those that do not change it, such as
    /// `cache_from`, have no effect.
    fn refuse_the_rest(&self) -> Result<()> {
        let Build { entitlements, isolation, privileged, shm_size, ssh, ulimits, .. } = self.build;
        let hint = "remove it, or build this image with another tool before";
        let refused = [
            ("entitlements", !entitlements.is_empty()),
            ("isolation", isolation.is_some()),
            ("privileged", *privileged),
            ("shm_size", shm_size.is_some()),
            ("ulimits", !ulimits.is_empty()),
        ];
        if let Some((key, _)) = refused.into_iter().find(|(_, is_given)| *is_given) {
            return Err(self.not_supported(key, "it", hint));
        }
        match ssh.iter().find(|key| *key != "default") {
            Some(key) => {
                Err(self.not_supported("ssh", &format!("the key `{key}`"), "add it to your agent, and write `default`"))
            }
            None => Ok(()),
        }
    }

    /// A context that is a folder.
    fn folder(&self, key: &str, context: &str) -> Result<PathBuf> {
        let folder = Path::new(context);
        if folder.is_dir() && folder.is_absolute() {
            return Ok(folder.to_owned());
        }
        if folder.is_absolute() {
            let why = format!("there is no folder `{context}`");
            return Err(self.wrong(key, &why).with_hint("name a folder, from that of the compose file"));
        }
        Err(self.not_supported(key, &format!("`{context}`, which is no folder,"), "check it out, and name the folder"))
    }

    fn text(&self, path: &Path) -> Result<String> {
        std::fs::read_to_string(path).map_err(|error| {
            let why = format!("`{}` cannot be read: {error}", path.display());
            self.wrong("dockerfile", &why).with_hint("name a Dockerfile, from the folder in `context`")
        })
    }

    fn secret(&self, spec: &EnvironmentSpec, used: &FileUse) -> Result<BuildSecret> {
        let declared = spec.secrets.get(&used.source);
        let source = match declared.map(|file| (&file.source, &file.content)) {
            Some((FileSource::File(path), _)) => SecretSource::File(path.into()),
            Some((_, Some(content))) => SecretSource::Value(content.clone()),
            Some((FileSource::Environment(variable), None)) => SecretSource::Variable(variable.clone()),
            _ => {
                let why = format!("secret `{}` has no source", used.source);
                return Err(self.wrong("secrets", &why).with_hint("set its `file` or its `environment`"));
            }
        };
        Ok(BuildSecret { id: used.target.as_ref().unwrap_or(&used.source).clone(), source })
    }

    /// The names under `additional_contexts`, and what they mean.
    fn contexts(&self, image: &TreeImage) -> Result<Vec<(String, Named)>> {
        let mut contexts = Vec::new();
        for (name, context) in &self.build.additional_contexts {
            let key = format!("additional_contexts.{name}");
            if image.head.has_stage(name) {
                let what = format!("the name `{name}`, which is also a stage of the Dockerfile,");
                return Err(self.not_supported(&key, &what, "rename one of them"));
            }
            let named = if let Some(component) = context.strip_prefix("service:") {
                Named::Component(component.to_owned())
            } else if let Some(image) = context.strip_prefix("docker-image://") {
                Named::Image(ImageReference::parse(image)?)
            } else {
                Named::Folder(self.folder(&key, context)?)
            };
            contexts.push((name.clone(), named));
        }
        Ok(contexts)
    }

    /// The name in the tree of a folder under `additional_contexts`.
    fn name_of_folder(&self, name: &str) -> String {
        format!("{}:{name}", self.name)
    }

    fn image_of_folder(&self, name: &str, folder: &Path) -> Result<TreeImage> {
        let head = Dockerfile::parse(name, ALL_OF_A_FOLDER)?;
        let repository = self.component.image.with_tag("latest")?;
        let image = TreeImage::new(self.name_of_folder(name), repository, folder.to_owned(), head);
        Ok(TreeImage { path: folder.to_owned(), is_part: true, ..image })
    }
}
