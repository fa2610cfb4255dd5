//! A locator whose sessions are data, on a clock that the test moves.
//!
//! [`SimLocatorCore`] is the locator itself: synchronous, without I/O, the time an argument. It routes, counts, closes
//! and forgets exactly as the contract of [`ServiceLocator`](super::ServiceLocator) says. [`SimLocator`] puts it behind
//! the port and adds faults by script: no answer, a failing call, an answer that is lost although the call took effect.
//!
//! ```
//! use haddock_core::locator::sim::SimLocatorCore;
//! use haddock_core::routing::{FencingToken, Route, RoutingTable, SessionPolicy};
//! use haddock_core::{InstanceId, ServiceName, Share, Timestamp};
//!
//! # fn main() -> haddock_core::Result<()> {
//! let (shop, one) = (ServiceName::new("shop")?, InstanceId::new("shop-1-j")?);
//! let now = Timestamp::from_millis(0);
//! let mut locator = SimLocatorCore::new(1, now);
//! let route = Route::new(([127, 0, 0, 1], 8080).into(), Share::FULL);
//! let number = FencingToken { epoch: 1, revision: 1 };
//! let table = RoutingTable {
//!     service: shop.clone(),
//!     number,
//!     session: SessionPolicy::default(),
//!     routes: [(one.clone(), route)].into(),
//!     watermark: None,
//! };
//! locator.apply(&table)?;
//! let ticket = locator.begin(&shop, None, false, now).expect("the table has a share");
//! assert_eq!(ticket.instance, one);
//! assert_eq!(locator.report(&shop, now).instances[&one].in_flight, 1);
//! # Ok(())
//! # }
//! ```

mod core;
mod port;
mod service;
mod session;

pub use self::core::SimLocatorCore;
pub use self::session::{Cookie, LocatorRules, SessionId, Ticket};
pub use port::SimLocator;
