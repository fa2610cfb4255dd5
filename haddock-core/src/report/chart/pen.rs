//! What all drawing uses.

use crate::report::model::Tone;

/// The number of styles for versions. Further versions begin anew.
pub(in crate::report) const STYLES: usize = 6;

/// The class of what is neutral, good or bad.
pub(in crate::report) fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Neutral => "neutral",
        Tone::Good => "good",
        Tone::Bad => "bad",
    }
}

/// A length for SVG: a tenth of a unit is finer than anybody sees.
pub(super) fn short(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A small count as a length.
pub(super) fn small(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}
