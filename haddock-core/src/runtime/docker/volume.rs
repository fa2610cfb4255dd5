//! Volumes, and what containers join after they have been made.

use std::collections::HashMap;

use bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::body::endpoint;
use super::error::{answer, is_missing, translate};
use super::{DockerRuntime, label_filter, name_taken};
use crate::container::{Attachment, ContainerId, Selector, Volume, VolumeSpec};
use crate::error::Result;

impl DockerRuntime {
    pub(super) async fn make_volume(&self, spec: &VolumeSpec) -> Result<()> {
        let what = format!("create volume `{}`", spec.name);
        let VolumeSpec { name, identity: _, labels: _, driver, driver_opts } = spec;
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            driver: driver.clone(),
            driver_opts: Some(driver_opts.clone().into_iter().collect()),
            labels: Some(spec.all_labels().into_iter().collect()),
            ..Default::default()
        };
        let _permit = self.client.permit().await;
        // The engine answers with a volume that exists, whatever its labels.
        let answered = self.client.change(&what, self.client.docker.create_volume(request)).await?;
        let existing = answered.map_err(|error| translate(&what, &error))?;
        match spec.identity.is_carried_by(&existing.labels.into_iter().collect()) {
            true => Ok(()),
            false => Err(name_taken("volume", &spec.name)),
        }
    }

    pub(super) async fn list_volumes(&self, selector: &Selector) -> Result<Vec<Volume>> {
        let filters = HashMap::from([("label", label_filter(&selector.0))]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let listed = self.client.read("list volumes", self.client.docker.list_volumes(Some(options))).await?;
        let volumes = listed.volumes.unwrap_or_default().into_iter();
        let volumes = volumes.map(|it| Volume { name: it.name, labels: it.labels.into_iter().collect() });
        // The engine's filter is not relied on: what does not match is not ours to touch.
        Ok(volumes.filter(|volume| selector.matches(&volume.labels)).collect())
    }

    pub(super) async fn drop_volume(&self, name: &str) -> Result<()> {
        let what = format!("remove volume `{name}`");
        let _permit = self.client.permit().await;
        let call = self.client.docker.remove_volume(name, None::<RemoveVolumeOptions>);
        match self.client.change(&what, call).await? {
            Err(error) if !is_missing(&error) => Err(translate(&what, &error)),
            _ => Ok(()),
        }
    }

    pub(super) async fn connect_network(&self, container: &ContainerId, to: &Attachment) -> Result<()> {
        let what = format!("connect container `{container}` to network `{}`", to.network);
        let request = NetworkConnectRequest { container: container.0.clone(), endpoint_config: Some(endpoint(to)) };
        let _permit = self.client.permit().await;
        match self.client.change(&what, self.client.docker.connect_network(&to.network, request)).await? {
            Ok(()) => Ok(()),
            Err(error) => match answer(&error) {
                Some((_, message)) if message.contains("already exists in network") => Ok(()),
                _ => Err(translate(&what, &error)),
            },
        }
    }

    pub(super) async fn disconnect_network(&self, container: &ContainerId, network: &str) -> Result<()> {
        let what = format!("disconnect container `{container}` from network `{network}`");
        let request = NetworkDisconnectRequest { container: container.0.clone(), force: None };
        let _permit = self.client.permit().await;
        match self.client.change(&what, self.client.docker.disconnect_network(network, request)).await? {
            Err(error) if is_missing(&error) => Ok(()),
            Ok(()) => Ok(()),
            Err(error) => match answer(&error) {
                Some((_, message)) if message.contains("is not connected to") => Ok(()),
                _ => Err(translate(&what, &error)),
            },
        }
    }
}
