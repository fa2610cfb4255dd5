//! Removing what a test made, whatever became of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveImageOptionsBuilder,
};
use haddock_core::JournalId;
use haddock_core::container::label;

/// Dropped, it removes every container and network with the journal's label, and every image of the repositories.
#[derive(Debug)]
pub(super) struct Cleanup {
    journal: JournalId,
    repositories: Mutex<BTreeSet<String>>,
}

impl Cleanup {
    pub(super) fn new(journal: JournalId) -> Self {
        Self { journal, repositories: Mutex::default() }
    }

    /// From now on, images of this repository are ours too.
    pub(super) fn add(&self, repository: &str) {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner).insert(repository.to_owned());
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let repositories = std::mem::take(&mut *self.repositories.lock().unwrap_or_else(PoisonError::into_inner));
        block_on(&format!("what carries journal `{}`", self.journal), clean(&self.journal, repositories));
    }
}

/// Cleans up on a thread of its own: the test's runtime may be ending, and must not be blocked.
pub(super) fn block_on(what: &str, clean: impl Future<Output = Result<(), bollard::errors::Error>> + Send) {
    let cleaned = std::thread::scope(|scope| {
        let clean = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(clean).map_err(|error| error.to_string())
        };
        scope.spawn(clean).join().unwrap_or_else(|_| Err("it panicked".to_owned()))
    });
    if let Err(error) = cleaned {
        eprintln!("not removed from the engine: {what}: {error}");
    }
}

async fn clean(journal: &JournalId, repositories: BTreeSet<String>) -> Result<(), bollard::errors::Error> {
    let docker = Docker::connect_with_defaults()?;
    let ours = HashMap::from([("label", vec![format!("{}={journal}", label::JOURNAL)])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&ours).build();
    for container in docker.list_containers(Some(options)).await? {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        docker.remove_container(&container.id.unwrap_or_default(), Some(options)).await?;
    }
    let options = ListNetworksOptionsBuilder::default().filters(&ours).build();
    for network in docker.list_networks(Some(options)).await? {
        docker.remove_network(&network.id.unwrap_or_default()).await?;
    }
    for repository in repositories {
        let named = HashMap::from([("reference", vec![repository.clone()])]);
        let options = ListImagesOptionsBuilder::default().filters(&named).build();
        for image in docker.list_images(Some(options)).await? {
            for tag in image.repo_tags.iter().filter(|tag| tag.starts_with(&format!("{repository}:"))) {
                let options = RemoveImageOptionsBuilder::default().build();
                docker.remove_image(tag, Some(options), None).await?;
            }
        }
    }
    Ok(())
}
