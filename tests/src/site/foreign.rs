//! Containers that somebody else made.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
};

use crate::docker::fixture;

/// A container that is none of Haddock's business. Dropped, it is removed.
#[derive(Debug)]
pub struct Foreign {
    id: String,
}

impl Foreign {
    /// Starts one of this name with these labels.
    ///
    /// # Panics
    /// If the engine refuses.
    pub async fn start(docker: &Docker, name: &str, labels: &[(&str, &str)]) -> Self {
        let image = fixture(&["serve"]).await;
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let labels: HashMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let body = ContainerCreateBody { image: Some(image.to_string()), labels: Some(labels), ..Default::default() };
        let created = docker.create_container(Some(options), body).await.expect("created");
        let foreign = Self { id: created.id };
        docker.start_container(&foreign.id, None::<StartContainerOptions>).await.expect("started");
        foreign
    }

    /// All that would be another if somebody had touched it; `None` if it is gone.
    ///
    /// # Panics
    /// If the engine does not answer.
    pub async fn look(&self, docker: &Docker) -> Option<String> {
        match docker.inspect_container(&self.id, None::<InspectContainerOptions>).await {
            Ok(found) => Some(format!("{:?} {:?} {:?}", found.id, found.name, found.state)),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => None,
            Err(error) => panic!("the engine does not answer: {error}"),
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let remove = async {
            let docker = Docker::connect_with_defaults()?;
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            match docker.remove_container(&self.id, Some(options)).await {
                Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
                other => other,
            }
        };
        super::cleanup::block_on(&format!("container `{}`", self.id), remove);
    }
}
