//! `x-haddock.follow`: which tags of a registry are released by themselves.

use super::keys;
use super::reader::{Cursor, Reader};
use super::settings_values::more_than_zero;
use super::tree::Value;
use crate::environment::{FollowSettings, TagPattern};
use crate::image::ImageReference;

/// A pattern, or `{ release, image, every, freeze }`.
pub(super) fn read<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<FollowSettings> {
    if let Value::Scalar(_) = cursor.node.value {
        return reader.value(cursor, str::parse::<TagPattern>).map(FollowSettings::new);
    }
    let errors = reader.error_count();
    let (mut release, mut image) = (None, None);
    let (mut every, mut freeze) = (FollowSettings::DEFAULT_EVERY, Vec::new());
    for entry in reader.known_entries(cursor, &keys::FOLLOW)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "release" => release = reader.value(at, str::parse::<TagPattern>),
            "image" => image = reader.value(at, str::parse::<ImageReference>),
            "every" => every = reader.value(at, more_than_zero).unwrap_or(every),
            "freeze" if matches!(at.node.value, Value::Scalar(_)) => freeze.extend(reader.value(at, str::parse)),
            "freeze" => {
                for item in reader.items(at).unwrap_or_default() {
                    freeze.extend(reader.value(&item, str::parse));
                }
            }
            other => keys::unread(other),
        }
    }
    if release.is_none() && reader.error_count() == errors {
        reader.wrong(cursor, "`follow` names no tags", "write `follow: { release: \"main-*\" }`");
    }
    Some(FollowSettings { release: release?, image, every, freeze })
}
