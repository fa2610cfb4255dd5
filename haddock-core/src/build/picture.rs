//! A tree of images as a picture: each level is a column, and arrows lead from an image to those that need it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::state::{ImageState, TreeImageState};

/// All lengths are in pixels. In a monospaced font, a character of 13 pixels is 0.6 of it wide.
const CHARACTER: f64 = 7.8;
const LINE: f64 = 18.0;
const PADDING: f64 = 10.0;
const BETWEEN_COLUMNS: f64 = 56.0;
const BETWEEN_ROWS: f64 = 16.0;
const MARGIN: f64 = 16.0;
/// The height of an arrow that passes a column.
const PASS: f64 = 6.0;
/// How often the rows of a level are put in the order of what they need. More passes change little.
const PASSES: usize = 4;

/// A place in a column: of an image, or of an arrow that passes the column.
struct Slot {
    image: Option<usize>,
    /// The slots in the column before that lead here.
    from: Vec<usize>,
    top: f64,
    height: f64,
}

impl Slot {
    fn middle(&self) -> f64 {
        self.top + self.height / 2.0
    }
}

/// An arrow, from slot to slot, one in each column.
struct Arrow {
    from: usize,
    to: usize,
    slots: Vec<usize>,
}

impl TreeImageState {
    /// Draws images as SVG. They come each after what it needs, as [`Images::states`](super::Images::states) has them.
    ///
    /// The state of an image is shown by a colour and in words. The picture needs no fonts or files from elsewhere.
    ///
    /// ```
    /// use haddock_core::build::TreeImageState;
    ///
    /// let base = r#"{"name": "base", "path": "base/Dockerfile", "base": null, "depends_on": [], "reference": "base:v1",
    ///                "state": "there"}"#;
    /// let base: TreeImageState = serde_json::from_str(base).unwrap();
    /// assert!(TreeImageState::picture(&[base], "the images at `v1`").starts_with("<svg "));
    /// ```
    #[must_use]
    pub fn picture(images: &[Self], title: &str) -> String {
        let drawing = Drawing::of(images);
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = drawing.write(&mut svg, title, drawing.width, drawing.height);
        svg
    }
}

struct Drawing<'a> {
    images: &'a [TreeImageState],
    slots: Vec<Slot>,
    columns: Vec<Vec<usize>>,
    arrows: Vec<Arrow>,
    /// Where each column begins, and how wide it is.
    places: Vec<(f64, f64)>,
    width: f64,
    height: f64,
}

impl<'a> Drawing<'a> {
    fn of(images: &'a [TreeImageState]) -> Self {
        let levels = levels(images);
        let slots = images.iter().enumerate().map(|(image, it)| Slot {
            image: Some(image),
            from: Vec::new(),
            top: 0.0,
            height: 2.0_f64.mul_add(PADDING, LINE * lines(it).len().cast()),
        });
        let mut columns = vec![Vec::new(); levels.iter().max().map_or(0, |level| level + 1)];
        for (image, level) in levels.iter().enumerate() {
            columns[*level].push(image);
        }
        let (arrows, places) = (Vec::new(), Vec::new());
        let mut drawing = Self { images, slots: slots.collect(), columns, arrows, places, width: 0.0, height: 0.0 };
        drawing.lead_arrows(&levels);
        drawing.order_rows();
        drawing.place();
        drawing
    }

    fn lead_arrows(&mut self, levels: &[usize]) {
        let places: BTreeMap<&str, usize> =
            self.images.iter().enumerate().map(|(index, image)| (image.name.as_str(), index)).collect();
        for (to, image) in self.images.iter().enumerate() {
            for from in image.depends_on.iter().filter_map(|name| places.get(name.as_str()).copied()) {
                let mut slots = vec![from];
                for level in levels[from] + 1..levels[to] {
                    let before = slots[slots.len() - 1];
                    self.slots.push(Slot { image: None, from: vec![before], top: 0.0, height: PASS });
                    self.columns[level].push(self.slots.len() - 1);
                    slots.push(self.slots.len() - 1);
                }
                self.slots[to].from.push(slots[slots.len() - 1]);
                slots.push(to);
                self.arrows.push(Arrow { from, to, slots });
            }
        }
    }

    /// What needs the same is put together, so that few arrows cross.
    fn order_rows(&mut self) {
        for _ in 0..PASSES {
            self.place();
            for column in &mut self.columns {
                let slots = &self.slots;
                let wish = |slot: &usize| match slots[*slot].from.as_slice() {
                    [] => slots[*slot].middle(),
                    from => from.iter().map(|slot| slots[*slot].middle()).sum::<f64>() / from.len().cast(),
                };
                column.sort_by(|a, b| wish(a).total_cmp(&wish(b)));
            }
        }
        self.place();
    }

