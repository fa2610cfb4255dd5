//! A release as a page for people: one HTML file with charts, which needs nothing else.
//!
//! ```text
//!   history, traffic record ─┐
//!                            ├─▶ Page ─▶ html()      one file: no script, no font, no request to anywhere
//!   rehearsal ───────────────┘
//! ```
//!
//! A [`Page`] says what is drawn: the share of new sessions and the live sessions of each version over time, what
//! happened, and figures. The page can be printed, follows the reader's choice of light or dark, and does not depend on
//! red and green: versions differ in colour, pattern and dashes, and are named where they are drawn. Each event can be
//! reached by keyboard, and what is drawn is also there as a table.
//!
//! | file | part |
//! |---|---|
//! | `model` | the data of a page |
//! | `html` | the page around the charts |
//! | `chart/` | the charts: `frame` has the scales, `shares` and `live` the two charts, `marks` what happened |
//! | `thin` | many points are made few that look the same |
//! | `release/` | the page of a release from its history and the record of traffic |
//! | `label` | what an event is called where it is drawn |
//! | `words` | times, durations and numbers as people read them |

mod chart;
mod html;
mod label;
mod model;
#[cfg(feature = "controller")]
pub(crate) mod release;
mod thin;
mod words;

#[cfg(feature = "rehearsal")]
pub(crate) use label::label;
pub use model::{Conclusion, Fact, Gap, Line, Mark, Page, Scale, Table, Tone};
#[cfg(feature = "rehearsal")]
pub(crate) use words::{count, lasting};
