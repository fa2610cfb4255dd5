//! The release step: everything that decides, and nothing that performs.
//!
//! ```text
//!             requests   containers   locators' figures   tasks
//!                  └──────────┴────┬────────┴───────────────┘
//!                            Observation
//!                                  │
//!   ServiceState ──▶ step(&state, &observation, now) ──▶ Step { state, events, actions, wake_at }
//! ```
//!
//! [`step()`] is a pure function: no clock, no I/O, no randomness. It looks at the whole observation anew each time and
//! remembers nothing but the state, so the path after a crash is the normal path. Its parts are below `step/`. In the
//! order in which a step goes through them:
//!
//! | file | answers |
//! |---|---|
//! | `clock` | the clock that was set back |
//! | `requests` | what was asked for: release, rollback, abort, pause, resume, advance |
//! | `external` | the server that was adopted: neither started nor stopped |
//! | `sightings` | what became of each instance: ready, failed, serving, draining (and until when), closed, gone; what the locators say |
//! | `progress` | how far the release is: preparing, launching, ramping, settling, aborting. Failed instances of the known good version are replaced here |
//! | `gates` | whether the gate at the end of a stage is open |
//! | `before` | what runs once before a version is launched |
//! | `judge` | what the sessions of the candidate say about it, and what follows: abort, go back, a larger share |
//! | `unchanged` | the release that would change nothing: it is over at once |
//! | `routing` | which instance gets which share of the new sessions: the rules of giving and taking |
//! | `drain` | what may be closed, evicted, stopped, removed |
//! | `retire` | the service that is taken away: all of it drains, and then it is forgotten |
//! | `tell` | hooks within instances, and notifications for receivers |
//!
//! What a step looks at is in `observation`, what it asks for in `action`. What has happened is an [`Event`], in `event`;
//! `story` has the sentence for people about each. A new kind of event needs both.
//!
//! What a controller remembers between two steps is a [`ServiceLoop`]: the state, and what it is carrying out.
//!
//! Whether a candidate's sessions fail more often than those of the versions that serve is judged by [`guard`], from what the
//! state's [`Watch`] has counted.
//!
//! What a release would do is told by [`outline()`]: the step is run in a world in which every action succeeds.
//!
//! A journal that was lost is rebuilt by [`recover()`], from what can still be seen; what follows is again a step.
//!
//! Three rules make it safe to repeat anything at any time. Each action carries the [`FencingToken`](crate::FencingToken) of the
//! commit that decided it, and a locator refuses older ones. What takes away waits until what gives is seen in force.
//! What is not known changes no phase and takes nothing away.

mod action;
mod event;
mod forecast;
pub mod guard;
mod observation;
mod outline;
mod outlook;
mod reading;
mod recover;
mod request;
mod rules;
mod service_loop;
mod state;
mod step;
mod story;

pub use action::{Action, Task};
pub use event::{AbortReason, Event, RecordedEvent};
pub use observation::{Counted, GateAnswer, LocatorView, Observation, Probed, Reading, TaskReport, TaskResult};
pub use outline::{outline, outline_retirement, outline_verb};
pub use outlook::{FollowWait, Followed, Outlook, SkipReason, SkippedTag};
pub use recover::{Remains, recover};
pub use request::{Adoption, NewVersion, Request, Verb};
pub use rules::Rules;
pub use service_loop::{Run, ServiceLoop};
pub use state::{
    AskedTable, Attempt, Counts, DrainState, Draining, External, Failed, FollowMemory, GivenUp, Instance, Launched,
    Life, Notification, PendingGate, PendingHook, Period, Phase, PhaseName, Preparation, Release, ReleasePhase,
    Retirement, Retiring, Routing, Server, ServiceState, Starting, Verdict, Version, Watch,
};
#[cfg(feature = "controller")]
pub(crate) use step::waits_for_gateway;
pub use step::{Step, step, step_by};
pub use story::{Progress, Story, Telling};
