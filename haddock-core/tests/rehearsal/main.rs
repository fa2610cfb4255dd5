//! Releases in virtual time.

mod false_alarms;
mod faults;
mod formulas;
mod plan;
mod same;
mod traffic;
