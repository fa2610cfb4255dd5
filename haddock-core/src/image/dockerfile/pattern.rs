//! Patterns in `${X#pattern}` and its kin: `?` stands for one character, `*` for any number.

/// A pattern.
pub(super) struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Char(char),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                // Twice means the same, and would only take time.
                '*' if pieces.last() == Some(&Piece::Any) => continue,
                '*' => Piece::Any,
                '?' => Piece::One,
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Piece::Char(escaped),
                    Some(other) => return Err(format!("`\\{other}` means nothing in a pattern")),
                    None => return Err("a pattern ends in `\\`".to_owned()),
                },
                c => Piece::Char(c),
            });
        }
        Ok(Self(pieces))
    }

    pub(super) fn without_prefix(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let end = self.end(&chars, longest);
        chars[end.unwrap_or(0)..].iter().collect()
    }

    pub(super) fn without_suffix(&self, value: &str, longest: bool) -> String {
        let backwards = Self(self.0.iter().rev().copied().collect());
        let chars: Vec<char> = value.chars().rev().collect();
        let end = backwards.end(&chars, longest);
        chars[end.unwrap_or(0)..].iter().rev().collect()
    }

    pub(super) fn replaced(&self, value: &str, text: &str, everywhere: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let mut replaced = String::new();
        let mut at = 0;
        while at <= chars.len() {
            match self.end(&chars[at..], true) {
                Some(length) => {
                    replaced.push_str(text);
                    if length == 0 {
                        replaced.extend(chars.get(at));
                    }
                    at += length.max(1);
                    if !everywhere || at >= chars.len() {
                        break;
                    }
                }
                None => {
                    replaced.extend(chars.get(at));
                    at += 1;
                }
            }
        }
        replaced.extend(chars.get(at..).unwrap_or_default());
        replaced
    }

    /// How many characters the pattern takes from the start, at least or at most; `None` if it does not match.
    fn end(&self, chars: &[char], longest: bool) -> Option<usize> {
        // `reached[n]`: the pieces so far can take n characters.
        let mut reached = vec![false; chars.len() + 1];
        reached[0] = true;
        for piece in &self.0 {
            match piece {
                Piece::Any => {
                    let first = reached.iter().position(|reached| *reached).unwrap_or(reached.len());
                    reached[first..].fill(true);
                }
                piece => {
                    for n in (0..=chars.len()).rev() {
                        let takes = |c: char| *piece == Piece::One || *piece == Piece::Char(c);
                        reached[n] = n > 0 && reached[n - 1] && takes(chars[n - 1]);
                    }
                }
            }
        }
        match longest {
            true => reached.iter().rposition(|reached| *reached),
            false => reached.iter().position(|reached| *reached),
        }
    }
}
