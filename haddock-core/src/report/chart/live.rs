//! How many sessions live on each version.

use std::fmt::Write;

use maud::{Markup, html};

use super::frame::{Area, Frame};
use super::pen::{STYLES, short};
use crate::report::model::{Line, Page};
use crate::report::{thin, words};
use crate::time::Timestamp;

/// How far names at the right are apart.
const NAME_HEIGHT: f64 = 32.0;

/// A version's line: its points, as far as they are known.
struct Curve<'a> {
    style: usize,
    line: &'a Line,
    points: Vec<(Timestamp, Option<u64>)>,
}

impl Curve<'_> {
    fn last(&self) -> Option<(Timestamp, u64)> {
        self.points.iter().rev().find_map(|(at, live)| Some((*at, (*live)?)))
    }

    fn most(&self) -> Option<(Timestamp, u64)> {
        let known = self.points.iter().filter_map(|(at, live)| Some((*at, (*live)?)));
        // The first of equal ones.
        known.rev().max_by_key(|(_, live)| *live)
    }
}

pub(super) fn draw(page: &Page, frame: &Frame<'_>) -> Markup {
    let area = frame.live();
    let slots = thin::slots(page.lines.len());
    let curves: Vec<Curve<'_>> = (0..)
        .zip(&page.lines)
        .map(|(index, line)| Curve { style: index % STYLES, line, points: thin::live(page, line, slots) })
        .collect();
    let (step, most) = scale(curves.iter().filter_map(Curve::most).map(|(_, live)| live).max().unwrap_or(0));
    let values: Vec<(f64, String)> = (0..=most / step)
        .map(|number| number * step)
        .map(|value| (height(area, value, most), words::count(value)))
        .collect();
    let known = curves.iter().any(|curve| curve.last().is_some());
    html! {
        g role="img" aria-labelledby="live-title live-text" {
            title id="live-title" { "Live sessions by version" }
            desc id="live-text" { (told(page, &curves)) }
            text x="0" y=(short(area.top - 14.0)) class="heading" { "Live sessions" }
            @for gap in &page.gaps {
                @let from = frame.x(gap.from);
                rect x=(short(from)) y=(short(area.top)) width=(short(frame.x(gap.to) - from)) height=(short(area.height))
                    class="gap" {}
            }
            (frame.behind(area, &values))
            @if !known {
                text x=(short(f64::midpoint(frame.left(), frame.right()))) y=(short(area.top + area.height / 2.0)) class="tick middle" {
                    "not recorded"
                }
            }
            @for curve in &curves {
                @let path = path(frame, area, curve, most);
                path d=(path) class="under" {}
                path d=(path) class={ "curve s" (curve.style) @if curve.line.candidate { " candidate" } } {}
            }
            (names(frame, area, &curves, most))
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "it is drawn")]
fn height(area: Area, value: u64, most: u64) -> f64 {
    area.y(value as f64, most as f64)
}

/// Steps of 1, 2 or 5 times a power of ten, and what the chart ends with.
fn scale(most: u64) -> (u64, u64) {
    let mut step = 1_u64;
    for factor in [2, 5, 10].into_iter().cycle() {
        if most.div_ceil(step) <= 5 {
            break;
        }
        let power = 10_u64.pow(step.ilog10());
        step = power.saturating_mul(factor);
    }
    (step, step.saturating_mul(most.div_ceil(step).max(1)))
}

fn path(frame: &Frame<'_>, area: Area, curve: &Curve<'_>, most: u64) -> String {
    let mut path = String::new();
    let mut drawn = false;
    for (at, live) in &curve.points {
        let Some(live) = live else {
            drawn = false;
            continue;
        };
        let letter = if drawn { 'L' } else { 'M' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{letter}{} {}", short(frame.x(*at)), short(height(area, *live, most)));
        if !drawn {
            // A single point is a dot, because the ends of lines are round.
            path.push_str("h0");
        }
        drawn = true;
    }
    path
}

/// The name of each version at the end of its line, with the last number.
fn names(frame: &Frame<'_>, area: Area, curves: &[Curve<'_>], most: u64) -> Markup {
    let mut names: Vec<(f64, f64, &Curve<'_>, u64)> = curves
        .iter()
        .filter_map(|curve| {
            let (at, live) = curve.last()?;
            let y = height(area, live, most);
            Some((y, frame.x(at), curve, live))
        })
        .collect();
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    // From the top down, each below the one before; then from the bottom up, so that all are within the chart.
    let mut places: Vec<f64> = names.iter().map(|(y, ..)| *y).collect();
    for at in 1..places.len() {
        places[at] = places[at].max(places[at - 1] + NAME_HEIGHT);
    }
    // Below the chart are the times.
    let mut limit = area.bottom() - 14.0;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - NAME_HEIGHT;
    }
    html! {
        @for ((y, x, curve, live), place) in names.iter().zip(&places) {
            @let right = frame.right();
            path d={ "M" (short(*x)) " " (short(*y)) "L" (short(right + 4.0)) " " (short(*place)) "h6" } class="leader" {}
            circle cx=(short(*x)) cy=(short(*y)) r="4" class={ "dot s" (curve.style) } {}
            text x=(short(right + 14.0)) y=(short(place - 2.0)) class="name" { (words::plain(&curve.line.name)) }
            text x=(short(right + 14.0)) y=(short(place + 13.0)) class="tick" { (words::count(*live)) " at the end" }
        }
    }
}

fn told(page: &Page, curves: &[Curve<'_>]) -> String {
    let mut text = String::new();
    for curve in curves {
        let name = words::plain(&curve.line.name);
        let _ = match (curve.most(), curve.last()) {
            (Some((peak, most)), Some((at, last))) => write!(
                text,
                "{name}: at most {} at {}, {} at {}. ",
                words::count(most),
                words::moment(page, peak),
                words::count(last),
                words::moment(page, at)
            ),
            _ => write!(text, "{name}: not recorded. "),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_above_what_is_drawn() {
        for (most, expected) in [
            (0, (1, 1)),
            (1, (1, 1)),
            (5, (1, 5)),
            (6, (2, 6)),
            (11, (5, 15)),
            (26, (10, 30)),
            (999, (200, 1000)),
            (123_456, (50_000, 150_000)),
        ] {
            assert_eq!(scale(most), expected, "{most}");
        }
        assert!(scale(u64::MAX).0 > u64::MAX / 10);
    }
}
