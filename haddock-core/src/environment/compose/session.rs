//! `session`: by what sessions are known, how long they last, and what the application is asked about them.

use super::keys;
use super::reader::{Cursor, Reader};
use super::settings_values::{
    cookie_domain, cookie_mode, cookie_name, cookie_path, json_pointer, more_than_zero, path, same_site, session_by,
};
use super::tree::Value;
use crate::routing::{ApplicationCookie, SessionBy, SessionPolicy};
use crate::settings::CountSettings;

/// `JSESSIONID`, or `{ idle, ignore, by, cookie, cookie_mode, same_site, domain, path, partitioned, count }`.
pub(super) fn read<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<(SessionPolicy, Option<CountSettings>)> {
    let (mut session, mut count) = (SessionPolicy::default(), None);
    if let Value::Scalar(_) = cursor.node.value {
        session.application = reader.value(cursor, cookie_name).map(ApplicationCookie::new);
        return Some((session, None));
    }
    let (mut cookie, mut mode, mut of_ours) = (None, None, Vec::new());
    for entry in reader.known_entries(cursor, &keys::SESSION)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "idle" => session.idle = reader.value(at, more_than_zero).unwrap_or(session.idle),
            "ignore" => {
                let items = reader.items(at).unwrap_or_default();
                session.ignore = items.iter().filter_map(|item| reader.value(item, path)).collect();
            }
            "by" => session.by = reader.value(at, session_by).unwrap_or_default(),
            "cookie" => cookie = Some(reader.value(at, cookie_name)),
            "count" => count = read_count(reader, at),
            "cookie_mode" => mode = Some((reader.value(at, cookie_mode), at.clone())),
            ours => {
                match ours {
                    "same_site" => session.cookie.same_site = reader.value(at, same_site).unwrap_or_default(),
                    "domain" => session.cookie.domain = reader.value(at, cookie_domain),
                    "path" => session.cookie.path = reader.value(at, cookie_path),
                    "partitioned" => session.cookie.partitioned = reader.boolean(at).unwrap_or_default(),
                    other => keys::unread(other),
                }
                of_ours.push((entry.key.text.clone(), at.clone()));
            }
        }
    }
    match (&cookie, mode) {
        (None, Some((_, at))) => {
            let hint =
                "write the name of the application's cookie next to it, such as `cookie: JSESSIONID`, or remove it";
            reader.wrong(&at, "`cookie_mode` is without a `cookie`", hint);
        }
        (_, mode) => {
            let mode = mode.and_then(|(mode, _)| mode).unwrap_or_default();
            session.application = cookie.clone().flatten().map(|name| ApplicationCookie { name, mode });
        }
    }
    // With `by: client` there is another cookie of the gateway, which has these attributes.
    let sends_none = cookie.is_some() && session.by == SessionBy::Session;
    for (key, at) in of_ours.iter().filter(|_| sends_none) {
        let message = format!("`{key}` is an attribute of the gateway's cookie, which is not sent with `cookie`");
        reader.wrong(at, message, format!("remove `{key}`: the application sets the attributes of its cookie itself"));
    }
    Some((session, count))
}

/// `/sessions`, or `{ http, pointer, every }`.
fn read_count<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<CountSettings> {
    if let Value::Scalar(_) = cursor.node.value {
        return reader.value(cursor, path).map(CountSettings::new);
    }
    let (mut http, mut pointer, mut every) = (None, None, CountSettings::DEFAULT_EVERY);
    for entry in reader.known_entries(cursor, &keys::COUNT)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "http" => http = Some(reader.value(at, path)),
            "pointer" => pointer = reader.value(at, json_pointer),
            "every" => every = reader.value(at, more_than_zero).unwrap_or(every),
            other => keys::unread(other),
        }
    }
    if http.is_none() {
        let hint = "write the path that answers with the number of sessions, such as `http: /sessions`";
        reader.wrong(cursor, "`count` does not say what is asked", hint);
    }
    Some(CountSettings { http: http.flatten()?, pointer, every })
}
