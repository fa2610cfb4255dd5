//! What settings ask of applications by HTTP.

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::probe::Probing;
use crate::settings::ServiceSettings;

/// Refuses settings for which something has to be asked by HTTP that cannot be.
pub(crate) fn check_http(probing: &dyn Probing, settings: &ServiceSettings) -> Result<()> {
    let count = settings.release.count.as_ref().map(|count| count.http.as_str());
    let asked = [(settings.ready.http.as_deref(), "ready"), (count, "session.count")];
    let Some((path, key)) = asked.into_iter().find_map(|(path, key)| Some((path?, key))) else { return Ok(()) };
    if probing.asks_by_http() {
        return Ok(());
    }
    let message = format!("this program cannot ask for `{path}` by HTTP, as `x-haddock.{key}` says");
    Err(Error::new(ErrorKind::NotSupported, message).with_hint("build it with the feature `probes`"))
}
