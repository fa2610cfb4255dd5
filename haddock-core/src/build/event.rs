//! What is told while images are built, pushed and pulled.

use serde::{Deserialize, Serialize};

use super::options::BuildAction;
use crate::runtime::BuildOutput;

/// A progress event of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildEvent {
    /// The image's name in its tree, or the reference of an image outside.
    pub image: String,
    /// What.
    #[serde(flatten)]
    pub happening: BuildHappening,
}

/// What happens to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum BuildHappening {
    /// It is decided what is done, and why.
    Planned {
        /// What.
        action: BuildAction,
        /// Why.
        because: String,
    },
    /// Its build begins.
    Building,
    /// A step of its build begins.
    Step {
        /// The instruction.
        text: String,
        /// Which step it is, from 1.
        number: u32,
        /// How many there are.
        of: u32,
    },
    /// A step of its build prints a line.
    Line {
        /// The line.
        text: String,
    },
    /// Its transfer from a registry begins.
    Pulling,
    /// Its transfer to a registry begins.
    Pushing,
    /// Its layers move.
    Transfer {
        /// The bytes that have moved.
        done: u64,
        /// The known size in bytes; it may grow.
        total: u64,
    },
    /// It is built.
    Built,
    /// It is on this host.
    Pulled,
    /// It is in its registry.
    Pushed {
        /// The digest that it has there.
        digest: String,
    },
    /// Something went wrong, and the work goes on.
    Warning {
        /// What.
        text: String,
    },
}

/// A receiver of progress events. It must not block, because the work waits for it.
pub type OnBuildEvent<'a> = &'a (dyn Fn(BuildEvent) + Send + Sync);

/// Tells what happens to one image.
#[derive(Clone, Copy)]
pub(super) struct Teller<'a> {
    pub(super) image: &'a str,
    pub(super) to: OnBuildEvent<'a>,
}

impl Teller<'_> {
    pub(super) fn tell(self, happening: BuildHappening) {
        (self.to)(BuildEvent { image: self.image.to_owned(), happening });
    }

    /// What the builder says.
    pub(super) fn output(self, output: BuildOutput) {
        self.tell(match output {
            BuildOutput::Step { text, number, of } => BuildHappening::Step { text, number, of },
            BuildOutput::Line { text } => BuildHappening::Line { text },
            BuildOutput::Transfer { done, total } => BuildHappening::Transfer { done, total },
        });
    }
}
