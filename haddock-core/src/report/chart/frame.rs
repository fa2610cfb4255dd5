//! Where things are: the scales, and the lines behind them.

use maud::{Markup, html};

use super::pen::{short, small};
use crate::report::model::{Page, Scale};
use crate::report::words;
use crate::time::Timestamp;

/// All lengths are in units of the drawing, which is as wide as the page.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 58.0;
/// Room for the names of versions.
const RIGHT: f64 = 138.0;
const MARK_ROW: f64 = 26.0;
/// Room for the heading of a chart.
const TITLE: f64 = 24.0;
const SHARES: f64 = 170.0;
const LIVE: f64 = 230.0;
const AXIS: f64 = 44.0;

/// The most labels below a chart.
const MOST_TICKS: u64 = 8;
/// Times between labels, in seconds.
const STEPS: [u64; 24] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_592_000, 7_776_000, 31_536_000,
];

/// A part of the drawing in which something is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) top: f64,
    pub(super) height: f64,
}

impl Area {
    pub(super) fn bottom(self) -> f64 {
        self.top + self.height
    }

    /// The height of a value between 0 and `most`.
    pub(super) fn y(self, value: f64, most: f64) -> f64 {
        self.bottom() - self.height * (value / most).clamp(0.0, 1.0)
    }
}

/// The drawing's measures.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    page: &'a Page,
    mark_rows: usize,
}

impl<'a> Frame<'a> {
    pub(super) fn of(page: &'a Page, mark_rows: usize) -> Self {
        Self { page, mark_rows }
    }

    pub(super) fn width(&self) -> String {
        short(WIDTH)
    }

    pub(super) fn height(&self) -> String {
        short(self.live().bottom() + AXIS)
    }

    pub(super) fn left(&self) -> f64 {
        LEFT
    }

    pub(super) fn right(&self) -> f64 {
        WIDTH - RIGHT
    }

    pub(super) fn mark_y(&self, row: usize) -> f64 {
        MARK_ROW.mul_add(small(row), TITLE + MARK_ROW / 2.0)
    }

    pub(super) fn shares(&self) -> Area {
        Area { top: MARK_ROW.mul_add(small(self.mark_rows), TITLE + 14.0), height: SHARES }
    }

    pub(super) fn live(&self) -> Area {
        Area { top: self.shares().bottom() + AXIS + TITLE + 14.0, height: LIVE }
    }

    pub(super) fn x(&self, at: Timestamp) -> f64 {
        x(self.page, at)
    }

    /// Lines at these values, and times.
    pub(super) fn behind(&self, area: Area, values: &[(f64, String)]) -> Markup {
        let ticks = ticks(self.page);
        let (left, right) = (short(LEFT), short(self.right()));
        let bottom = short(area.bottom());
        html! {
            @for (y, label) in values {
                line x1=(left) x2=(right) y1=(short(*y)) y2=(short(*y)) class="grid" {}
                text x=(short(LEFT - 8.0)) y=(short(y + 4.0)) class="tick end" { (label) }
            }
            @for (at, label, below) in &ticks {
                @let x = short(self.x(*at));
                line x1=(x) x2=(x) y1=(bottom) y2=(short(area.bottom() + 5.0)) class="axis" {}
                text x=(x) y=(short(area.bottom() + 19.0)) class="tick middle" { (label) }
                @if !below.is_empty() {
                    text x=(x) y=(short(area.bottom() + 34.0)) class="tick middle" { (below) }
                }
            }
            line x1=(left) x2=(right) y1=(bottom) y2=(bottom) class="axis" {}
        }
    }
}

/// Where a time is, from left to right.
pub(super) fn x(page: &Page, at: Timestamp) -> f64 {
    let at = at.clamp(page.from, page.to.max(page.from));
    let part = (at - page.from).as_secs_f64() / (page.to - page.from).as_secs_f64().max(0.001);
    (WIDTH - RIGHT - LEFT).mul_add(part.min(1.0), LEFT)
}

/// Times that get a label, with what is written, in one or two lines.
fn ticks(page: &Page) -> Vec<(Timestamp, String, String)> {
    let origin = match page.scale {
        Scale::Utc => 0,
        Scale::Since(start) => start.as_millis(),
    };
    let seconds = (page.to - page.from).as_secs();
    let step = STEPS.into_iter().find(|step| seconds / step <= MOST_TICKS).unwrap_or(STEPS[STEPS.len() - 1]);
    let from = page.from.as_millis().saturating_sub(origin).div_ceil(step * 1000);
    let until = page.to.as_millis().saturating_sub(origin) / (step * 1000);
    let mut day = String::new();
    let tick = |number: u64| {
        let at = Timestamp::from_millis(origin + number * step * 1000);
        if let Scale::Since(start) = page.scale {
            return (at, words::lasting(at.since(start)), String::new());
        }
        let date = words::calendar("%-d %b", at);
        if step >= 86_400 {
            return (at, date, String::new());
        }
        let below = if day == date { String::new() } else { date.clone() };
        day = date;
        (at, words::calendar(if step < 60 { "%H:%M:%S" } else { "%H:%M" }, at), below)
    };
    (from..=until.min(from + 2 * MOST_TICKS)).map(tick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_some_labels_and_never_many() {
        for seconds in [0, 1, 7, 61, 3599, 7201, 86_400, 90_001, 5_000_000, 400_000_000] {
            for (scale, start) in [(Scale::Utc, 1_795_000_123_456), (Scale::Since(Timestamp::from_millis(77)), 77)] {
                let from = Timestamp::from_millis(start);
                let mut page = Page::new("a page", from, from + std::time::Duration::from_secs(seconds));
                page.scale = scale;
                let ticks = ticks(&page);
                assert!(ticks.len() <= 17 && (seconds < 2 || ticks.len() >= 2), "{seconds}: {ticks:?}");
                assert!(ticks.iter().all(|(at, ..)| *at >= page.from && *at <= page.to), "{seconds}: {ticks:?}");
            }
        }
    }

    #[test]
    fn the_date_is_said_where_it_begins() {
        // 22 November 2026, 22:00.
        let from = Timestamp::from_millis(1_795_384_800_000);
        let page = Page::new("a page", from, from + std::time::Duration::from_secs(4 * 3600));
        let told: Vec<String> = ticks(&page).into_iter().map(|(_, time, day)| format!("{time} {day}")).collect();
        assert_eq!(told[0], "22:00 22 Nov");
        assert!(told.contains(&"00:00 23 Nov".to_owned()) && told.contains(&"23:30 ".to_owned()), "{told:?}");
    }
}
