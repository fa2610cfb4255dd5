//! Images of a tree on the simulated engine: what is built, in which order, and why; and which old ones are removed.
#![allow(missing_docs)]

mod build;
mod place;
mod prune;
mod prune_registry;
