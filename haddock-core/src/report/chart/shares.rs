//! Which part of the new sessions each version gets, one above the other.

use std::fmt::Write;

use maud::{Markup, html};

use super::frame::{Area, Frame};
use super::pen::{STYLES, short, small};
use crate::report::model::{Line, Page};
use crate::report::{thin, words};
use crate::routing::Share;
use crate::time::Timestamp;

/// A label is written into a part of at least this height and width.
const LABEL_HEIGHT: f64 = 20.0;
const LABEL_CHARACTER: f64 = 7.5;
/// The most changes of a version that its description names.
const TOLD: usize = 12;

/// A version's part of the chart: from each time on, between which heights.
struct Band<'a> {
    style: usize,
    line: &'a Line,
    steps: Vec<(Timestamp, f64, f64)>,
}

pub(super) fn draw(page: &Page, frame: &Frame<'_>) -> Markup {
    let area = frame.shares();
    let values = [0_u32, 25, 50, 75, 100].map(|share| (area.y(f64::from(share), 100.0), format!("{share}\u{202f}%")));
    let bands = stack(page);
    html! {
        g role="img" aria-labelledby="shares-title shares-text" {
            title id="shares-title" { "Share of new sessions by version" }
            desc id="shares-text" { (told(page)) }
            text x="0" y="16" class="heading" { "Share of new sessions" }
            (frame.behind(area, &values))
            @for band in &bands {
                path d=(outline(page, frame, area, band)) class={ "band s" (band.style) } fill={ "url(#p" (band.style) ")" } {}
            }
            @for band in &bands {
                @if let Some((x, y)) = place(page, frame, area, band) {
                    text x=(short(x)) y=(short(y)) class="name middle halo" { (words::plain(&band.line.name)) }
                }
            }
        }
    }
}

/// The newest version is at the bottom, where its share is read from the scale.
fn stack(page: &Page) -> Vec<Band<'_>> {
    let times = thin::changes(page, thin::slots(page.lines.len()));
    let mut below = vec![0.0; times.len()];
    let mut bands = Vec::new();
    for (index, line) in page.lines.iter().enumerate().rev() {
        let step = |(at, below): (&Timestamp, &mut f64)| {
            let low = *below;
            *below = (low + f64::from(line.share_at(*at).as_basis_points()) / 100.0).min(100.0);
            (*at, low, *below)
        };
        let steps: Vec<_> = times.iter().zip(&mut below).map(step).collect();
        if steps.iter().any(|(_, low, high)| high > low) {
            bands.push(Band { style: index % STYLES, line, steps });
        }
    }
    bands
}

fn outline(page: &Page, frame: &Frame<'_>, area: Area, band: &Band<'_>) -> String {
    let mut path = String::new();
    let ends = |at: usize| band.steps.get(at + 1).map_or(page.to, |(next, ..)| *next);
    // Where it has no share there is nothing to draw.
    let has_share = |step: &(Timestamp, f64, f64)| step.2 > step.1;
    let mut at = 0;
    while at < band.steps.len() {
        let run = band.steps[at..].iter().take_while(|step| has_share(step)).count();
        let edge = |index: usize, high: bool| {
            let (from, low, top) = band.steps[index];
            (frame.x(from), area.y(if high { top } else { low }, 100.0), frame.x(ends(index)))
        };
        // Writing to a string cannot fail.
        for index in at..at + run {
            let (x, y, to) = edge(index, true);
            let _ = match index == at {
                true => write!(path, "M{} {}H{}", short(x), short(y), short(to)),
                false => write!(path, "V{}H{}", short(y), short(to)),
            };
        }
        for index in (at..at + run).rev() {
            let (x, y, _) = edge(index, false);
            let _ = write!(path, "V{}H{}", short(y), short(x));
        }
        if run > 0 {
            path.push('Z');
        }
        at += run.max(1);
    }
    path
}

/// The middle of the largest part that has room for the name.
fn place(page: &Page, frame: &Frame<'_>, area: Area, band: &Band<'_>) -> Option<(f64, f64)> {
    let mut best: Option<(f64, f64, f64)> = None;
    let needed = LABEL_CHARACTER * small(band.line.name.chars().count()) + 12.0;
    for (first, (from, ..)) in band.steps.iter().enumerate() {
        // What all steps from here on have in common.
        let (mut low, mut high) = (0.0_f64, 100.0_f64);
        for (at, step) in band.steps.iter().enumerate().skip(first) {
            (low, high) = (low.max(step.1), high.min(step.2));
            let to = band.steps.get(at + 1).map_or(page.to, |(next, ..)| *next);
            let (left, right) = (frame.x(*from), frame.x(to));
            let height = area.height * (high - low) / 100.0;
            if height < LABEL_HEIGHT {
                break;
            }
            let size = (right - left) * height;
            if right - left >= needed && best.is_none_or(|(largest, ..)| size > largest) {
                best = Some((size, f64::midpoint(left, right), area.y(f64::midpoint(low, high), 100.0) + 5.0));
            }
        }
    }
    best.map(|(_, x, y)| (x, y))
}

fn told(page: &Page) -> String {
    let mut text = String::new();
    for line in &page.lines {
        let mut last = line.share_at(page.from);
        let _ = write!(text, "{} begins with {}", words::plain(&line.name), words::share(last));
        let within = line.shares.iter().filter(|(at, _)| *at > page.from && *at <= page.to);
        let changes = within.filter(|(_, share)| std::mem::replace(&mut last, *share) != *share);
        let changes: Vec<(Timestamp, Share)> = changes.copied().collect();
        for (at, share) in changes.iter().take(TOLD) {
            let _ = write!(text, ", has {} at {}", words::share(*share), words::moment(page, *at));
        }
        if changes.len() > TOLD {
            let _ = write!(text, ", and ends with {}", words::share(line.share_at(page.to)));
        }
        text.push_str(". ");
    }
    text
}
