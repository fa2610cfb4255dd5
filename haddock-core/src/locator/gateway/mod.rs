//! The gateway.
mod cookie;
mod key;
mod routing;
mod sessions;
mod shares;
