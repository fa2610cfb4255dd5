//! runtime/sim
