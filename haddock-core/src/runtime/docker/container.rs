//! Containers: create, start, stop, remove.

use std::pin::pin;
use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use tokio::time::timeout;

use super::body::{body, mac_address_apart};
use super::error::{answer, is_missing, scrubbed, translate, unavailable};
use super::{DockerRuntime, name_taken, needs};
use crate::container::{ContainerId, ContainerSpec, ContainerState, Incarnation, InjectedFile, Sensitive};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::turn::{Elapsed, within};
use crate::time::sleep;

/// How often it is looked whether a container that is being removed has gone.
const REMOVAL_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long a removal that somebody else began may take.
const REMOVAL_LIMIT: Duration = Duration::from_secs(9);
/// How long a creation waits for the former container of its name to go.
const NAME_FREE_LIMIT: Duration = Duration::from_secs(90);
/// How much longer than the grace of a stop its answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(9);
/// How long a stop keeps other changes waiting. One that waits for its grace to pass costs the engine nothing.
const STOP_TURN_LIMIT: Duration = Duration::from_secs(2);

impl DockerRuntime {
    pub(super) async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let created = match within(NAME_FREE_LIMIT, self.create_or_adopt(spec)).await {
            Ok(Ok(id)) => self.complete(&id, spec).await.map(|()| id),
            Ok(Err(error)) => Err(error),
            Err(Elapsed) => {
                let (name, limit) = (&spec.name, NAME_FREE_LIMIT.as_secs());
                let message = format!("cannot create container `{name}`: its name was not free within {limit} s");
                Err(Error::new(ErrorKind::TimedOut, message)
                    .with_hint("is the container that had the name still being removed? try again when it is gone"))
            }
        };
        created.map_err(|error| scrubbed(error, &spec.name, spec.environment.values().map(Sensitive::expose)))
    }

    async fn create_or_adopt(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let name = &spec.name;
        let what = format!("create container `{name}`");
        needs::check_container(&self.engine, spec)?;
        let options = CreateContainerOptionsBuilder::default().name(name);
        let options = spec.options.platform.iter().fold(options, |options, it| options.platform(it)).build();
        let mut body = body(spec, self.reach().await?, &self.engine);
        if let Some(check) = self.start_checks(spec).await? {
            body.healthcheck = Some(check);
        }
        let docker = match mac_address_apart(spec, &self.engine) {
            Some(mac_address) => with_mac_address(&self.client.docker, &body, mac_address),
            None => self.client.docker.clone(),
        };
        loop {
            let answered = {
                let _permit = self.client.permit().await;
                self.client.change(&what, docker.create_container(Some(options.clone()), body.clone())).await?
            };
            let error = match answered {
                Ok(created) => return Ok(ContainerId(created.id)),
                Err(error) => error,
            };
            match answer(&error) {
                Some((404, message)) if message.to_lowercase().contains("no such image") => {
                    return Err(Error::new(ErrorKind::ImageMissing, format!("cannot {what}: {message}"))
                        .with_hint("pull the image first"));
                }
                Some((409, _)) => {}
                // This is podman's text.
                Some((500, message)) if message.contains("name is already in use") => {}
                _ => return Err(translate(&what, &error)),
            }
            if let Some(id) = self.adopt(spec).await? {
                return Ok(id);
            }
            // The name is taken, but there is no such container: it has just gone, or somebody is creating it.
            sleep(REMOVAL_POLL_INTERVAL).await;
        }
    }

    /// Adds what an engine accepts only after the container was made: further networks, and files.
    async fn complete(&self, id: &ContainerId, spec: &ContainerSpec) -> Result<()> {
        for attachment in spec.networks.iter().skip(1) {
            self.connect_network(id, attachment).await?;
        }
        if spec.files.is_empty() {
            return Ok(());
        }
        let what = format!("put files into container `{}`", spec.name);
        let archive = archive(&spec.files).map_err(|error| unavailable(&what, &error.to_string()))?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let _permit = self.client.permit().await;
        let body = bollard::body_full(archive.into());
        let call = self.client.docker.upload_to_container(&id.0, Some(options), body);
        self.client.change(&what, call).await?.map_err(|error| translate(&what, &error))
    }

    /// The container of that name, if it is the wanted one. `None` if it is gone.
    async fn adopt(&self, spec: &ContainerSpec) -> Result<Option<ContainerId>> {
        let Some(existing) = self.inspect_container(&spec.name).await? else { return Ok(None) };
        if existing.name != spec.name || !spec.identity.is_carried_by(&existing.labels) {
            return Err(name_taken("container", &spec.name));
        }
        if existing.state == ContainerState::Removing {
            self.wait_until_gone(&spec.name, &existing.id.0).await?;
            return Ok(None);
        }
        Ok(Some(existing.id))
    }

    pub(super) async fn start_container(&self, container: &ContainerId) -> Result<()> {
        let what = format!("start container `{container}`");
        let Some(existing) = self.inspect_container(&container.0).await? else {
            return Err(missing(&what));
        };
        if existing.state != ContainerState::Created {
            return Ok(());
        }
        self.start_existing(container, &existing.name).await
    }

    /// The engine leaves a running container as it is, so of two calls at once only one starts it.
    pub(super) async fn start_container_again(&self, life: &Incarnation) -> Result<()> {
        let Incarnation { container, .. } = life;
        let Some(existing) = self.inspect_container(&container.0).await? else {
            return Err(missing(&format!("start container `{container}` again")));
        };
        match existing.state {
            ContainerState::Exited { .. } if existing.is_incarnation(life) => {
                self.start_existing(container, &existing.name).await
            }
            _ => Ok(()),
        }
    }

    async fn start_existing(&self, container: &ContainerId, name: &str) -> Result<()> {
        let what = format!("start container `{name}`");
        let _permit = self.client.permit().await;
        let call = self.client.docker.start_container(&container.0, None::<StartContainerOptions>);
        match self.client.change(&what, call).await? {
            Ok(()) => Ok(()),
            // Its network is missing, for example: the container itself was there a moment ago.
            Err(error) => match answer(&error) {
                Some((404, message)) if !message.to_lowercase().contains("no such container") => {
                    Err(Error::new(ErrorKind::RuntimeRefused, format!("cannot {what}: {}", message.trim())))
                }
                _ => Err(translate(&what, &error)),
            },
        }
    }

    pub(super) async fn unpause_container(&self, container: &ContainerId) -> Result<()> {
        let what = format!("let container `{container}` go on");
        let _permit = self.client.permit().await;
        match self.client.change(&what, self.client.docker.unpause_container(&container.0)).await? {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Err(missing(&what)),
            Err(error) => match answer(&error) {
                Some((_, message)) if message.contains("is not paused") => Ok(()),
                // It does not run at all.
                Some((409, message)) if message.contains("is not running") => Ok(()),
                _ => Err(translate(&what, &error)),
            },
        }
    }

    pub(super) async fn stop_container(&self, container: &ContainerId, grace: Duration) -> Result<()> {
        let what = format!("stop container `{container}`");
        // The engine counts in whole seconds: a grace is rounded up, never cut.
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptionsBuilder::default().t(i32::try_from(seconds).unwrap_or(i32::MAX)).build();
        let limit = Duration::from_secs(seconds) + Duration::from_secs(9);
        // Our own limit counts, because it knows whether the engine is there.
        let docker = self.client.waiting(limit + ANSWER_LIMIT);
        let permit = self.client.permit().await;
        let mut stop = pin!(self.client.patiently(&what, limit, docker.stop_container(&container.0, Some(options))));
        let answered = match timeout(STOP_TURN_LIMIT, &mut stop).await {
            Ok(answered) => answered?,
            Err(_) => {
                drop(permit);
                stop.await?
            }
        };
        match answered {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(translate(&what, &error)),
        }
    }

    pub(super) async fn remove_container(&self, container: &ContainerId) -> Result<()> {
        let what = format!("remove container `{container}`");
        let inspected = self.client.docker.inspect_container(&container.0, None::<InspectContainerOptions>);
        let name = match self.client.ask(&what, inspected).await? {
            Ok(existing) => existing.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(translate(&what, &error)),
        };
        // `v`: its anonymous volumes go with it; named ones are not touched.
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let answered = {
            let _permit = self.client.permit().await;
            self.client.change(&what, self.client.docker.remove_container(&container.0, Some(options))).await?
        };
        match answered {
            Ok(()) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => match answer(&error) {
                Some((409, message)) if message.contains("already in progress") => {}
                // Podman removes it all the same, where its network is gone.
                _ if self.inspect_raw(&container.0).await?.is_none() => return Ok(()),
                _ => return Err(translate(&what, &error)),
            },
        }
        self.wait_until_gone(&name, &container.0).await
    }

    /// Waits until the name no longer means this container. The engine answers a removal before that (moby#37698).
    async fn wait_until_gone(&self, name: &str, id: &str) -> Result<()> {
        let what = format!("remove container `{name}`");
        let name = if name.is_empty() { id } else { name };
        let gone = async {
            loop {
                let inspected = self.client.docker.inspect_container(name, None::<InspectContainerOptions>);
                match self.client.ask(&what, inspected).await? {
                    Ok(existing) if existing.id.as_deref() == Some(id) => sleep(REMOVAL_POLL_INTERVAL).await,
                    Ok(_) => return Ok(()),
                    Err(error) if is_missing(&error) => return Ok(()),
                    Err(error) => return Err(translate(&what, &error)),
                }
            }
        };
        match timeout(REMOVAL_LIMIT, gone).await {
            Ok(gone) => gone,
            Err(_) => Err(Error::new(ErrorKind::TimedOut, format!("cannot {what}: its removal is still in progress"))),
        }
    }
}

fn missing(what: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("cannot {what}: there is none"))
}

/// A client that creates this container with a hardware address of its own. The model of the body lacks that field,
/// because engines since Docker 25 do not have it.
fn with_mac_address(docker: &Docker, body: &ContainerCreateBody, mac_address: String) -> Docker {
    let mut body = serde_json::to_value(body).expect("a body can be written as JSON");
    body["MacAddress"] = mac_address.into();
    let body = body.to_string();
    docker.clone().with_request_modifier(move |request| {
        let (parts, _) = request.into_parts();
        bollard::BollardRequest::from_parts(parts, bollard::body_full(body.clone().into()))
    })
}

/// The files as the engine takes them.
fn archive(files: &[InjectedFile]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let content = file.content.expose().as_bytes();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid.into());
        header.set_gid(file.gid.into());
        archive.append_data(&mut header, file.path.trim_start_matches('/'), content)?;
    }
    archive.into_inner()
}
