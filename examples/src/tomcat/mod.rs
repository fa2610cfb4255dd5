//! Releases of a Tomcat whose sessions are known by its own cookie: what the example `tomcat` is made of.
//!
//! ```text
//!   buyers ──▶ front: a gateway, two gateways, or HAProxy ──▶ Tomcats in containers
//!      │         ▲
//!      │         └─ house: controller, journal, Docker
//!      ▼
//!   receipts ──▶ course ──▶ outcome
//! ```
//!
//! A `buyer` logs in, fills a basket that is in the `HttpSession`, and looks whether it holds what was put in. It never
//! retries. `receipts` counts what happened, and when the last session of each version ended. `front` is the way to the
//! instances, `house` all that it takes to release, and `course` the releases one after the other.

mod arguments;
mod buyer;
mod course;
mod front;
mod gateways;
mod haproxy;
mod house;
mod outcome;
mod receipts;

pub use arguments::{Arguments, Through};
pub use course::perform;
pub use gateways::{GATEWAY, gateway_main};
pub use house::{House, missing_for_images};
pub use outcome::{OldVersion, Outcome};
