//! locator/sim
