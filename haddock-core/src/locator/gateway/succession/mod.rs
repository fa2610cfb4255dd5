//! A gateway that takes the place of another one, with the same state directory, while both run.
//!
//! ```text
//!   new                                old
//!    │── Hello ────────────────────────▶│   over `gateway.sock` in the state directory
//!    │◀── Offer: lock and listeners ────│
//!    │── Ready: where it takes what     │   it has read its files, and can serve
//!    │   comes later ──────────────────▶│
//!    │                                  │   accepts nothing more; requests wait; the logs of sessions are ended
//!    │◀── Switched: what is in flight ──│
//!    │   reads the state, and serves    │
//!    │── Serves ───────────────────────▶│   from now on it decides nothing
//!    │◀── Told: records, in flight ─────│   what becomes of the requests that it still has
//!    │── Heard ────────────────────────▶│   before their answers leave
//! ```
//!
//! If anything goes wrong before `Serves`, the old one goes on as if nothing had been. After it, requests in flight and upgraded
//! connections stay in the old one. A request that comes later on one of its connections is passed on to the new one, by the
//! `relay`, a socket of its own, and the connection ends with the answer.
//!
//! - `stage` is where a gateway is in this; `wire` carries messages and file descriptors; `message` has their words.
//! - `giving` is the old one's side, `heir` how it tells the new one; `taking` is the new one's side; `relay` passes a request on.

mod giving;
mod heir;
mod message;
mod relay;
mod stage;
mod taking;
mod wire;

pub(super) use giving::spawn;
pub(super) use heir::Heir;
pub(super) use message::Left;
pub(super) use relay::pass_on;
pub(super) use stage::Stage;
pub(super) use taking::{Heritage, Predecessor};
