//! The images of a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use haddock_core::build::{
    BuildEvent, BuildOptions, Images as CoreImages, PruneImages, PruneRegistry, TreeImageState, component_tree,
};
use haddock_core::environment::Origin;
use haddock_core::environment::compose::Purpose;
use haddock_core::image::tree::ImageTree;
use haddock_core::image::{Revision, TagTemplate};
use haddock_core::runtime::docker::{DockerRegistries, DockerRuntime, DockerRuntimeBuilder};
use haddock_core::{ComponentName, Error, ErrorKind, Result, vcs};
use pyo3::prelude::*;
use serde_json::json;

use crate::call::Call;
use crate::compose::{self, Options};
use crate::convert::to_python;
use crate::driver::Driver;
use crate::home::Home;
use crate::progress::{Progress, Sender, Told};

/// The tag that stands for that of the commit.
const AUTO: &str = "auto";
/// The tag of a tree that is in no repository.
const NO_REVISION: &str = "latest";

/// The arguments of a build.
#[derive(FromPyObject, Clone)]
#[pyo3(from_item_all)]
pub(crate) struct How {
    images: Vec<String>,
    push: bool,
    changed: bool,
    pull: bool,
    no_cache: bool,
    allow_dirty: bool,
}

impl From<How> for BuildOptions {
    fn from(how: How) -> Self {
        let How { images, push, changed, pull, no_cache, allow_dirty } = how;
        Self { images, push, changed, pull, no_cache, allow_dirty }
    }
}

/// The images of a tree, at one tag.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Images {
    inner: Home<Arc<Inner>>,
    /// The listener for the next call's events.
    told: Told,
}

struct Inner {
    tree: ImageTree,
    tag: String,
    revision: Option<Revision>,
    /// The tree can be looked at without an engine.
    images: Result<CoreImages>,
    /// The registries that its engine pushes to.
    registries: Option<DockerRegistries>,
}

impl Inner {
    fn images(&self) -> Result<&CoreImages> {
        self.images.as_ref().map_err(Clone::clone)
    }

    async fn states(&self) -> Result<Vec<TreeImageState>> {
        match &self.images {
            Ok(images) => images.states().await,
            Err(_) => TreeImageState::without_builder(&self.tree, &self.tag),
        }
    }
}

/// An engine, by host or context.
fn engine(host: Option<String>, context: Option<String>) -> DockerRuntimeBuilder {
    let builder = host.into_iter().fold(DockerRuntime::builder(), DockerRuntimeBuilder::host);
    context.into_iter().fold(builder, DockerRuntimeBuilder::context)
}

/// Reads a tree and connects to an engine. Without a tag, or with `auto`, the tag is that of the commit.
#[pyfunction]
#[pyo3(signature = (folder, tag, args, host, context, memory))]
pub(crate) fn images(
    folder: PathBuf,
    tag: Option<String>,
    args: BTreeMap<String, String>,
    host: Option<String>,
    context: Option<String>,
    memory: Option<PathBuf>,
) -> Call {
    let read = move || {
        let tree = ImageTree::read_with(&folder, &args)?;
        let tag = tag.filter(|tag| tag != AUTO);
        // With a tag, a repository that cannot be read is no reason to stop.
        let revision = revision_of(&folder);
        let revision = if tag.is_some() { revision.unwrap_or_default() } else { revision? };
        let tag = match tag {
            Some(tag) => tag,
            None => revision.as_ref().map_or(Ok(NO_REVISION.to_owned()), |revision| tree.tags().tag(revision))?,
        };
        Ok(Described { tree, tag, revision })
    };
    made(read, host, context, memory)
}

/// Reads what the components of a compose file are built from, each under its own name and tag, and connects to an engine.
#[pyfunction]
#[pyo3(signature = (files, options, release, only, host, context, memory))]
pub(crate) fn component_images(
    files: Option<Vec<PathBuf>>,
    mut options: Options,
    release: bool,
    only: Vec<String>,
    host: Option<String>,
    context: Option<String>,
    memory: Option<PathBuf>,
) -> Call {
    let read = move || {
        let purpose = if release { Purpose::Release } else { Purpose::Environment };
        let folder_of = |origin: Option<Origin>| origin.map_or_else(|| PathBuf::from("."), |origin| origin.folder);
        if options.tag.as_deref() == Some(AUTO) {
            // The file may need the tag before it can be read.
            let revision = revision_of(&folder_of(compose::name(files.as_deref(), &options)?.1))?;
            let tag = revision.map_or(Ok(NO_REVISION.to_owned()), |revision| TagTemplate::default().tag(&revision))?;
            options.tag = Some(tag);
        }
        let mut found = compose::resolve_as(files.as_deref(), &options, purpose, None, &only)?;
        // What is named by hand is taken as it is.
        let named = |name: &ComponentName| options.images.contains_key(name.as_str());
        let given = found.resolved.spec.components.iter_mut().filter(|(name, _)| named(name));
        given.for_each(|(_, component)| component.build = None);
        let revision = revision_of(&folder_of(found.origin)).unwrap_or_default();
        let tree = component_tree(&found.resolved.spec)?;
        Ok(Described { tree, tag: NO_REVISION.to_owned(), revision })
    };
    made(read, host, context, memory)
}

/// Images, before an engine is asked.
struct Described {
    tree: ImageTree,
    tag: String,
    revision: Option<Revision>,
}

