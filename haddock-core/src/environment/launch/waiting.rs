//! Reports what a component waits for.

use std::time::Duration;

use crate::container::ContainerId;
use crate::name::ComponentName;
use crate::progress::{Happening, is_observed, tell};
use crate::runtime::ContainerRuntime;

/// A component that waits for this long is reported, with the last line of its log, and again after each such time.
const SLOW_AFTER: Duration = Duration::from_secs(3);

/// A component that waits. This is reported when it begins to wait, and again while it is slow.
pub(crate) struct Wait<'a> {
    component: &'a ComponentName,
    waits_for: String,
    told: bool,
    quiet: Duration,
}

impl<'a> Wait<'a> {
    pub(crate) fn new(component: &'a ComponentName, waits_for: impl Into<String>) -> Self {
        Self { component, waits_for: waits_for.into(), told: false, quiet: Duration::ZERO }
    }

    /// Whether it has waited at all.
    pub(crate) fn was_told(&self) -> bool {
        self.told
    }

    /// The component waits for `pause` longer.
    pub(crate) async fn goes_on(
        &mut self,
        runtime: &dyn ContainerRuntime,
        container: &ContainerId,
        why: Option<&String>,
        pause: Duration,
    ) {
        if !is_observed() {
            return;
        }
        self.quiet += pause;
        let slow = self.quiet >= SLOW_AFTER;
        if self.told && !slow {
            return;
        }
        let log = match slow {
            true => runtime.logs(container, 1).await.ok().and_then(|lines| lines.into_iter().next_back()),
            false => None,
        };
        self.told = true;
        self.quiet = Duration::ZERO;
        let (waits_for, why) = (self.waits_for.clone(), why.cloned());
        tell(Some(self.component), Happening::Waiting { waits_for, why, log });
    }
}
