//! The charts of a page, as one drawing.

mod frame;
mod live;
mod marks;
mod pen;
mod shares;

use maud::{Markup, html};

use super::model::Page;
pub(super) use marks::{Numbered, numbered};
pub(super) use pen::{STYLES, tone};

use frame::Frame;

/// Draws shares, live sessions, and above them what happened.
pub(super) fn draw(page: &Page, marks: &[Numbered<'_>]) -> Markup {
    let frame = Frame::of(page, marks::rows(page, marks));
    html! {
        svg viewBox={ "0 0 " (frame.width()) " " (frame.height()) } class="charts" xmlns="http://www.w3.org/2000/svg" {
            (patterns())
            (shares::draw(page, &frame))
            (live::draw(page, &frame))
            (marks::draw(page, &frame, marks))
        }
    }
}

/// What fills the share of a version. In print and for every eye, they differ by more than their colour.
fn patterns() -> Markup {
    const LINES: [&str; STYLES] = [
        "",
        "M-2 10 L10 -2 M6 18 L18 6 M-2 18 L18 -2",
        "M4 0 V16 M12 0 V16",
        "M4 3 h2 M12 11 h2",
        "M-2 6 L10 18 M6 -2 L18 10 M-2 -2 L18 18",
        "M0 4 H16 M0 12 H16",
    ];
    html! {
        defs {
            @for (style, line) in LINES.iter().enumerate() {
                pattern id={ "p" (style) } width="16" height="16" patternUnits="userSpaceOnUse" {
                    rect width="16" height="16" class={ "wash s" (style) } {}
                    path d=(line) class={ "hatch s" (style) } {}
                }
            }
        }
    }
}
