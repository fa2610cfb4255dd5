//! The values that `x-haddock` takes, each as a text.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::routing::{CookieMode, Rate, SameSite, SessionBy};
use crate::settings::Queue;
use crate::value;

use super::ports::port;

fn invalid(message: String, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, message).with_hint(hint)
}

pub(super) fn entry_of(text: &str) -> Result<(String, u16), Error> {
    match text.split_once(':') {
        Some((component, number)) if !component.is_empty() => Ok((component.to_owned(), port(number)?)),
        _ => Err(invalid(
            format!("entry `{text}` is not a component and its port"),
            "write `component:port`, such as `proxy:8080`",
        )),
    }
}

/// A duration of whole milliseconds, because it is kept as a number of milliseconds.
pub(super) fn whole_millis(text: &str) -> Result<Duration, Error> {
    let duration = value::duration(text)?;
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err(invalid(format!("duration `{text}` is not a whole number of milliseconds"), "write `1ms` or more"));
    }
    Ok(duration)
}

pub(super) fn more_than_zero(text: &str) -> Result<Duration, Error> {
    match whole_millis(text)? {
        Duration::ZERO => Err(invalid(format!("duration `{text}` is zero"), "write a longer one, such as `10m`")),
        duration => Ok(duration),
    }
}

pub(super) fn path(text: &str) -> Result<String, Error> {
    if !text.starts_with('/') {
        return Err(invalid(format!("path `{text}` does not begin with `/`"), format!("write `/{text}`")));
    }
    if let Some(bad) =
        text.chars().find(|c| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#') || !c.is_ascii())
    {
        return Err(invalid(
            format!("path `{text}` contains {bad:?}"),
            "write the path alone, without query, as it is sent",
        ));
    }
    Ok(text.to_owned())
}

/// A place within JSON (RFC 6901): `/` and a name, as often as it takes. A `~` is written `~0`, a `/` within a name `~1`.
pub(super) fn json_pointer(text: &str) -> Result<String, Error> {
    if !text.starts_with('/') {
        let message = format!("pointer `{text}` does not begin with `/`");
        return Err(invalid(message, format!("write `/{text}`, or remove it if the whole answer is the number")));
    }
    if text.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
        let message = format!("pointer `{text}` has a `~` that stands for nothing");
        return Err(invalid(message, "write `~0` for a `~`, and `~1` for a `/` within a name"));
    }
    Ok(text.to_owned())
}

/// What may stand in a `Host` header.
pub(super) fn host(text: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    match text.chars().find(|c| !plain(*c)) {
        Some(bad) => {
            Err(invalid(format!("host `{text}` contains {bad:?}"), "write the host alone, such as `shop.example`"))
        }
        None if text.is_empty() => Err(invalid("the host is empty".to_owned(), "write a host, such as `shop.example`")),
        None => Ok(text.to_owned()),
    }
}

/// What decides where a new session goes.
pub(super) fn session_by(text: &str) -> Result<SessionBy, Error> {
    match text {
        "session" => Ok(SessionBy::Session),
        "client" => Ok(SessionBy::Client),
        _ => Err(invalid(format!("`{text}` is not a value of `by`"), "write `session` or `client`")),
    }
}

pub(super) fn same_site(text: &str) -> Result<SameSite, Error> {
    match text {
        "none" => Ok(SameSite::None),
        "lax" => Ok(SameSite::Lax),
        "strict" => Ok(SameSite::Strict),
        _ => Err(invalid(format!("`{text}` is not a value of `same_site`"), "write `none`, `lax` or `strict`")),
    }
}

/// The host of a cookie. A dot at its start, as in older cookies, means nothing (RFC 6265, 5.2.3).
pub(super) fn cookie_domain(text: &str) -> Result<String, Error> {
    let domain = text.strip_prefix('.').unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if domain.is_empty() || !domain.chars().all(plain) {
        return Err(invalid(
            format!("`{text}` is not a host that a cookie can be for"),
            "write the host alone, without a port, such as `example.com`",
        ));
    }
    Ok(domain.to_ascii_lowercase())
}

/// The name of a cookie of the application (RFC 6265, 4.1.1).
pub(super) fn cookie_name(text: &str) -> Result<String, Error> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let hint = "write the name of the application's session cookie alone, such as `JSESSIONID`";
    match text.chars().find(|c| !is_token(*c)) {
        Some(bad) => Err(invalid(format!("cookie `{text}` contains {bad:?}"), hint)),
        None if text.is_empty() => Err(invalid("the name of the cookie is empty".to_owned(), hint)),
        None if text.starts_with("haddock-") => Err(invalid(format!("`{text}` is a cookie of the gateway"), hint)),
        None => Ok(text.to_owned()),
    }
}

pub(super) fn cookie_mode(text: &str) -> Result<CookieMode, Error> {
    match text {
        "prefix" => Ok(CookieMode::Prefix),
        "learn" => Ok(CookieMode::Learn),
        _ => Err(invalid(format!("`{text}` is not a value of `cookie_mode`"), "write `prefix` or `learn`")),
    }
}

pub(super) fn cookie_path(text: &str) -> Result<String, Error> {
    let path = path(text)?;
    if path.contains(';') {
        return Err(invalid(
            format!("path `{path}` contains `;`, which ends it in a cookie"),
            "write a path without `;`",
        ));
    }
    Ok(path)
}

/// A probability that is neither 0 nor 1.
pub(super) fn chance(text: &str) -> Result<Rate, Error> {
    let rate = value::rate(text)?;
    if rate == Rate::ZERO || rate.get() >= 1.0 {
        let hint = "write more than 0% and less than 100%, such as `1%`: no evidence is enough for 0%, and none is needed for 100%";
        return Err(invalid(format!("a false alarm cannot have a probability of `{text}`"), hint));
    }
    Ok(rate)
}

/// A share of sessions that is not yet harm.
pub(super) fn tolerance(text: &str) -> Result<Rate, Error> {
    let rate = value::rate(text)?;
    if rate.get() >= 1.0 {
        return Err(invalid(format!("`{text}` tolerates everything"), "write less than `100%`, such as `1%`"));
    }
    Ok(rate)
}

/// The name of a header (RFC 9110, 5.6.2), in lower case.
pub(super) fn header(text: &str) -> Result<String, Error> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match text.chars().find(|c| !is_token(*c)) {
        Some(bad) => Err(invalid(
            format!("header `{text}` contains {bad:?}"),
            "write the header's name alone, without a value, such as `X-Failed`",
        )),
        None if text.is_empty() => Err(invalid("the header is empty".to_owned(), "write its name, such as `X-Failed`")),
        None => Ok(text.to_ascii_lowercase()),
    }
}

/// `200 sessions`.
pub(super) fn sessions(text: &str) -> Result<u64, Error> {
    let number = text.strip_suffix("sessions").or_else(|| text.strip_suffix("session")).unwrap_or(text).trim_end();
    match number.parse::<u64>().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(0) => Err(invalid(
            format!("`{text}` are none to wait for"),
            "write a larger number, such as `200 sessions`, or remove it",
        )),
        Some(number) => Ok(number),
        None => Err(invalid(format!("`{text}` is not a number of sessions"), "write it as `200 sessions`")),
    }
}

pub(super) fn queue(text: &str) -> Result<Queue, Error> {
    match text {
        "newest" => Ok(Queue::Newest),
        "supersede" => Ok(Queue::Supersede),
        _ => Err(invalid(format!("`{text}` is not a value of `queue`"), "write `newest` or `supersede`")),
    }
}