    fn place(&mut self) {
        let heights = self.columns.iter().map(|column| {
            column.iter().map(|slot| self.slots[*slot].height + BETWEEN_ROWS).sum::<f64>() - BETWEEN_ROWS
        });
        let heights: Vec<f64> = heights.collect();
        let tallest = heights.iter().copied().fold(0.0, f64::max);
        let mut left = MARGIN;
        self.places.clear();
        for (column, height) in self.columns.iter().zip(heights) {
            let mut top = MARGIN + (tallest - height) / 2.0;
            let mut longest = 0;
            for slot in column {
                let slot = &mut self.slots[*slot];
                slot.top = top;
                top += slot.height + BETWEEN_ROWS;
                let lines = slot.image.map(|image| lines(&self.images[image])).unwrap_or_default();
                longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).max(longest);
            }
            let width = 2.0_f64.mul_add(PADDING, CHARACTER * longest.cast());
            self.places.push((left, width));
            left += width + BETWEEN_COLUMNS;
        }
        self.width = (left - BETWEEN_COLUMNS).max(MARGIN) + MARGIN;
        self.height = 2.0_f64.mul_add(MARGIN, tallest);
    }

    fn write(&self, svg: &mut String, title: &str, width: f64, height: f64) -> std::fmt::Result {
        writeln!(
            svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="haddock-images" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" font-family="ui-monospace, monospace" font-size="13" fill="#1f2328">"##,
        )?;
        writeln!(svg, r#"<title id="haddock-images">{}</title>"#, escaped(title))?;
        svg.push_str(concat!(
            r##"<defs><marker id="haddock-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#57606a"/></marker></defs>"##,
            "\n",
            r##"<rect width="100%" height="100%" fill="#ffffff"/>"##,
            "\n",
        ));
        for arrow in &self.arrows {
            self.write_arrow(svg, arrow)?;
        }
        for (column, place) in self.columns.iter().zip(&self.places) {
            for slot in column {
                self.write_image(svg, &self.slots[*slot], *place)?;
            }
        }
        svg.push_str("</svg>\n");
        Ok(())
    }

    fn write_arrow(&self, svg: &mut String, arrow: &Arrow) -> std::fmt::Result {
        let [from, to] = [arrow.from, arrow.to].map(|image| escaped(&self.images[image].name));
        let mut path = String::new();
        let first = self.column_of(arrow.from);
        for (step, pair) in arrow.slots.windows(2).enumerate() {
            let [(left, width), (next, next_width)] = [self.places[first + step], self.places[first + step + 1]];
            let [y, to_y] = [pair[0], pair[1]].map(|slot| self.slots[slot].middle());
            let middle = f64::midpoint(left + width, next);
            if step == 0 {
                write!(path, "M{:.1} {y:.1}", left + width)?;
            }
            write!(path, " C{middle:.1} {y:.1} {middle:.1} {to_y:.1} {next:.1} {to_y:.1}")?;
            if step + 2 < arrow.slots.len() {
                write!(path, " H{:.1}", next + next_width)?;
            }
        }
        writeln!(
            svg,
            r##"<path class="arrow" data-from="{from}" data-to="{to}" d="{path}" fill="none" stroke="#57606a" stroke-width="1.5" marker-end="url(#haddock-arrow)"/>"##,
        )
    }

    fn column_of(&self, slot: usize) -> usize {
        self.columns.iter().position(|column| column.contains(&slot)).expect("each slot is in a column")
    }

    fn write_image(&self, svg: &mut String, slot: &Slot, (left, width): (f64, f64)) -> std::fmt::Result {
        let Some(image) = slot.image.map(|image| &self.images[image]) else { return Ok(()) };
        let (name, reference) = (escaped(&image.name), escaped(&image.reference.to_string()));
        let (fill, line, dashes) = colours(image.state);
        writeln!(svg, r#"<g class="image" data-name="{name}" data-state="{}">"#, image.state)?;
        writeln!(svg, "<title>{reference}</title>")?;
        writeln!(
            svg,
            r#"<rect x="{left:.1}" y="{:.1}" width="{width:.1}" height="{:.1}" rx="6" fill="{fill}" stroke="{line}" stroke-width="1.5"{dashes}/>"#,
            slot.top, slot.height,
        )?;
        for (number, text) in lines(image).iter().enumerate() {
            let baseline = LINE.mul_add(number.cast(), slot.top + PADDING) + 13.0;
            let weight = if number == 0 { r#" font-weight="bold""# } else { "" };
            writeln!(svg, r#"<text x="{:.1}" y="{baseline:.1}"{weight}>{}</text>"#, left + PADDING, escaped(text))?;
        }
        svg.push_str("</g>\n");
        Ok(())
    }
}

/// How many images an image has before it on the longest way.
fn levels(images: &[TreeImageState]) -> Vec<usize> {
    let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
    let mut of_each = Vec::with_capacity(images.len());
    for image in images {
        let before = image.depends_on.iter().filter_map(|name| levels.get(name.as_str())).max();
        let level = before.map_or(0, |level| level + 1);
        levels.insert(&image.name, level);
        of_each.push(level);
    }
    of_each
}

/// What is written in the box of an image.
fn lines(image: &TreeImageState) -> Vec<String> {
    let is_needed =
        |base: &&String| image.depends_on.iter().any(|name| base.rsplit('/').next() == name.rsplit('/').next());
    let outside = image.base.as_ref().filter(|base| !is_needed(base));
    let mut lines = vec![image.name.clone()];
    lines.extend(outside.map(|base| format!("from {base}")));
    lines.push(image.state.to_string());
    lines
}

/// The fill, the line, and whether the line is dashed.
fn colours(state: ImageState) -> (&'static str, &'static str, &'static str) {
    match state {
        ImageState::There => ("#dafbe1", "#1a7f37", ""),
        ImageState::Changed => ("#fff8c5", "#9a6700", ""),
        ImageState::Missing => ("#ffebe9", "#cf222e", r#" stroke-dasharray="5 3""#),
        ImageState::Unknown => ("#f6f8fa", "#57606a", r#" stroke-dasharray="2 3""#),
    }
}

/// As a text or an attribute of XML, which has no place for control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A small count as a length.
trait Cast {
    fn cast(self) -> f64;
}

impl Cast for usize {
    fn cast(self) -> f64 {
        u32::try_from(self).map_or(f64::MAX, f64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ImageReference;

    fn image(name: &str, base: Option<&str>, depends_on: &[&str], state: ImageState) -> TreeImageState {
        TreeImageState {
            name: name.to_owned(),
            path: format!("{name}/Dockerfile").into(),
            base: base.map(str::to_owned),
            depends_on: depends_on.iter().map(|it| (*it).to_owned()).collect(),
            reference: ImageReference::parse("r.local/app:v1").expect("a reference"),
            state,
        }
    }

    #[test]
    fn each_image_has_a_box_and_each_need_an_arrow() {
        let tree = [
            image("debian", Some("debian:12"), &[], ImageState::There),
            image("java", Some("debian"), &["debian"], ImageState::Changed),
            // It also takes a file of an image that is two levels before it.
            image("app", Some("java"), &["java", "debian"], ImageState::Missing),
        ];
        let svg = TreeImageState::picture(&tree, "the images at `v1`");
        assert_eq!((svg.matches("class=\"image\"").count(), svg.matches("class=\"arrow\"").count()), (3, 3));
        for (from, to) in [("debian", "java"), ("java", "app"), ("debian", "app")] {
            assert_eq!(svg.matches(&format!("data-from=\"{from}\" data-to=\"{to}\"")).count(), 1, "{svg}");
        }
        for text in [">from debian:12<", ">there<", ">changed<", ">missing<", ">the images at `v1`<"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert_eq!(levels(&tree), [0, 1, 2]);
    }

    #[test]
    fn no_two_boxes_overlap_and_all_are_within_the_picture() {
        let mut tree = vec![image("base", None, &[], ImageState::Unknown)];
        for number in 0..20 {
            tree.push(image(&format!("a{number}"), Some("base"), &["base"], ImageState::Unknown));
            let needed = format!("a{}", number / 2);
            tree.push(image(&format!("b{number}"), Some(&needed), &[&needed, "base"], ImageState::Unknown));
        }
        let drawing = Drawing::of(&tree);
        for column in &drawing.columns {
            for pair in column.windows(2) {
                let [above, below] = [pair[0], pair[1]].map(|slot| &drawing.slots[slot]);
                assert!(above.top + above.height < below.top);
            }
            let last = &drawing.slots[*column.last().expect("not empty")];
            assert!(last.top + last.height <= drawing.height);
        }
        assert_eq!(drawing.arrows.len(), 60);
        assert!(drawing.places.iter().all(|(left, width)| left + width < drawing.width));
    }

    #[test]
    fn texts_cannot_break_out() {
        let odd = image("a\"><script>&'\u{1}", Some("${X:-\"<b>\"}"), &[], ImageState::There);
        let svg = TreeImageState::picture(&[odd], "<!-- & -->");
        assert!(!svg.contains("<script>") && !svg.contains("<b>") && !svg.contains("<!--"), "{svg}");
        assert!(svg.contains("a&quot;&gt;&lt;script&gt;&amp;&#39;\u{fffd}"), "{svg}");
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(TreeImageState::picture(&[], "no images").contains("</svg>"));
    }
}
