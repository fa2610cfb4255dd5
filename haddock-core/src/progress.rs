//! Progress events while environments are changed.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use haddock_core::environment::environments::{Environments, UpOptions};
//! # use haddock_core::environment::EnvironmentSpec;
//! # use haddock_core::progress;
//! # async fn example(environments: Environments, spec: EnvironmentSpec) -> haddock_core::Result<()> {
//! let name = haddock_core::EnvironmentName::new("pr-42")?;
//! let observer = Arc::new(|event: &progress::Event| println!("{event:?}"));
//! let up = progress::observed(observer, environments.up(&name, &spec, &UpOptions::default())).await?;
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task_local;

use crate::container::Container;
use crate::name::ComponentName;

/// A progress event of a change to an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The component; `None` for an image, because several components may use one.
    pub component: Option<ComponentName>,
    /// What.
    #[serde(flatten)]
    pub happening: Happening,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happening {
    /// Its image is looked for, on the host and in its registry. During the transfer, this event is repeated.
    Pulling {
        /// The image.
        image: String,
        /// Bytes that are there already.
        done: Option<u64>,
        /// The known size in bytes; it may grow.
        total: Option<u64>,
    },
    /// Its image is there.
    Pulled {
        /// The image.
        image: String,
    },
    /// Its container is made.
    Creating,
    /// Its container is started.
    Starting,
    /// It waits. While that is slow, this event is repeated.
    Waiting {
        /// What it waits for.
        waits_for: String,
        /// Why it is not ready yet, if known.
        why: Option<String>,
        /// The last line of the log of what it waits for, if that is slow.
        log: Option<String>,
    },
    /// It is ready, or has done its work.
    Ready,
    /// It runs, but a port that the file names does not answer. The file has no readiness settings, so this is no
    /// failure.
    Silent {
        /// The port, and the error of a connection to it.
        why: String,
    },
    /// Its container is stopped.
    Stopping,
    /// Its container is gone.
    Removed,
}

/// A receiver of progress events. It must not block, because the work waits for it.
pub trait Observer: Send + Sync {
    /// Receives an event.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

task_local! {
    static OBSERVER: Arc<dyn Observer>;
}

/// Does the work, and reports its progress events to the observer. Work in a spawned task is not observed.
pub async fn observed<T>(observer: Arc<dyn Observer>, work: impl Future<Output = T>) -> T {
    OBSERVER.scope(observer, work).await
}

/// Reports an event to the observer, if there is one.
pub(crate) fn tell(component: Option<&ComponentName>, happening: Happening) {
    let event = Event { component: component.cloned(), happening };
    // Nobody observes: that is as well.
    let _ = OBSERVER.try_with(|observer| observer.event(&event));
}

/// Reports an event of a container with the label of a component.
pub(crate) fn tell_of(container: &Container, happening: Happening) {
    tell(container.component().as_ref(), happening);
}

/// Whether there is an observer.
pub(crate) fn is_observed() -> bool {
    OBSERVER.try_with(|_| ()).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn who_observes_is_told_and_nobody_else() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let observer = Arc::new(move |event: &Event| noted.lock().expect("no panic").push(event.clone()));
        tell(None, Happening::Creating);
        let web = ComponentName::new("web").expect("a name");
        observed(observer, async {
            tokio::task::yield_now().await;
            tell(Some(&web), Happening::Starting);
        })
        .await;
        tell(None, Happening::Creating);
        let seen = seen.lock().expect("no panic");
        assert_eq!(*seen, [Event { component: Some(web), happening: Happening::Starting }]);
        assert_eq!(
            serde_json::to_value(&seen[0]).expect("JSON"),
            serde_json::json!({"component": "web", "kind": "starting"})
        );
    }
}
