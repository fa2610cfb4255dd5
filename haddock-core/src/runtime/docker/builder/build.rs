//! A build: by BuildKit where it is there, else by the classic builder.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::{BuildInfo, BuildInfoAux, ImageId};
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, BuilderVersion};
use bytes::Bytes;
use futures_util::StreamExt;

use super::super::DockerRuntime;
use super::super::credentials::{Stored, written};
use super::super::error::{translate, unavailable};
use super::super::refusal::said;
use super::super::transfer::Transfer;
use super::failure::{failed, failed_vertex, needs_buildkit};
use super::mask::Mask;
use super::session::{self, Broken, Files, Session};
use super::steps::{Said, Step, Steps};
use super::trace::Trace;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{ApartContext, BuildContext, BuildOutput, BuildRequest, ContextArchive, OnOutput};

/// How long the engine may take to read the context: it says nothing before it has all of it.
const CONTEXT_LIMIT: Duration = Duration::from_secs(3600);

impl DockerRuntime {
    /// Whether builds are done by BuildKit: podman has none, and a session cannot be had by TLS.
    pub(super) fn has_buildkit(&self) -> bool {
        !self.engine.podman && !self.with_tls && session::can_be_had(&self.host)
    }

    pub(super) async fn build(
        &self,
        request: &BuildRequest,
        context: BuildContext,
        output: OnOutput<'_>,
    ) -> Result<String> {
        let mask = Mask::of(request);
        let output = |said: BuildOutput| output(masked(said, &mask));
        let stored = self.stored_for(&request.registries).await;
        let built = if self.has_buildkit() {
            self.build_by_buildkit(request, &stored, context, &output).await
        } else if let Some(secret) = request.secrets.first() {
            Err(needs_buildkit(&format!("secret `{}`", secret.id)))
        } else if request.ssh {
            Err(needs_buildkit("the keys of this user's agent"))
        } else {
            let options = options(request).build();
            let context = Sent::Archive(context.archive);
            self.run_build(request, options, &stored, context, &mut Classic::default(), &output).await
        };
        let id = built.map_err(|error| {
            // The refusal is of one registry, and says which.
            let of = stored.iter().find(|(registry, _)| error.message().contains(&format!("registry `{registry}`")));
            mask.error(of.map_or(error.clone(), |(_, stored)| stored.explain(error)))
        })?;
        for tag in &request.tags {
            self.name_image(&id, tag).await?;
        }
        Ok(id)
    }

