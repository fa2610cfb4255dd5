//! The lines of a `.dockerignore` file that hold a pattern, as Docker's reader cleans them.

/// One pattern as it stands in the file.
pub(super) struct Line {
    /// The line, from 1.
    pub(super) number: u64,
    /// The column at which the pattern begins, from 1, in characters.
    pub(super) column: u64,
    /// The cleaned pattern, with its `!` if it is inverted.
    pub(super) pattern: String,
}

pub(super) fn lines(text: &str) -> impl Iterator<Item = Line> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let pattern = line.trim();
        // Only a line that begins with `#` is a comment: after a space, it is a pattern.
        if line.starts_with('#') || pattern.is_empty() {
            return None;
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        Some(Line { number, column: indent as u64 + 1, pattern: cleaned(pattern) })
    })
}

fn cleaned(pattern: &str) -> String {
    match pattern.strip_prefix('!') {
        Some(inverted) => format!("!{}", relative(inverted.trim())),
        None => relative(pattern),
    }
}

fn relative(pattern: &str) -> String {
    if pattern.is_empty() {
        return String::new();
    }
    let path = clean(pattern);
    match path.strip_prefix('/') {
        Some(relative) if !relative.is_empty() => relative.to_owned(),
        _ => path,
    }
}

/// The shortest path that means the same, as Go's `filepath.Clean` finds it.
pub(super) fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if is_rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (is_rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
