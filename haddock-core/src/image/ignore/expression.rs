//! Regular expressions in Go's syntax, as Docker makes them of patterns, written anew for `regex-lite`.
//!
//! The two agree on what operators mean, and differ in what they accept, in the escapes, and inside of `[…]`. So every
//! character that stands for itself is written by its number. Of Go's syntax there is what a pattern can lead to: each
//! `(` is that of `(.*/)?`, so there are no flags and no other groups. See <https://pkg.go.dev/regexp/syntax>.

use std::str::Chars;

use regex_lite::Regex;

use super::fault::Fault;

/// The most repetitions that Go accepts.
const MOST_REPETITIONS: u32 = 1000;
/// `\s` in Go: no vertical tab, unlike in `regex-lite`.
const SPACE: &str = r"\x{9}\x{A}\x{C}\x{D}\x{20}";
/// `\S` in Go.
const NO_SPACE: &str = r"\x{0}-\x{8}\x{B}\x{E}-\x{1F}\x{21}-\x{10FFFF}";
/// The sets that have a name, as `[:alpha:]`.
const NAMED_SETS: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

const OPEN: Fault =
    Fault { reason: "a `[` has no `]` in the expression that Docker makes of it", hint: "write `\\[` for a bracket" };
const ESCAPE: Fault = Fault {
    reason: "Docker does not know one of its escapes with `\\`",
    hint: "write `/` between folders, and no `\\` before a letter",
};
const UNICODE: Fault = Fault {
    reason: "`\\p` is a Unicode class in Docker, which Haddock does not know",
    hint: "write `/` between folders, and no `\\` before a letter",
};
const BACKWARDS: Fault = Fault {
    reason: "a range in `[…]` ends before it begins",
    hint: "write the lower character first, such as `[a-z]`",
};
const NAME: Fault =
    Fault { reason: "Docker does not know the `[:…:]` in it", hint: "name a set such as `[:alpha:]`" };
const REPEATED: Fault = Fault {
    reason: "its `{…}` is a repetition in Docker, and has nothing to repeat",
    hint: "write `\\{` for a brace that is part of a name",
};
const TOO_MANY: Fault = Fault {
    reason: "its `{…}` is a repetition in Docker, of more than 1000 times or with the larger number first",
    hint: "write `\\{` for a brace that is part of a name",
};
const TOO_LARGE: Fault = Fault { reason: "it is too large", hint: "write several patterns" };

/// What stands in front of an operator that repeats.
#[derive(PartialEq)]
enum Before {
    Nothing,
    Item,
    Repetition,
}

/// What one place of a set, or an escape, stands for.
enum Member {
    Character(char),
    /// As it is written within `[…]`.
    Set(&'static str),
}

struct Translation<'a> {
    rest: Chars<'a>,
    out: String,
    before: Before,
}

pub(super) fn compile(expression: &str) -> Result<Regex, Fault> {
    let mut translation = Translation { rest: expression.chars(), out: String::new(), before: Before::Nothing };
    while let Some(c) = translation.rest.next() {
        translation.part(c)?;
    }
    Regex::new(&translation.out).map_err(|_| TOO_LARGE)
}

