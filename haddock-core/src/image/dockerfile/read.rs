//! Reads the instructions of a Dockerfile.

use std::collections::BTreeSet;
use std::ops::Range;

use parse_dockerfile::{Flag, Instruction, ParseIter, Source as CopySource};

use super::heredoc;
use super::parts::{Global, Parts, Source, Stage, UsedBy, place, wrong};
use super::words::{Word, option_fields, option_word, split};
use crate::error::{Error, Place, Result};

const BOM: char = '\u{feff}';
/// What Docker knows.
const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];
/// The arguments that BuildKit sets by itself.
const PLATFORM_ARGS: [&str; 2] = ["BUILD", "TARGET"];

pub(super) fn read(file: &str, text: &str) -> Result<Parts> {
    let mut reader = Reader {
        file: Parts {
            file: file.to_owned(),
            text: text.to_owned(),
            escape: '\\',
            globals: Vec::new(),
            args: BTreeSet::new(),
            stages: Vec::new(),
            buildkit: None,
        },
        // The parser counts from behind the byte order mark.
        shift: if text.starts_with(BOM) { BOM.len_utf8() } else { 0 },
    };
    reader.directives()?;
    let body = &text[reader.shift..];
    let (body, heredocs) = heredoc::hidden(body, reader.file.escape).map_err(|(at, end)| {
        let hint = format!("end it by a line `{end}`");
        wrong("a here-document does not end", &hint, place(file, text, at + reader.shift))
    })?;
    for instruction in reader.parser(&body)? {
        let instruction = instruction.map_err(|error| reader.unreadable(&error))?;
        reader.instruction(&instruction)?;
    }
    if let Some(at) = heredocs.first() {
        reader.needs(*at, "a here-document");
    }
    Ok(reader.file)
}

struct Reader {
    file: Parts,
    shift: usize,
}

