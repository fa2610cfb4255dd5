//! A rehearsal of what a compose file describes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::plan::Rehearsal;
use super::traffic::Traffic;
use crate::environment::EnvironmentSpec;
use crate::error::Result;
use crate::name::ServiceName;
use crate::release::NewVersion;
use crate::settings::ServiceSettings;

impl Rehearsal {
    /// A release of what a compose file describes, with the settings that it has in production.
    ///
    /// ```
    /// use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
    /// use haddock_core::rehearsal::{Rehearsal, Traffic};
    ///
    /// # fn main() -> haddock_core::Result<()> {
    /// let text = "
    /// name: shop
    /// services:
    ///   web: { image: \"shop:${TAG}\", expose: [8080], links: [db] }
    ///   db: { image: \"postgres:18\" }
    /// x-haddock: { entry: \"web:8080\" }
    /// ";
    /// let options = ResolveOptions { tag: Some("v2".to_owned()), purpose: Purpose::Release, ..ResolveOptions::default() };
    /// let file = ComposeFile::parse("compose.yaml", text)?.resolve(&options)?;
    /// let rehearsal = Rehearsal::of_file(&file.spec, Traffic::steady(10.0, Default::default())?)?;
    /// // Both versions run `web`, and share `db`.
    /// assert_eq!(rehearsal.run(1)?.containers_at_once, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Why the file cannot be released, such as [`ComposeFile`](crate::ErrorKind::ComposeFile) without an entry.
    pub fn of_file(spec: &EnvironmentSpec, traffic: Traffic) -> Result<Self> {
        let spec = &spec.in_production()?;
        let settings = spec.service()?.clone();
        spec.check_side_by_side()?;
        let own = spec.of_instance();
        let shared = spec.components.values().filter(|component| !component.versioned).count();
        let images = own.iter().map(|name| (name.clone(), spec.components[name].image.to_string())).collect();
        let version = NewVersion { one_shots: spec.one_shots(), ..NewVersion::new(String::new(), settings, images) };
        Ok(Self { shared: u32::try_from(shared).unwrap_or(u32::MAX), ..Self::new(version, traffic) })
    }

    /// A release of a single component, with the settings that hold where a compose file says nothing.
    #[must_use]
    pub fn by_default(service: ServiceName, traffic: Traffic) -> Self {
        let settings = ServiceSettings::external(service, SocketAddr::from(([127, 0, 0, 1], 8080)));
        let images = BTreeMap::from([(settings.entry.component.clone(), "app".to_owned())]);
        Self::new(NewVersion::new(String::new(), settings, images), traffic)
    }
}