    async fn build_by_buildkit(
        &self,
        request: &BuildRequest,
        stored: &[(String, Stored)],
        context: BuildContext,
        output: OnOutput<'_>,
    ) -> Result<String> {
        let what = what(request);
        let id = session::new_id().map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot {what}: the system has no random numbers: {error}"))
        })?;
        let mut options = options(request).version(BuilderVersion::BuilderBuildKit).session(&id);
        // BuildKit heeds no `.dockerignore` in an archive.
        let (files, sent) = match context.apart {
            None => (None, Sent::Archive(context.archive)),
            Some(ApartContext { dockerfile, files }) => {
                options = options.remote("client-session").dockerfile(session::DOCKERFILE);
                let broken = Broken::default();
                (Some(Files { context: files, dockerfile, broken: Arc::clone(&broken) }), Sent::BySession(broken))
            }
        };
        let session = Session::open(&self.host, &id, request, by_registry(stored), files).await;
        let session = session.map_err(|error| unavailable(&what, &error.to_string()))?;
        let mut kit = Kit::default();
        let mut build = pin!(self.run_build(request, options.build(), stored, sent, &mut kit, output));
        tokio::select! {
            built = &mut build => built,
            // What ended it says the build itself.
            _ = session.serve() => build.await,
        }
    }

    async fn run_build(
        &self,
        request: &BuildRequest,
        options: BuildImageOptions,
        stored: &[(String, Stored)],
        context: Sent,
        listener: &mut (impl Listener + Send),
        output: OnOutput<'_>,
    ) -> Result<String> {
        let what = what(request);
        // What went wrong with the context: the body of a request can only say that something did.
        let (broken, body) = match context {
            Sent::BySession(broken) => (broken, bollard::body_full(Bytes::new())),
            Sent::Archive(archive) => {
                let broken = Broken::default();
                let noted = Arc::clone(&broken);
                let pieces = archive.map(move |piece| {
                    piece.map(Bytes::from).map_err(|error| {
                        let text = io::Error::other(error.message().to_owned());
                        *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        text
                    })
                });
                (broken, bollard::body_try_stream(pieces))
            }
        };
        let docker = self.client.waiting(CONTEXT_LIMIT);
        let mut frames = pin!(docker.build_image(options, Some(by_registry(stored)), Some(body)));
        // A failure may come after good items, so the stream is read to its end.
        let (mut failure, mut image) = (None, None);
        let ended = loop {
            match self.client.next(&what, &mut frames).await {
                Ok(Some(Ok(frame))) => {
                    if let Some(BuildInfoAux::Default(ImageId { id: Some(id) })) = &frame.aux {
                        image = Some(id.clone());
                    }
                    listener.take(frame, output);
                }
                Ok(Some(Err(error))) => failure = Some(error),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        listener.end(output);
        if let Some(error) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        ended?;
        match (failure, image) {
            (Some(error), _) => Err(match said(&error) {
                Some(message) => listener.failed(request, message),
                None => translate(&what, &error),
            }),
            (None, Some(id)) => Ok(id),
            (None, None) => Err(Error::new(
                ErrorKind::RuntimeUnavailable,
                format!("cannot {what}: the engine ended the build early"),
            )
            .with_hint("is it running, and was it restarted?")),
        }
    }

    /// What is stored for each of these registries.
    async fn stored_for(&self, registries: &[String]) -> Vec<(String, Stored)> {
        let stored = registries.iter().map(async |registry| (registry.clone(), self.stored(registry).await));
        futures_util::future::join_all(stored).await
    }
}

/// How the context gets to the engine.
enum Sent {
    Archive(ContextArchive),
    /// The engine asks for it.
    BySession(Broken),
}

/// What a build is called in messages.
fn what(request: &BuildRequest) -> String {
    match request.tags.first() {
        Some(tag) => format!("build image `{tag}`"),
        None => format!("build `{}`", request.dockerfile),
    }
}

fn options(request: &BuildRequest) -> BuildImageOptionsBuilder {
    let map = |map: &std::collections::BTreeMap<String, String>| -> HashMap<String, String> {
        map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let mut options = BuildImageOptionsBuilder::default()
        .dockerfile(&request.dockerfile)
        .buildargs(&map(&request.args))
        .labels(&map(&request.labels))
        .nocache(request.no_cache)
        // Without both, what ran a step that failed stays.
        .rm(true)
        .forcerm(true);
    if let Some(tag) = request.tags.first() {
        options = options.t(&tag.to_string());
    }
    if let Some(target) = &request.target {
        options = options.target(target);
    }
    if let Some(platform) = &request.platform {
        options = options.platform(platform);
    }
    if let Some(network) = &request.network {
        options = options.networkmode(network);
    }
    if !request.extra_hosts.is_empty() {
        options = options.extrahosts(&request.extra_hosts.join(","));
    }
    options
}

/// The credentials by the keys that engines look for.
fn by_registry(stored: &[(String, Stored)]) -> HashMap<String, DockerCredentials> {
    let found =
        |(registry, stored): &(String, Stored)| Some((written(registry).to_owned(), stored.credentials.clone()?));
    stored.iter().filter_map(found).collect()
}

fn masked(said: BuildOutput, mask: &Mask) -> BuildOutput {
    match said {
        BuildOutput::Step { text, number, of } => BuildOutput::Step { text: mask.text(&text), number, of },
        BuildOutput::Line { text } => BuildOutput::Line { text: mask.text(&text) },
        said => said,
    }
}

/// Who understands what a builder says.
trait Listener {
    fn take(&mut self, frame: BuildInfo, output: OnOutput<'_>);
    fn end(&mut self, output: OnOutput<'_>);
    /// The error of a build that ended with this message.
    fn failed(&self, request: &BuildRequest, message: &str) -> Error;
}

/// What the classic builder has said so far.
#[derive(Default)]
struct Classic {
    steps: Steps,
    transfer: Transfer,
}

impl Listener for Classic {
    fn take(&mut self, frame: BuildInfo, output: OnOutput<'_>) {
        if let Some(piece) = &frame.stream {
            self.steps.take(piece).into_iter().for_each(|said| output(as_output(said)));
        }
        let (layer, status) = (frame.id.as_deref(), frame.status.as_deref());
        if let Some((done, total)) = self.transfer.take(layer, status, frame.progress_detail.as_ref()) {
            output(BuildOutput::Transfer { done, total });
        }
        if frame.aux.is_some() {
            self.steps.built();
        }
    }

    fn end(&mut self, output: OnOutput<'_>) {
        self.steps.end().into_iter().for_each(|said| output(as_output(said)));
    }

    fn failed(&self, request: &BuildRequest, message: &str) -> Error {
        let lines = self.steps.last_lines().map(str::to_owned).collect();
        failed(request, self.steps.step(), lines, message)
    }
}

/// What BuildKit has said so far.
#[derive(Default)]
struct Kit(Trace);

impl Listener for Kit {
    fn take(&mut self, frame: BuildInfo, output: OnOutput<'_>) {
        let Some(BuildInfoAux::BuildKit(status)) = frame.aux else { return };
        self.0.take(&status).into_iter().for_each(|said| output(as_output(said)));
        if let Some((done, total)) = self.0.moved(&status) {
            output(BuildOutput::Transfer { done, total });
        }
    }

    fn end(&mut self, output: OnOutput<'_>) {
        self.0.end().into_iter().for_each(|said| output(as_output(said)));
    }

    fn failed(&self, request: &BuildRequest, message: &str) -> Error {
        match self.0.failed() {
            Some((name, lines)) => failed_vertex(request, name, lines, message),
            None => failed(request, None, Vec::new(), message),
        }
    }
}

fn as_output(said: Said) -> BuildOutput {
    match said {
        Said::Step(Step { number, of, text }) => BuildOutput::Step { text, number, of },
        Said::Line(text) => BuildOutput::Line { text },
    }
}
