//! The guard: is the candidate harmful, fine, or has not enough been seen?
//!
//! A candidate gets a part of the new sessions. The guard compares its failed sessions with those that began in the same period on the
//! versions that already serve. It is pure: no clock, no I/O, no randomness; the counts are all that it knows, so anybody can repeat a
//! verdict from what the history shows.
//!
//! ```text
//!   Sessions { begun, failed } of both sides, by period
//!                        │
//!                     Evidence ──▶ Guard::judge ──▶ Judgement { finding, extra: low … high, threshold }
//!                                                        │
//!                                                   share_within(harm budget)
//! ```
//!
//! | verdict | means |
//! |---|---|
//! | [`Finding::Harmful`] | more sessions fail than on the baseline, by more than `tolerate` |
//! | [`Finding::Fine`] | they do not |
//! | [`Finding::NotEnough`] | wait: no traffic is no evidence, and never a failure |
//!
//! **It may look as often as it likes.** An ordinary test is made for one look. Who looks every second until it says
//! "significant" will see that happen sooner or later, also with the best version. The guard's test holds at all looks at
//! once: the chance that a candidate that is not harmful is *ever* found harmful is at most `false_alarm` (1 % a release).
//!
//! The files, from the formulas up:
//!
//! | file | has |
//! |---|---|
//! | `special` | `ln B(a, b)` without cancellation |
//! | `sample` | how well a rate, and a mixture of rates, explains the sessions of one side |
//! | `region` | the martingale, the derivation and its sources; which extra rates are ruled out |
//! | `sessions` | what is counted: [`Sessions`], [`Evidence`] |
//! | `difference` | on which paths and with which status codes more sessions fail |
//! | `judge` | [`Guard`], [`Judgement`], forecasts, the share that fits a budget of harm |
//!
//! # The test
//!
//! Let `M` be the likelihood of all that was seen, averaged over a beta distribution of each side's rate, and `L` the largest
//! likelihood that a harmless candidate could have. The candidate is harmful once `M / L ≥ 1 / false_alarm`:
//!
//! ```text
//!         B(a₁+k₁, b₁+n₁−k₁)   B(a₀+k₀, b₀+n₀−k₀)
//!     M = ────────────────── · ──────────────────        k of n sessions failed; 1: candidate, 0: baseline
//!             B(a₁, b₁)            B(a₀, b₀)
//!
//!     L = max { p₁^k₁ (1−p₁)^(n₁−k₁) p₀^k₀ (1−p₀)^(n₀−k₀) :  p₁ − p₀ ≤ tolerate }
//! ```
//!
//! At the true rates `M / L` is a martingale that starts at 1, so it ever reaches `1/α` with probability `α` at most (Robbins 1970;
//! Howard, Ramdas, McAuliffe and Sekhon 2021). With the maximum over all harmless rates, it is smaller still (Wasserman, Ramdas and
//! Balakrishnan 2020). So the bound holds for each baseline rate, also for 0. The bounds of the extra rate are the places where the same
//! quotient crosses `1/α`.
//!
//! What it takes for granted: within a period, sessions fail independently of each other and by chance alone which side they
//! begin on. It does *not* take for granted that rates stay the same from one period to the next.

mod difference;
mod judge;
mod region;
mod sample;
mod sessions;
mod special;

#[cfg(test)]
mod false_alarm_tests;
#[cfg(test)]
mod judge_tests;
#[cfg(test)]
mod reference_tests;

pub use difference::Difference;
pub use judge::{Finding, Guard, Interval, Judgement, Symptom};
pub use sessions::{Comparison, Evidence};

pub use crate::routing::{Rate, Sessions};
