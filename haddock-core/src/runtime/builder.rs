//! The port to what builds, tags, pushes and pulls images.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::image::{BuildSecret, ImageReference};
use crate::time::Timestamp;

/// What a builder can do beyond what every builder must, and what it builds for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuilderCapabilities {
    /// The platform of the host, as `os/architecture`: that of images whose request names none.
    pub platform: String,
    /// Understands what came with BuildKit: `RUN --mount` with secrets, keys, caches and files of images; heredocs.
    /// Without it, a build that needs one of these is refused.
    pub buildkit: bool,
}

/// An image on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostImage {
    /// The id, which means the same image for ever.
    pub id: String,
    /// All its names with tags.
    pub tags: Vec<ImageReference>,
    /// Its digests in registries, each with its repository. An image that was never pushed or pulled has none.
    pub digests: Vec<ImageReference>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was built. Engines that list images tell only the second.
    pub created: Option<Timestamp>,
    /// When it last got a name on this host. [`ImageBuilder::find_image`] alone tells it, if the host knows.
    pub named: Option<Timestamp>,
    /// What it takes on disk, in bytes. Layers that other images share are counted, too.
    pub size: u64,
}

/// What became of an image that was to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageRemoval {
    /// The host has it no more.
    Removed,
    /// The host still has it. It may have lost some of its names.
    Stays {
        /// What needs it, as the host says it.
        because: String,
    },
}

/// The context of a build as a tar archive, in pieces. A failed piece ends the build.
pub type ContextArchive = BoxStream<'static, Result<Vec<u8>>>;

/// The context of a build.
pub struct BuildContext {
    /// All of it, with the Dockerfile, and with a `.dockerignore` that leaves out what must not get into the image.
    pub archive: ContextArchive,
    /// If the archive has files that the builder needs and that must not get into the image: the context without them.
    /// A builder that heeds no `.dockerignore` in an archive takes this in its place.
    pub apart: Option<ApartContext>,
}

impl From<ContextArchive> for BuildContext {
    fn from(archive: ContextArchive) -> Self {
        Self { archive, apart: None }
    }
}

impl fmt::Debug for BuildContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildContext").field("apart", &self.apart).finish_non_exhaustive()
    }
}

/// A context whose Dockerfile is not in it.
#[derive(Debug, Clone)]
pub struct ApartContext {
    /// The text of the Dockerfile.
    pub dockerfile: Vec<u8>,
    /// The files.
    pub files: Arc<dyn ContextFiles>,
}

/// The files of a context, one by one.
pub trait ContextFiles: Send + Sync + fmt::Debug + 'static {
    /// All, each folder before what is in it, and what is in `a` before `a-b`.
    fn list(&self) -> Vec<ContextFile>;

    /// Reads a file by its place in the list, piece by piece, until `to` returns false. It blocks.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if it cannot be read; [`ImageTree`](crate::ErrorKind::ImageTree) if it has changed since
    /// it was listed.
    fn read(&self, index: usize, to: &mut dyn FnMut(Vec<u8>) -> bool) -> Result<()>;
}

/// A file of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFile {
    /// The path from the root of the context.
    pub path: PathBuf,
    /// The permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// When the content last changed, in seconds since the epoch.
    pub mtime: u64,
    /// What it is.
    pub kind: ContextFileKind,
}

/// What a file of a context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextFileKind {
    /// A folder.
    Folder,
    /// A FIFO.
    Fifo,
    /// A symbolic link to this target.
    Link(PathBuf),
    /// A file of this size in bytes.
    File {
        /// In bytes.
        size: u64,
    },
}

/// One build of one image.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct BuildRequest {
    /// The path of the Dockerfile in the context's archive.
    pub dockerfile: String,
    /// The stage that becomes the image; the last one if there is none.
    pub target: Option<String>,
    /// The values of `ARG` in the Dockerfile. No error text holds one.
    pub args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// The names that the image gets when it is built.
    pub tags: Vec<ImageReference>,
    /// `os/architecture[/variant]`; that of the host if there is none.
    pub platform: Option<String>,
    /// Files that steps may read.
    pub secrets: Vec<BuildSecret>,
    /// Whether steps may use the keys of this user's agent.
    pub ssh: bool,
    /// Lines of `/etc/hosts` in the steps, as `name:address`.
    pub extra_hosts: Vec<String>,
    /// The network of the steps; the builder's default if there is none.
    pub network: Option<String>,
    /// Whether the results of earlier builds are not used.
    pub no_cache: bool,
    /// The registries that the build gets images from, such as `docker.io` or `registry.local:5000`. The builder gets
    /// the stored credentials of these and of no other, so no credential helper is asked without need.
    pub registries: Vec<String>,
}

