//! What the classic builder says: steps, and lines that these print.

use std::collections::VecDeque;

/// How many lines of a step are kept for the error of its failure.
const KEPT_LINES: usize = 20;

/// A step of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) number: u32,
    pub(super) of: u32,
    pub(super) text: String,
}

/// What the builder said next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Step(Step),
    Line(String),
}

/// The output of a build so far.
#[derive(Default)]
pub(super) struct Steps {
    unfinished: String,
    step: Option<Step>,
    last: VecDeque<String>,
    /// Whether the image is there. What comes then is the builder's, not a step's.
    built: bool,
}

impl Steps {
    /// Takes a piece of the output, which may end within a line.
    pub(super) fn take(&mut self, piece: &str) -> Vec<Said> {
        self.unfinished.push_str(piece);
        let mut said = Vec::new();
        while let Some(end) = self.unfinished.find('\n') {
            let line: String = self.unfinished.drain(..=end).collect();
            said.extend(self.line(&line));
        }
        said
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) -> Option<Said> {
        let line = std::mem::take(&mut self.unfinished);
        self.line(&line)
    }

    pub(super) fn built(&mut self) {
        self.built = true;
    }

    /// The step that runs.
    pub(super) fn step(&self) -> Option<&Step> {
        self.step.as_ref()
    }

    /// The last lines of the step that runs.
    pub(super) fn last_lines(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    fn line(&mut self, line: &str) -> Option<Said> {
        let line = plain(line);
        if let Some(step) = step(&line) {
            self.step = Some(step.clone());
            self.last.clear();
            return Some(Said::Step(step));
        }
        // Of the builder itself.
        let own = line.starts_with(" ---> ") || line.starts_with("Removing intermediate container ");
        if line.is_empty() || own || self.built {
            return None;
        }
        if self.last.len() == KEPT_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        Some(Said::Line(line))
    }
}

/// `Step 2/7 : RUN make`, or `STEP 2/7: RUN make` of podman.
fn step(line: &str) -> Option<Step> {
    let rest = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP "))?;
    let (count, text) = rest.split_once(':')?;
    let (number, of) = count.trim().split_once('/')?;
    Some(Step { number: number.parse().ok()?, of: of.parse().ok()?, text: text.trim().to_owned() })
}

/// The line without its end, and without the colour that the classic builder gives to what comes from standard error.
fn plain(line: &str) -> String {
    let line = line.trim_end_matches(['\n', '\r']);
    let line = line.replace("\u{1b}[91m", "").replace("\u{1b}[0m", "");
    // What a program wrote over within its line.
    line.rsplit('\r').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_lines_are_found_however_they_are_cut() {
        let text = "Step 1/2 : FROM shop:v1\n ---> 12d24296d95a\nStep 2/2 : RUN make all: none\n ---> Running in 391f130f\n\
                    one\n\u{1b}[91mtwo\n\u{1b}[0m10%\r50%\r100%\r\nRemoving intermediate container 391f130f\nlast";
        let step = |number, text: &str| Said::Step(Step { number, of: 2, text: text.to_owned() });
        let line = |text: &str| Said::Line(text.to_owned());
        for piece in [1, 2, 7, 1000] {
            let mut steps = Steps::default();
            let mut said = Vec::new();
            let pieces: Vec<char> = text.chars().collect();
            pieces.chunks(piece).for_each(|piece| said.extend(steps.take(&piece.iter().collect::<String>())));
            said.extend(steps.end());
            let expected = [step(1, "FROM shop:v1"), step(2, "RUN make all: none"), line("one"), line("two")];
            assert_eq!(said[..4], expected);
            assert_eq!(said[4..], [line("100%"), line("last")]);
            assert_eq!(steps.last_lines().collect::<Vec<_>>(), ["one", "two", "100%", "last"]);
        }
    }

    #[test]
    fn only_the_last_lines_of_the_last_step_are_kept() {
        let mut steps = Steps::default();
        steps.take("STEP 1/2: RUN a\nof the first\nSTEP 2/2: RUN b\n");
        (0..100).for_each(|number| drop(steps.take(&format!("{number}\n"))));
        let last: Vec<&str> = steps.last_lines().collect();
        assert_eq!((last.len(), last[0], last[19]), (KEPT_LINES, "80", "99"));
        steps.built();
        assert_eq!(steps.take("Successfully built 12d24296d95a\n"), []);
    }
}