fn revision_of(folder: &Path) -> Result<Option<Revision>> {
    vcs::revision_in(folder, &|name| std::env::var(name).ok())
}

fn made(
    read: impl FnOnce() -> Result<Described> + Send + 'static,
    host: Option<String>,
    context: Option<String>,
    memory: Option<PathBuf>,
) -> Call {
    let work = async move {
        let connected = engine(host, context).connect().await;
        let Described { tree, tag, revision } = tokio::task::spawn_blocking(read)
            .await
            .map_err(|panic| Error::new(ErrorKind::Panicked, format!("reading the tree panicked: {panic}")))??;
        let registries = connected.as_ref().ok().map(DockerRuntime::registries);
        let images = match connected {
            Ok(engine) => {
                let images = CoreImages::of(tree.clone(), Arc::new(engine), &tag)?;
                let images = revision.clone().into_iter().fold(images, CoreImages::revision);
                Ok(memory.into_iter().fold(images, CoreImages::memory))
            }
            Err(error) if error.kind() == ErrorKind::RuntimeUnavailable => Err(error),
            Err(error) => return Err(error),
        };
        Ok(Inner { tree, tag, revision, images, registries })
    };
    Driver::Real.call(work, |py, inner| {
        Ok(Py::new(py, Images { inner: Home::new(Arc::new(inner)), told: Told::default() })?.into_any())
    })
}

/// Passes an event on, if somebody listens.
fn teller(sender: Option<Arc<Sender>>) -> impl Fn(BuildEvent) + Send + Sync {
    move |event| {
        if let Some(sender) = &sender {
            sender.send(&event);
        }
    }
}

impl Images {
    fn inner(&self) -> PyResult<Arc<Inner>> {
        self.inner.get().map(Arc::clone)
    }

    fn listener(&self) -> Option<Arc<Sender>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl Images {
    /// Sets the listener for the next call's events.
    fn tell(&self, progress: &Progress) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = progress.sender();
    }

    /// The tag, the commit, and whether the tree differs from it.
    #[pyo3(signature = () -> "typing.Any")]
    fn facts(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let inner = self.inner()?;
        let revision = inner.revision.as_ref();
        let facts = json!({
            "tag": inner.tag,
            "commit": revision.map(|it| &it.commit),
            "dirty": revision.is_some_and(|it| it.dirty),
            "root": inner.tree.root(),
        });
        to_python(py, &facts)
    }

    /// The images, and what the engine has of them.
    fn states(&self) -> PyResult<Call> {
        let inner = self.inner()?;
        let work = async move { inner.states().await };
        Ok(Driver::Real.call(work, |py, states| to_python(py, &states)))
    }

    /// The images as a picture, in SVG.
    fn svg(&self) -> PyResult<Call> {
        let inner = self.inner()?;
        let work = async move {
            let states = inner.states().await?;
            Ok(TreeImageState::picture(&states, &format!("The images of the tree at the tag `{}`", inner.tag)))
        };
        Ok(Driver::Real.call(work, |py, svg| to_python(py, &svg)))
    }

    /// What a build would do.
    fn plan(&self, how: How) -> PyResult<Call> {
        let inner = self.inner()?;
        let work = async move { inner.images()?.plan(&how.into()).await };
        Ok(Driver::Real.call(work, |py, plan| to_python(py, &plan.images)))
    }

    /// Builds.
    fn build(&self, how: How) -> PyResult<Call> {
        let (inner, tell) = (self.inner()?, teller(self.listener()));
        let work = async move { inner.images()?.build(&how.into(), &tell).await };
        Ok(Driver::Real.call(work, |py, built| to_python(py, &built)))
    }

    /// Pushes what is there.
    fn push(&self, names: Vec<String>, allow_dirty: bool) -> PyResult<Call> {
        let (inner, tell) = (self.inner()?, teller(self.listener()));
        let work = async move { inner.images()?.push(&names, allow_dirty, &tell).await };
        Ok(Driver::Real.call(work, |py, pushed| to_python(py, &pushed)))
    }

    /// Deletes old images from the registries.
    fn prune_registry(&self, keep: usize, also: BTreeSet<String>, dry_run: bool) -> PyResult<Call> {
        let inner = self.inner()?;
        let work = async move {
            let images = inner.images()?;
            let registries = inner.registries.as_ref().expect("an engine has registries");
            images.prune_registry(registries, &PruneRegistry { keep, also, dry_run }).await
        };
        Ok(Driver::Real.call(work, |py, pruned| to_python(py, &pruned)))
    }

    /// Pulls what registries have.
    fn pull(&self, names: Vec<String>) -> PyResult<Call> {
        let (inner, tell) = (self.inner()?, teller(self.listener()));
        let work = async move { inner.images()?.pull(&names, &tell).await };
        Ok(Driver::Real.call(work, |py, pulled| to_python(py, &pulled)))
    }
}

/// Removes images that were built on an engine and that nobody needs.
#[pyfunction]
#[pyo3(signature = (host, context, keep, also, dry_run, memory))]
pub(crate) fn prune_images(
    host: Option<String>,
    context: Option<String>,
    keep: usize,
    also: BTreeSet<String>,
    dry_run: bool,
    memory: Option<PathBuf>,
) -> Call {
    let work = async move {
        let builder = engine(host, context).connect().await?;
        PruneImages { keep, also, dry_run, memory }.prune(&builder).await
    };
    Driver::Real.call(work, |py, pruned| to_python(py, &pruned))
}