/// Without the values of arguments, which may be secret.
impl fmt::Debug for BuildRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildRequest")
            .field("dockerfile", &self.dockerfile)
            .field("target", &self.target)
            .field("args", &self.args.keys())
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}

/// What a builder or a registry says while it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum BuildOutput {
    /// A step begins, such as `RUN make`.
    Step {
        /// Its instruction.
        text: String,
        /// Which it is, from 1.
        number: u32,
        /// How many there are.
        of: u32,
    },
    /// A line that a step prints.
    Line {
        /// The line, without its end.
        text: String,
    },
    /// Layers move from or to a registry.
    Transfer {
        /// The bytes that have moved.
        done: u64,
        /// The known size in bytes; it may grow.
        total: u64,
    },
}

/// A receiver of what a builder says. It must not block, because the work waits for it.
pub type OnOutput<'a> = &'a (dyn Fn(BuildOutput) + Send + Sync);

/// A builder of images, on one host.
///
/// # Contract
///
/// - Every call may be made twice, with the same effect as once. Calls for different images may run at the same time.
/// - A call whose future is dropped stops as soon as the builder notices, and leaves no image and no container behind.
/// - A builder that does not answer: the error is [`RuntimeUnavailable`](crate::ErrorKind::RuntimeUnavailable).
/// - No error, output or label holds a credential, the value of an argument, or a secret.
#[async_trait]
pub trait ImageBuilder: Send + Sync + fmt::Display + fmt::Debug + 'static {
    /// What this builder can do.
    async fn builder_capabilities(&self) -> Result<BuilderCapabilities>;

    /// The image of this name on the host; `None` if there is none. No registry is asked.
    async fn find_image(&self, image: &ImageReference) -> Result<Option<HostImage>>;

    /// The images on the host that have this label.
    async fn images_with_label(&self, label: &str) -> Result<Vec<HostImage>>;

    /// The images that containers on the host were made of, whether they run or not, by id.
    async fn images_in_use(&self) -> Result<Vec<String>>;

    /// Builds an image and returns its id.
    ///
    /// # Errors
    /// [`BuildFailed`](crate::ErrorKind::BuildFailed) with the step that failed and the last lines that it printed;
    /// [`ImageMissing`](crate::ErrorKind::ImageMissing) and the other errors of a pull if a base cannot be had;
    /// [`NotSupported`](crate::ErrorKind::NotSupported) for what needs a capability that this builder does not have.
    async fn build_image(&self, request: &BuildRequest, context: BuildContext, output: OnOutput<'_>) -> Result<String>;

    /// Gives an image on the host one more name. If another image has that name, it loses it.
    ///
    /// # Errors
    /// [`ImageMissing`](crate::ErrorKind::ImageMissing).
    async fn tag_image(&self, id: &str, name: &ImageReference) -> Result<()>;

    /// Gives an image to its registry, and returns the digest that it has there. A transfer that was interrupted is
    /// completed by the next push.
    ///
    /// # Errors
    /// [`ImageMissing`](crate::ErrorKind::ImageMissing) if the host has none of that name;
    /// [`RegistryRefused`](crate::ErrorKind::RegistryRefused);
    /// [`RegistryUnavailable`](crate::ErrorKind::RegistryUnavailable).
    async fn push_image(&self, image: &ImageReference, output: OnOutput<'_>) -> Result<String>;

    /// Gets an image from its registry.
    ///
    /// # Errors
    /// As [`ContainerRuntime::pull`](super::ContainerRuntime::pull).
    async fn pull_image(&self, image: &ImageReference, output: OnOutput<'_>) -> Result<HostImage>;

    /// The digest that the registry has for this name; `None` if it has none. Nothing is transferred.
    ///
    /// # Errors
    /// [`RegistryRefused`](crate::ErrorKind::RegistryRefused);
    /// [`RegistryUnavailable`](crate::ErrorKind::RegistryUnavailable).
    async fn registry_digest(&self, image: &ImageReference) -> Result<Option<String>>;

    /// Takes a name away. An image without any name left is removed, unless another image needs it. The last name of an
    /// image that a container needs may stay until nothing needs the image. A name that does not exist is no error.
    async fn untag_image(&self, image: &ImageReference) -> Result<()>;

    /// Takes all names of an image away and removes it, by its id. It stays if a container or another image needs it:
    /// nothing is forced. An id that does not exist counts as removed.
    async fn remove_image(&self, id: &str) -> Result<ImageRemoval>;
}
