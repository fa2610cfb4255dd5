//! Variables in values: the interpolation of the Compose Specification.
//!
//! `$VAR` and `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:?error}`, `${VAR?error}`, `${VAR:+other}`,
//! `${VAR+other}`. The text after the operator may have variables, too. `$$` means `$`. A `$` that no variable follows
//! stays as it is.

/// How deep defaults may be nested. People need two levels.
const MAX_NESTED_DEFAULTS: usize = 16;

/// A text with variables in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable { name: String, operator: Option<Operator> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Operator {
    action: Action,
    /// The operator has a `:`, so an empty value counts as unset.
    empty_is_unset: bool,
    operand: Template,
    /// The operand as it was written.
    written: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Default,
    Require,
    Replace,
}

/// Why a text is not a template, or cannot be filled in. Never holds more of the text than a variable's name and
/// the author's own error text, for the text may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) message: String,
    pub(super) hint: String,
    /// Whether the reason is an empty variable. It may be empty because of a comment that Compose takes for its value.
    pub(super) is_empty: bool,
}

/// A text whose variables are filled in.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Filled {
    pub(super) text: String,
    /// Whether anything came from a variable, so that the text must not be shown.
    pub(super) from_variables: bool,
    /// Variables that had no value and no default.
    pub(super) unset: Vec<String>,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let mut parser = Parser { rest: text };
        let template = parser.template(None, 0)?;
        debug_assert!(parser.rest.is_empty(), "outside of braces a template takes everything");
        Ok(template)
    }

    /// The names of all variables, also of those without a value and of those within defaults.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for part in &self.0 {
            if let Part::Variable { name, operator } = part {
                names.push(name.as_str());
                names.extend(operator.iter().flat_map(|operator| operator.operand.names()));
            }
        }
        names
    }

    /// The parts of a filled text that come from variables, each with its variables. Empty if the text was not filled from
    /// this template.
    #[cfg(feature = "controller")]
    pub(super) fn values_in(&self, filled: &str) -> Vec<(String, String)> {
        let (mut found, mut names, mut rest) = (Vec::new(), String::new(), filled);
        for part in &self.0 {
            match part {
                Part::Variable { name, .. } => names += &format!("${{{name}}}"),
                Part::Literal(text) => {
                    let at = if names.is_empty() { rest.starts_with(text).then_some(0) } else { rest.find(text) };
                    let Some(at) = at else { return Vec::new() };
                    found.push((rest[..at].to_owned(), std::mem::take(&mut names)));
                    rest = &rest[at + text.len()..];
                }
            }
        }
        found.push((rest.to_owned(), names));
        found.retain(|(_, names)| !names.is_empty());
        found
    }

    pub(super) fn fill<'v>(&self, lookup: &dyn Fn(&str) -> Option<&'v str>) -> Result<Filled, Flaw> {
        let mut filled = Filled::default();
        self.fill_into(&mut filled, lookup)?;
        Ok(filled)
    }

    fn fill_into<'v>(&self, filled: &mut Filled, lookup: &dyn Fn(&str) -> Option<&'v str>) -> Result<(), Flaw> {
        for part in &self.0 {
            let (name, operator) = match part {
                Part::Literal(text) => {
                    filled.text.push_str(text);
                    continue;
                }
                Part::Variable { name, operator } => (name, operator),
            };
            let value = lookup(name);
            filled.from_variables |= value.is_some_and(|value| !value.is_empty());
            let Some(operator) = operator else {
                match value {
                    Some(value) => filled.text.push_str(value),
                    None => filled.unset.push(name.clone()),
                }
                continue;
            };
            let set = value.filter(|value| !(operator.empty_is_unset && value.is_empty()));
            match (operator.action, set) {
                (Action::Default | Action::Require, Some(value)) => filled.text.push_str(value),
                (Action::Default, None) | (Action::Replace, Some(_)) => operator.operand.fill_into(filled, lookup)?,
                (Action::Replace, None) => {}
                (Action::Require, None) => {
                    let reason = if operator.written.is_empty() { "" } else { ": " };
                    let state = if value.is_some() { "empty" } else { "not set" };
                    return Err(Flaw {
                        message: format!("variable `{name}` is {state}{reason}{}", operator.written),
                        hint: format!("set `{name}` in the environment or in `.env`"),
                        is_empty: value.is_some(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The parts of a filled text that come from variables, each with its variables.
#[cfg(feature = "controller")]
pub(crate) fn values_in(written: &str, filled: &str) -> Vec<(String, String)> {
    Template::parse(written).map(|template| template.values_in(filled)).unwrap_or_default()
}

struct Parser<'t> {
    rest: &'t str,
}

fn flaw(message: impl Into<String>, hint: impl Into<String>) -> Flaw {
    Flaw { message: message.into(), hint: hint.into(), is_empty: false }
}

const DOLLAR: &str = "write `$$` for a `$` that is meant as such";

impl<'t> Parser<'t> {
    /// Reads to the end; within the braces of variable `inside`, to the `}` that closes them.
    fn template(&mut self, inside: Option<&str>, depth: usize) -> Result<Template, Flaw> {
        if depth > MAX_NESTED_DEFAULTS {
            return Err(flaw(
                format!("variables are nested more than {MAX_NESTED_DEFAULTS} deep"),
                "use fewer defaults",
            ));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        // Braces within the operand that belong to its text, as in `${JSON:-{}}`.
        let mut open = 0_usize;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '}' if inside.is_some() && open == 0 => break,
                '$' => {
                    self.rest = &self.rest[1..];
                    if let Some(rest) = self.rest.strip_prefix('$') {
                        self.rest = rest;
                        literal.push('$');
                        continue;
                    }
                    // As in Compose, a `$` that no variable follows stays a `$`.
                    if !self.rest.starts_with(|c: char| c == '{' || c == '_' || c.is_ascii_alphabetic()) {
                        literal.push('$');
                        continue;
                    }
                    let variable = self.variable(depth)?;
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(variable);
                    continue;
                }
                // As in Compose, whose pattern for variables matches within one line only.
                '\n' if inside.is_some() => {
                    let name = inside.unwrap_or_default();
                    let message = format!("`${{{name}` has a line break within its braces");
                    return Err(flaw(message, "write it on one line, or set the variable"));
                }
                '{' if inside.is_some() => open += 1,
                '}' if inside.is_some() => open -= 1,
                _ => {}
            }
            literal.push(c);
            self.rest = &self.rest[c.len_utf8()..];
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Template(parts))
    }

    /// Reads what follows a `$`.
    fn variable(&mut self, depth: usize) -> Result<Part, Flaw> {
        let Some(rest) = self.rest.strip_prefix('{') else {
            let name = self.name();
            return Ok(Part::Variable { name: name.to_owned(), operator: None });
        };
        self.rest = rest;
        let name = self.name();
        if name.is_empty() {
            return Err(flaw("a `${` is followed by no variable's name", DOLLAR));
        }
        let unclosed = || flaw(format!("`${{{name}` lacks its `}}`"), format!("write `${{{name}}}`; {DOLLAR}"));
        if let Some(rest) = self.rest.strip_prefix('}') {
            self.rest = rest;
            return Ok(Part::Variable { name: name.to_owned(), operator: None });
        }
        let (empty_is_unset, rest) = match self.rest.strip_prefix(':') {
            Some(rest) => (true, rest),
            None => (false, self.rest),
        };
        let action = match rest.chars().next() {
            Some('-') => Action::Default,
            Some('?') => Action::Require,
            Some('+') => Action::Replace,
            None if !empty_is_unset => return Err(unclosed()),
            _ => {
                return Err(flaw(
                    format!("`${{{name}` is followed by neither `}}` nor an operator"),
                    format!(
                        "write `${{{name}}}`, `${{{name}:-default}}`, `${{{name}:?error}}` or `${{{name}:+other}}`"
                    ),
                ));
            }
        };
        self.rest = &rest[1..];
        let before = self.rest;
        let operand = self.template(Some(name), depth + 1)?;
        let written = before[..before.len() - self.rest.len()].to_owned();
        self.rest = self.rest.strip_prefix('}').ok_or_else(unclosed)?;
        let operator = Some(Operator { action, empty_is_unset, operand, written });
        Ok(Part::Variable { name: name.to_owned(), operator })
    }

    fn name(&mut self) -> &'t str {
        let begins = self.rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let end = match begins {
            true => self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len()),
            false => 0,
        };
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<&'static str> {
        match name {
            "A" => Some("apple"),
            "EMPTY" => Some(""),
            "DOLLAR" => Some("$A"),
            _ => None,
        }
    }

    fn fill(text: &str) -> Result<Filled, Flaw> {
        Template::parse(text).and_then(|template| template.fill(&lookup))
    }

    #[test]
    fn every_form_is_filled_in() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-${A}", "apple-apple"),
            ("$$A $${A}", "$A ${A}"),
            ("${U}|$U", "|"),
            ("${A:-d}${EMPTY:-d}${U:-d}", "appledd"),
            ("${A-d}${EMPTY-d}${U-d}", "appled"),
            ("${A:+o}${EMPTY:+o}${U:+o}", "o"),
            ("${A+o}${EMPTY+o}${U+o}", "oo"),
            ("${A:?e}${A?e}${EMPTY?e}", "appleapple"),
            ("${U:-${EMPTY:-${A}}}", "apple"),
            ("${U:-x$A-$$}", "xapple-$"),
            ("${U:-{\"a\": {}}}!", "{\"a\": {}}!"),
            ("${DOLLAR}", "$A"),
            ("${U:-a:-b}", "a:-b"),
            ("a}b{c", "a}b{c"),
            ("ä$A.ä", "äapple.ä"),
            ("$ $5 $(A) a$", "$ $5 $(A) a$"),
        ] {
            assert_eq!(fill(text).expect(text).text, expected, "{text}");
        }
    }

    #[test]
    fn unset_variables_are_told() {
        assert_eq!(fill("${U} $V ${W:-} ${EMPTY}").expect("valid").unset, ["U", "V"]);
        assert!(!fill("x${U:-y}").expect("valid").from_variables);
        assert!(fill("x${A}").expect("valid").from_variables);
    }

    #[test]
    fn flaws_are_told_without_the_text() {
        let mut table = String::new();
        for text in [
            "secret${",
            "${}",
            "${5}",
            "${A",
            "${A:}",
            "${A:x}",
            "${A!}",
            "${A b}",
            "${A:-b",
            "${U:?set it}",
            "${U?}",
            "${EMPTY:?set it}",
            "${U:?${A}}",
        ] {
            match fill(text) {
                Ok(filled) => panic!("{text} became {}", filled.text),
                Err(flaw) => table += &format!("{text}\n  {}\n  hint: {}\n", flaw.message, flaw.hint),
            }
        }
        let deep = "${A:-".repeat(20) + &"}".repeat(20);
        table += &fill(&deep).map(|filled| filled.text).expect_err("too deep").message;
        insta::assert_snapshot!(table);
    }

    #[test]
    fn mentioned_names_are_found_in_defaults_too() {
        let template = Template::parse("${REGISTRY:-$HUB}/app:${TAG}").expect("valid");
        assert_eq!(template.names(), ["REGISTRY", "HUB", "TAG"]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[$A{}:?+a-]{0,24}|\\PC{0,24}") {
            if let Ok(filled) = fill(&text) {
                prop_assert!(text.contains('$') || filled.text == text);
            }
        }

        #[test]
        fn doubled_dollars_keep_any_text(text in "\\PC{0,24}") {
            prop_assert_eq!(fill(&text.replace('$', "$$")).expect("escaped").text, text);
        }
    }

    #[cfg(feature = "controller")]
    #[test]
    fn values_are_found_again() {
        let found = |written: &str, filled: &str| {
            let found = values_in(written, filled);
            found.into_iter().map(|(value, names)| format!("{value}={names}")).collect::<Vec<_>>().join(" ")
        };
        for (written, filled, values) in [
            ("a $$X ${A} b ${B:-c}", "a $X one b two", "one=${A} two=${B}"),
            ("${A}${B}/x", "onetwo/x", "onetwo=${A}${B}"),
            ("$A", "one", "one=${A}"),
            ("no variable", "no variable", ""),
            ("/bin/sh of $A", "/bin/sh", ""),
        ] {
            assert_eq!(found(written, filled), values, "{written}");
        }
    }
}
