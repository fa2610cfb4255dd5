//! Releases in virtual time.

mod faults;
mod formulas;
mod plan;
mod same;
mod traffic;
