//! Variables that fill in a compose file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::container::Sensitive;

/// Looks up the value of a variable.
pub(super) type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// Environment variables by name. `Debug` shows the names only.
///
/// ```
/// use haddock_core::environment::compose::Variables;
///
/// let variables: Variables = [("PASSWORD", "hunter2")].into_iter().collect();
/// assert_eq!(variables.get("PASSWORD"), Some("hunter2"));
/// assert_eq!(format!("{variables:?}"), r#"{"PASSWORD"}"#);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Variables(BTreeMap<String, Sensitive>);

impl Variables {
    /// The variables of this process, without those that are not UTF-8. As in Compose, `PWD` is its working directory,
    /// even if the environment has no `PWD` or a wrong one, as under systemd and cron or after a change of directory.
    #[must_use]
    pub fn of_process() -> Self {
        let pairs = std::env::vars_os();
        let mut variables: Self =
            pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        let same =
            |told: &Path, here: &Path| told.is_absolute() && told.canonicalize().ok() == here.canonicalize().ok();
        if let Ok(here) = std::env::current_dir()
            && !variables.get("PWD").is_some_and(|told| same(Path::new(told), &here))
            && let Some(here) = here.to_str()
        {
            variables.set("PWD", here);
        }
        variables
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Sensitive::expose)
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), Sensitive::new(value));
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Sensitive)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), Sensitive::new(value))).collect())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
