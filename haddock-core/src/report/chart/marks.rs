//! What happened: a numbered sign above the charts, with a line through them.

use maud::{Markup, html};

use super::frame::{self, Frame};
use super::pen::{short, tone};
use crate::report::model::{Mark, Page, Tone};
use crate::report::words;

/// More cannot be told apart.
const MOST_MARKS: usize = 36;
/// How wide a sign is, with the room around it.
const SIGN: f64 = 25.0;
const MOST_ROWS: usize = 4;

/// Something that happened, and its number on the page.
#[derive(Debug)]
pub(in crate::report) struct Numbered<'a> {
    pub(in crate::report) number: usize,
    pub(in crate::report) mark: &'a Mark,
}

/// What is shown, and how much is left out. Good and bad news stay as long as there is room.
pub(in crate::report) fn numbered(page: &Page) -> (Vec<Numbered<'_>>, usize) {
    let mut order: Vec<(usize, &Mark)> = page.marks.iter().enumerate().collect();
    order.sort_by_key(|(index, mark)| (mark.tone == Tone::Neutral, *index));
    let left_out = order.len().saturating_sub(MOST_MARKS);
    order.truncate(MOST_MARKS);
    order.sort_by_key(|(index, mark)| (mark.at, *index));
    let shown = (1..).zip(order).map(|(number, (_, mark))| Numbered { number, mark });
    (shown.collect(), left_out)
}

/// The row of each sign, so that none hides another as long as there is room.
fn places(page: &Page, marks: &[Numbered<'_>]) -> Vec<(f64, usize)> {
    let mut ends = [f64::MIN; MOST_ROWS];
    let place = |it: &Numbered<'_>| {
        let x = frame::x(page, it.mark.at);
        let free = ends.iter().position(|end| *end + SIGN <= x);
        let row = free.unwrap_or_else(|| (0..MOST_ROWS).min_by(|a, b| ends[*a].total_cmp(&ends[*b])).unwrap_or(0));
        // Without a free row it moves to the right.
        let sign = if free.is_some() { x } else { ends[row] + SIGN };
        ends[row] = sign;
        (sign, row)
    };
    marks.iter().map(place).collect()
}

/// How many rows the signs need.
pub(super) fn rows(page: &Page, marks: &[Numbered<'_>]) -> usize {
    places(page, marks).iter().map(|(_, row)| row + 1).max().unwrap_or(0)
}

pub(super) fn draw(page: &Page, frame: &Frame<'_>, marks: &[Numbered<'_>]) -> Markup {
    let areas = [frame.shares(), frame.live()];
    html! {
        g {
            @for (Numbered { number, mark }, (sign, row)) in marks.iter().zip(places(page, marks)) {
                @let (x, y) = (short(frame.x(mark.at)), frame.mark_y(row));
                @let text = format!("{number}: {}, {}", words::moment(page, mark.at), words::plain(&mark.text));
                a href={ "#event-" (number) } class={ "mark " (tone(mark.tone)) } aria-label=(text) {
                    title { (text) }
                    path d={
                        "M" (short(sign)) " " (short(y)) "L" (x) " " (short(areas[0].top - 6.0)) "V" (short(areas[0].bottom()))
                        "M" (x) " " (short(areas[1].top)) "V" (short(areas[1].bottom()))
                    } class="when" {}
                    path d=(outline(mark.tone, sign, y)) class="sign" {}
                    text x=(short(sign)) y=(short(y + 4.0)) class="number middle" { (number) }
                }
            }
        }
    }
}

/// Neutral is round, good news is a diamond, bad news a square.
fn outline(tone: Tone, x: f64, y: f64) -> String {
    let (left, top) = (short(x), short(y));
    match tone {
        Tone::Neutral => format!("M{left} {top}m-10 0a10 10 0 1 0 20 0a10 10 0 1 0 -20 0Z"),
        Tone::Good => format!("M{left} {top}m0 -12.5l12.5 12.5l-12.5 12.5l-12.5 -12.5Z"),
        Tone::Bad => format!("M{left} {top}m-10 -10h20v20h-20Z"),
    }
}
