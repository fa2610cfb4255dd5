//! Continuous releases: each new tag of a registry that fits a pattern is released by itself.
//!
//! ```text
//!   registry ──tags──▶ watch ──▶ decide ──▶ release, or wait, or nothing
//!   compose file ───────▲          ▲                │
//!                                 state ◀── step ◀──┘ a request, as anybody could submit it
//! ```
//!
//! | file | part |
//! |---|---|
//! | `tag` | a tag that was seen, with its images |
//! | `decide` | which tag is next, and why not the others. It is pure: state, tags and time come in, a decision comes out |
//! | `watch` | which images of the compose file a tag names |
//! | `shelf` | what the registry has, asked for no more than is new |
//! | `follower` | the loop: it looks, decides, asks for the release, and says what it waits for |
//!
//! Newest means built last. A tag's name says nothing about its age, and registries do not tell when it was pushed.
//!
//! Nothing is remembered outside the state of the service. A follower that is started after a crash looks and decides, as at
//! any other time. There may be several: the second request for the same release is refused, or leads to the same release.

mod decide;
#[cfg(feature = "controller")]
mod follower;
#[cfg(feature = "controller")]
mod shelf;
mod tag;
#[cfg(feature = "controller")]
mod watch;

pub use decide::{Decision, Next, decide};
#[cfg(feature = "controller")]
pub use follower::{FollowedFile, Follower, Look, Naming};
pub use tag::SeenTag;
