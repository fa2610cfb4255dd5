//! Who owns the name of an environment: a compose file, or a service whose instances share the environment.

use super::role::Role;
use super::{Environments, UpOptions};
use crate::container::{Container, Selector};
use crate::environment::{Change, EnvironmentSpec, Origin, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{EnvironmentName, InstanceId, ServiceName};

impl Environments {
    /// Refuses a name that belongs to another file: an environment of that name, or its volumes, exist, and it was
    /// brought up from another folder.
    ///
    /// # Errors
    /// [`NameTaken`](ErrorKind::NameTaken), and the runtime's.
    pub async fn check_origin(&self, name: &EnvironmentName, origin: &Origin) -> Result<()> {
        match self.other_origin(name, origin).await? {
            None => Ok(()),
            Some(other) => Err(another_folder(name, &other, origin)
                .with_hint(format!("write `--name {name}` if you mean that one, or `--name` with the name of yours"))),
        }
    }

    /// The origin of the environment of that name, if something of it exists and it came from another folder.
    async fn other_origin(&self, name: &EnvironmentName, origin: &Origin) -> Result<Option<Origin>> {
        let Some(known) = self.origin(name)?.filter(|known| known.folder != origin.folder) else { return Ok(None) };
        let ours = self.selector(name);
        let is_there = !self.runtime.list(&ours).await?.is_empty() || !self.runtime.volumes(&ours).await?.is_empty();
        Ok(is_there.then_some(known))
    }

    /// Refuses an `up` under a name that belongs to somebody else, before anything is done.
    pub(super) async fn check_name(
        &self,
        name: &EnvironmentName,
        spec: &EnvironmentSpec,
        options: &UpOptions,
    ) -> Result<()> {
        if options.shared_by.is_some() {
            return self.check_free_to_share(name).await;
        }
        self.check_not_reserved(name, spec, options).await?;
        let Some(origin) = options.origin.as_ref().filter(|_| !options.take_over) else { return Ok(()) };
        match self.other_origin(name, origin).await? {
            None => Ok(()),
            Some(other) => Err(another_folder(name, &other, origin).with_hint(
                "choose another name with `--name`; if it is the same project in another place, write `--take-over`",
            )),
        }
    }

    /// Refuses to remove what another file of the same folder has made.
    pub(super) fn check_removals(&self, name: &EnvironmentName, options: &UpOptions, plan: &Plan) -> Result<()> {
        let Some(origin) = options.origin.as_ref().filter(|_| !options.take_over) else { return Ok(()) };
        let Some(known) = self.origin(name)?.filter(|known| !origin.continues(known)) else { return Ok(()) };
        let Some(component) = plan.all(Change::Remove).next() else { return Ok(()) };
        let file = known.files.first().map(|file| file.display().to_string()).unwrap_or_default();
        let message =
            format!("environment `{name}` was brought up from `{file}`, and its `{component}` would be removed");
        Err(Error::new(ErrorKind::NameTaken, message)
            .with_hint("choose another name with `--name`; if this file takes that one's place, write `--take-over`"))
    }

    /// A test environment never becomes what production's instances share.
    async fn check_not_reserved(
        &self,
        name: &EnvironmentName,
        spec: &EnvironmentSpec,
        options: &UpOptions,
    ) -> Result<()> {
        let Some(service) = name.shares_for() else { return Ok(()) };
        let role = self.record(name)?.map(|record| record.role);
        if role == Some(Some(Role::Ordinary)) {
            return Ok(());
        }
        let specs = [Some(spec), options.for_service.as_ref()];
        let named = specs.into_iter().flatten().filter_map(|spec| spec.settings.as_ref());
        let is_own = named.into_iter().any(|settings| settings.service == service);
        let is_shared = role.is_some() && self.get(name).await.is_ok();
        if !is_own && !is_shared && self.instance_of(&service).await?.is_none() {
            return Ok(());
        }
        let message = format!("`{name}` is the name of what the instances of `{service}` share");
        Err(Error::new(ErrorKind::NameTaken, message)
            .with_hint("choose another name with `--name`; what is shared is brought up with `haddock up --shared`"))
    }

    /// What instances share never becomes somebody's test environment.
    async fn check_free_to_share(&self, name: &EnvironmentName) -> Result<()> {
        let is_ordinary = self.record(name)?.is_some_and(|record| record.role == Some(Role::Ordinary));
        if !is_ordinary || self.get(name).await.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok(());
        }
        let message = format!("the shared environment needs the name `{name}`, but an ordinary environment has it");
        Err(Error::new(ErrorKind::NameTaken, message)
            .with_hint(format!("take it down first, if nobody needs it: `haddock down --name {name}`")))
    }

    /// The service whose instances share the environment, if there is one.
    pub(super) fn serves(&self, name: &EnvironmentName) -> Result<Option<ServiceName>> {
        Ok(match self.record(name)?.map(|record| record.role) {
            Some(Some(Role::Ordinary)) => None,
            Some(Some(Role::SharedBy(service))) => Some(service),
            // Earlier versions did not write it down. Then the name decides.
            Some(None) | None => name.shares_for(),
        })
    }

    /// An instance of the service.
    pub(super) async fn instance_of(&self, service: &ServiceName) -> Result<Option<InstanceId>> {
        let containers = self.runtime.list(&Selector::journal(&self.journal)).await?;
        let mut instances = containers.iter().filter_map(Container::instance);
        Ok(instances.find(|instance| instance.is_of(&self.journal, service)))
    }

    fn origin(&self, name: &EnvironmentName) -> Result<Option<Origin>> {
        let text = self.specs.note(&note(name))?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Writes down from where it is brought up. The note stays as long as something of it exists, such as its volumes.
    pub(super) fn put_origin(&self, name: &EnvironmentName, origin: &Origin) -> Result<()> {
        if self.origin(name)?.as_ref() == Some(origin) {
            return Ok(());
        }
        let text = serde_json::to_vec(origin).expect("plain data can be written as JSON");
        self.specs.put_note(&note(name), text)
    }

    pub(super) fn forget_origin(&self, name: &EnvironmentName) {
        self.specs.remove_note(&note(name));
    }
}

fn note(name: &EnvironmentName) -> String {
    format!("{name}.origin")
}

fn another_folder(name: &EnvironmentName, known: &Origin, origin: &Origin) -> Error {
    let (known, here) = (known.folder.display(), origin.folder.display());
    let message = format!("environment `{name}` was brought up from `{known}`, and this file is in `{here}`");
    Error::new(ErrorKind::NameTaken, message)
}
