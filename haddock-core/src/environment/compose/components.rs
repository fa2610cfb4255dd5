//! Names of components in a file.

use std::collections::BTreeSet;

use super::keys::nearest;
use super::reader::{Cursor, Reader, listed};

/// Reports that there is no such component.
pub(super) fn no_such_component(reader: &mut Reader<'_>, cursor: &Cursor<'_>, name: &str, known: &BTreeSet<&str>) {
    // The text as it stands in the file, so that no value of a variable is shown.
    let written = if cursor.written().is_empty() { name } else { cursor.written() };
    let hint = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the components are {}", listed(known)),
    };
    reader.wrong(cursor, format!("`{written}` names no component"), hint);
}

/// The component names of a list. A name that is no component is an error.
pub(super) fn known_names<'d>(
    reader: &mut Reader<'_>,
    names: &'d [(String, Cursor<'_>)],
    known: &BTreeSet<&str>,
) -> BTreeSet<&'d str> {
    let mut found = BTreeSet::new();
    for (name, cursor) in names {
        match known.contains(name.as_str()) {
            true => _ = found.insert(name.as_str()),
            false => no_such_component(reader, cursor, name, known),
        }
    }
    found
}