impl Translation<'_> {
    fn part(&mut self, c: char) -> Result<(), Fault> {
        match c {
            '*' | '?' => self.repeat(c.encode_utf8(&mut [0; 4])),
            '{' => self.brace(),
            '\\' => self.escape(),
            '[' => self.set(),
            '(' | '|' => {
                self.out += if c == '(' { "(?:" } else { "|" };
                self.before = Before::Nothing;
                Ok(())
            }
            '.' | ')' | '$' => self.item(c.encode_utf8(&mut [0; 4])),
            // In a group, because Go repeats it like anything else.
            '^' => self.item("(?:^)"),
            _ => self.item(&literal(c)),
        }
    }

    fn item(&mut self, text: &str) -> Result<(), Fault> {
        self.out += text;
        self.before = Before::Item;
        Ok(())
    }

    fn repeat(&mut self, operator: &str) -> Result<(), Fault> {
        if self.before != Before::Item {
            return Err(REPEATED);
        }
        self.out += operator;
        self.before = Before::Repetition;
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,4}`. Any other brace stands for itself.
    fn brace(&mut self) -> Result<(), Fault> {
        let closed = self.rest.as_str().split_once('}');
        let Some((inside, after, (least, most))) =
            closed.and_then(|(inside, after)| Some((inside, after, bounds(inside)?)))
        else {
            return self.item(&literal('{'));
        };
        if most.unwrap_or(least) > MOST_REPETITIONS || most.is_some_and(|most| most < least) {
            return Err(TOO_MANY);
        }
        self.rest = after.chars();
        self.repeat(&format!("{{{inside}}}"))
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.rest.clone().next() {
            Some(c @ ('A' | 'z' | 'b' | 'B')) => {
                self.rest.next();
                self.item(&format!(r"(?:\{c})"))
            }
            Some('Q') => self.quotation(),
            _ => match self.escaped()? {
                Member::Character(c) => self.item(&literal(c)),
                Member::Set(set) => self.item(&format!("[{set}]")),
            },
        }
    }

    /// From `\Q` to `\E`, or to the end, everything stands for itself.
    fn quotation(&mut self) -> Result<(), Fault> {
        let quoted = &self.rest.as_str()[1..];
        let (quoted, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
        self.rest = after.chars();
        quoted.chars().try_for_each(|c| self.item(&literal(c)))
    }

    fn set(&mut self) -> Result<(), Fault> {
        let mut set = String::from(if self.take('^') { "[^" } else { "[" });
        let mut is_empty = true;
        while is_empty || !self.take(']') {
            set += &self.members()?;
            is_empty = false;
        }
        self.item(&(set + "]"))
    }

    /// The next of a set: a named set, what an escape stands for, a range, or one character.
    fn members(&mut self) -> Result<String, Fault> {
        if let Some(named) = self.named_set()? {
            return Ok(named);
        }
        let first = match self.member()? {
            Member::Character(first) => first,
            Member::Set(set) => return Ok(set.to_owned()),
        };
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || matches!(ahead.next(), None | Some(']')) {
            return Ok(literal(first));
        }
        self.rest.next();
        match self.member()? {
            Member::Character(last) if first <= last => Ok(format!("{}-{}", literal(first), literal(last))),
            Member::Character(_) => Err(BACKWARDS),
            Member::Set(_) => Err(ESCAPE),
        }
    }

    fn named_set(&mut self) -> Result<Option<String>, Fault> {
        let named = self.rest.as_str().strip_prefix("[:").and_then(|rest| rest.split_once(":]"));
        let Some((name, after)) = named else { return Ok(None) };
        if !NAMED_SETS.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(NAME);
        }
        self.rest = after.chars();
        Ok(Some(format!("[:{name}:]")))
    }

    fn member(&mut self) -> Result<Member, Fault> {
        match self.rest.next() {
            None => Err(OPEN),
            Some('\\') => self.escaped(),
            Some(c) => Ok(Member::Character(c)),
        }
    }

    /// What the characters after a `\` stand for.
    fn escaped(&mut self) -> Result<Member, Fault> {
        let set = match self.rest.next() {
            Some('d') => r"\d",
            Some('D') => r"\D",
            Some('w') => r"\w",
            Some('W') => r"\W",
            Some('s') => SPACE,
            Some('S') => NO_SPACE,
            Some('p' | 'P') => return Err(UNICODE),
            c => return c.and_then(|c| self.escaped_character(c)).map(Member::Character).ok_or(ESCAPE),
        };
        Ok(Member::Set(set))
    }

    fn escaped_character(&mut self, c: char) -> Option<char> {
        match c {
            '0'..='7' => self.octal(c),
            'x' => self.hexadecimal(),
            'a' => Some('\x07'),
            'f' => Some('\x0C'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0B'),
            _ => (c.is_ascii() && !c.is_ascii_alphanumeric()).then_some(c),
        }
    }

    /// Up to three digits. A single one that is not zero would refer to a group, which Go refuses.
    fn octal(&mut self, first: char) -> Option<char> {
        let more: String = self.rest.clone().take(2).take_while(|c| matches!(c, '0'..='7')).collect();
        if first != '0' && more.is_empty() {
            return None;
        }
        self.rest = self.rest.as_str()[more.len()..].chars();
        char::from_u32(u32::from_str_radix(&format!("{first}{more}"), 8).ok()?)
    }

    /// `4A`, or `{1F40B}`.
    fn hexadecimal(&mut self) -> Option<char> {
        let rest = self.rest.as_str();
        let (digits, after) = match rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => rest.split_at_checked(2)?,
        };
        self.rest = after.chars();
        let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| is_number)?)
    }

    fn take(&mut self, c: char) -> bool {
        let after = self.rest.as_str().strip_prefix(c);
        self.rest = after.unwrap_or(self.rest.as_str()).chars();
        after.is_some()
    }
}

fn literal(c: char) -> String {
    format!(r"\x{{{:X}}}", u32::from(c))
}

/// The numbers of `2`, `2,` or `2,4`; none, if it is not that. Numbers that are too large count as the largest.
fn bounds(inside: &str) -> Option<(u32, Option<u32>)> {
    let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
    let most = if most.is_empty() { None } else { Some(number(most)?) };
    Some((number(least)?, most))
}

fn number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let is_padded = digits.len() > 1 && digits.starts_with('0');
    (is_number && !is_padded).then(|| digits.parse().unwrap_or(u32::MAX))
}