impl Reader {
    fn parser<'t>(&self, body: &'t str) -> Result<ParseIter<'t>> {
        parse_dockerfile::parse_iter(body).map_err(|error| self.unreadable(&error))
    }

    fn at(&self, at: usize) -> Place {
        place(&self.file.file, &self.file.text, at)
    }

    fn span(&self, span: &Range<usize>) -> Range<usize> {
        span.start + self.shift..span.end + self.shift
    }

    /// `# escape=` and `# syntax=`. The parser reads the first, but does not say what it read before its end.
    fn directives(&mut self) -> Result<()> {
        let text = self.file.text.clone();
        let mut at = self.shift;
        let mut escapes = 0;
        for line in text[self.shift..].split_inclusive('\n') {
            let directive = line.trim_start().strip_prefix('#').and_then(|rest| rest.split_once('='));
            let Some((name, value)) = directive else { break };
            let name = name.trim().to_ascii_lowercase();
            escapes += usize::from(name == "escape");
            if escapes > 1 {
                return Err(wrong("`escape` stands here a second time", "keep one of them", self.at(at)));
            }
            match (name.as_str(), value.trim()) {
                ("escape", "`") => self.file.escape = '`',
                ("escape", "\\") | ("check", _) => {}
                ("escape", value) => {
                    let message = format!("`{value}` cannot be the character of `escape`");
                    return Err(wrong(&message, "write `\\`, or a backtick", self.at(at)));
                }
                ("syntax", _) => self.needs(at - self.shift, "`# syntax`"),
                _ => break,
            }
            at += line.len();
        }
        Ok(())
    }

    /// Notes that a builder without BuildKit cannot build this. The first place counts.
    fn needs(&mut self, at: usize, what: &str) {
        let at = self.at(at + self.shift);
        let is_earlier =
            self.file.buildkit.as_ref().is_none_or(|(_, place)| (at.line, at.column) < (place.line, place.column));
        if is_earlier {
            self.file.buildkit = Some((what.to_owned(), at));
        }
    }

    fn instruction(&mut self, instruction: &Instruction<'_>) -> Result<()> {
        match instruction {
            Instruction::Arg(arg) => {
                let words = split(&arg.arguments.value, self.file.escape);
                let names = words.iter().map(|word| word.split_once('=').map_or(word.as_str(), |(name, _)| name));
                self.file.args.extend(names.map(str::to_owned));
                if self.file.stages.is_empty() {
                    return self.globals(&words, arg.arg.span.start + self.shift);
                }
                if let Some(name) = words.iter().find(|word| is_platform_arg(word)) {
                    self.needs(arg.arg.span.start, &format!("`ARG {name}`"));
                }
            }
            Instruction::From(from) => self.from(from)?,
            Instruction::Copy(copy) => {
                self.options("COPY", &copy.options, &["from", "chown"]);
                if copy.src.iter().any(|source| matches!(source, CopySource::HereDoc(_))) {
                    self.needs(copy.copy.span.start, "a here-document");
                }
                let from: Vec<&Flag<'_>> = copy.options.iter().filter(|flag| flag.name.value == "from").collect();
                if let Some(second) = from.get(1) {
                    return Err(self.twice("--from", second));
                }
                if let Some(value) = from.first().and_then(|flag| flag.value.as_ref()) {
                    let word = option_word(&self.file.text, self.span(&value.span), self.file.escape);
                    self.source(UsedBy::Copy, word)?;
                }
            }
            Instruction::Add(add) => {
                self.options("ADD", &add.options, &["chown"]);
                if add.src.iter().any(|source| matches!(source, CopySource::HereDoc(_))) {
                    self.needs(add.add.span.start, "a here-document");
                }
            }
            Instruction::Run(run) => {
                self.options("RUN", &run.options, &[]);
                if !run.here_docs.is_empty() {
                    self.needs(run.run.span.start, "a here-document");
                }
                for value in
                    run.options.iter().filter(|flag| flag.name.value == "mount").filter_map(|f| f.value.as_ref())
                {
                    self.mount(&value.span)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn twice(&self, name: &str, flag: &Flag<'_>) -> Error {
        let at = self.at(flag.flag_span().start + self.shift);
        wrong(&format!("`{name}` stands here a second time"), "keep one of them", at)
    }

    fn options(&mut self, instruction: &str, options: &[Flag<'_>], classic: &[&str]) {
        if let Some(flag) = options.iter().find(|flag| !classic.contains(&flag.name.value.as_ref())) {
            self.needs(flag.flag_span().start, &format!("`{instruction} --{}`", flag.name.value));
        }
    }

    fn globals(&mut self, words: &[String], at: usize) -> Result<()> {
        for word in words {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(default.to_owned())),
                None => (word.as_str(), None),
            };
            if name.is_empty() {
                return Err(wrong("an argument has no name", "write `ARG NAME=value`", self.at(at)));
            }
            self.file.globals.push(Global { name: name.to_owned(), default, at });
        }
        Ok(())
    }

    fn from(&mut self, from: &parse_dockerfile::FromInstruction<'_>) -> Result<()> {
        let mut platform = None;
        for flag in &from.options {
            match (flag.name.value.as_ref(), &flag.value) {
                ("platform", _) if platform.is_some() => return Err(self.twice("--platform", flag)),
                ("platform", Some(value)) => {
                    platform = Some(option_word(&self.file.text, self.span(&value.span), self.file.escape));
                }
                (name, _) => {
                    let message = match name {
                        "platform" => "`--platform` names no platform".to_owned(),
                        name => format!("`FROM` has no option `--{name}`"),
                    };
                    let at = self.at(flag.flag_span().start + self.shift);
                    return Err(wrong(&message, "its only option is `--platform=os/architecture`", at));
                }
            }
        }
        // What is empty as written counts as none; what an argument leaves empty is refused.
        let platform = platform.filter(|word| !word.text.is_empty());
        let image = Word { text: from.image.value.clone().into_owned(), span: self.span(&from.image.span) };
        let asks = |word: &Word| PLATFORM_ARGS.iter().any(|prefix| asks_for(&word.text, prefix));
        if asks(&image) || platform.as_ref().is_some_and(asks) {
            self.needs(from.from.span.start, "an argument for the platform in `FROM`");
        }
        let name = match &from.as_ {
            None => None,
            Some((_, name)) => {
                let lower = name.value.to_lowercase();
                let begins = lower.starts_with(|c: char| c.is_ascii_lowercase());
                let goes_on = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
                if !begins || !lower.chars().all(goes_on) {
                    let message = format!("`{}` cannot be the name of a stage", name.value);
                    let hint = "begin it with a letter, and use letters, digits, `-`, `_` and `.`";
                    return Err(wrong(&message, hint, self.at(name.span.start + self.shift)));
                }
                Some(lower)
            }
        };
        self.file.stages.push(Stage { image, platform, name, sources: Vec::new() });
        Ok(())
    }

    fn mount(&mut self, span: &Range<usize>) -> Result<()> {
        // The last counts. BuildKit looks at the image even for a mount that takes no files from it.
        let fields = option_fields(&self.file.text, self.span(span), self.file.escape);
        match fields.into_iter().rfind(|(key, _)| key == "from") {
            Some((_, word)) => self.source(UsedBy::Mount, word),
            None => Ok(()),
        }
    }

    fn source(&mut self, by: UsedBy, word: Word) -> Result<()> {
        if word.text.contains('$') {
            let message = format!("`{}` in `{by}` is not expanded by Docker", word.text);
            let hint = format!("add a stage `FROM {} AS name`, and write `{by}=name`", word.text);
            return Err(wrong(&message, &hint, self.at(word.span.start)));
        }
        if let (Some(stage), false) = (self.file.stages.last_mut(), word.text.is_empty()) {
            stage.sources.push(Source { by, word });
        }
        Ok(())
    }

    /// The parser's error as ours.
    fn unreadable(&self, error: &parse_dockerfile::Error) -> Error {
        let message = format!("{error:#}").replace('\'', "`");
        let mut at = Place { file: self.file.file.clone(), line: 1, column: 1, key: String::new() };
        if let Some(line) = error.line().checked_sub(1) {
            let text = self.file.text[self.shift..].split('\n').nth(line).unwrap_or_default();
            // The parser counts bytes.
            let before = text.as_bytes().get(..error.column().saturating_sub(1)).unwrap_or(text.as_bytes());
            at.line = line as u64 + 1;
            at.column = String::from_utf8_lossy(before).chars().count() as u64 + 1;
        }
        let unknown = message.strip_prefix("unknown instruction `").and_then(|rest| rest.strip_suffix('`'));
        let hint = match (unknown, message.as_str()) {
            (Some(word), _) => {
                let word = word.to_uppercase();
                let distance = |known: &&str| strsim::damerau_levenshtein(known, &word);
                let nearest = INSTRUCTIONS.into_iter().min_by_key(distance).filter(|known| distance(known) <= 2);
                match nearest {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "look at the line before: does it lack the character that continues it?".to_owned(),
                }
            }
            (None, message) if message.contains("FROM") => "begin a stage with `FROM image`".to_owned(),
            (None, "expected AS") => "write `FROM image` or `FROM image AS name`".to_owned(),
            _ => "Docker refuses this line, too".to_owned(),
        };
        wrong(&message, &hint, at)
    }
}

fn is_platform_arg(word: &str) -> bool {
    PLATFORM_ARGS.iter().any(|prefix| {
        let rest = word.strip_prefix(prefix);
        rest.is_some_and(|rest| matches!(rest, "PLATFORM" | "OS" | "ARCH" | "VARIANT"))
    })
}

/// Whether a text names an argument such as `$TARGETARCH`.
fn asks_for(text: &str, prefix: &str) -> bool {
    text.split('$').skip(1).any(|rest| {
        let name = rest.strip_prefix('{').unwrap_or(rest);
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        name.starts_with(prefix) && is_platform_arg(&name[..end])
    })
}
