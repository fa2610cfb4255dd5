//! Bollard's errors, translated at the wall.

use bollard::errors::Error as BollardError;

use crate::error::{Error, ErrorKind};

/// The engine's answer, if it gave one: status and message.
pub(super) fn answer(error: &BollardError) -> Option<(u16, &str)> {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => Some((*status_code, message)),
        _ => None,
    }
}

/// Whether the engine answered that the thing does not exist.
pub(super) fn is_missing(error: &BollardError) -> bool {
    matches!(answer(error), Some((404, _)))
}

/// Translates an error of a call that wanted to do `what` (`create container `shop-1``).
pub(super) fn translate(what: &str, error: &BollardError) -> Error {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => refusal(what, *status_code, message),
        BollardError::DockerStreamError { error } => refusal(what, 500, error),
        BollardError::JsonDataError { .. } | BollardError::JsonSerdeError { .. } => {
            // Serde's text may quote what it read, such as the value of an environment variable.
            Error::new(ErrorKind::RuntimeRefused, format!("cannot {what}: the engine's answer cannot be understood"))
                .with_hint("the Docker Engine must be 20.10 or newer")
        }
        error => unavailable(what, &cause(error)),
    }
}

/// The engine does not answer.
pub(super) fn unavailable(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::RuntimeUnavailable, format!("cannot {what}: the Docker Engine does not answer: {why}"))
        .with_hint("is it running, and may this user use its socket?")
}

fn refusal(what: &str, status: u16, message: &str) -> Error {
    let message = message.trim();
    if status == 404 {
        return Error::new(ErrorKind::NotFound, format!("cannot {what}: {message}"));
    }
    // A proxy in front of the engine (a load balancer, ssh forwarding) answers so when the engine is away.
    if matches!(status, 502..=504) && !message.contains("driver failed") {
        return unavailable(what, message);
    }
    if let Some(port) = taken_port(message) {
        return Error::new(ErrorKind::PortTaken, format!("cannot {what}: host port {port} is in use"))
            .with_hint("free the port, or publish another one");
    }
    if message.contains("all predefined address pools have been fully subnetted") {
        return Error::new(ErrorKind::AddressPoolExhausted, format!("cannot {what}: {message}"));
    }
    Error::new(ErrorKind::RuntimeRefused, format!("cannot {what}: {message}"))
}

/// The innermost cause: `connection refused` rather than `client error (Connect)`.
fn cause(error: &BollardError) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match error {
        BollardError::RequestTimeoutError => "no answer in time".to_owned(),
        BollardError::SocketNotFoundError(path) => format!("there is no socket `{path}`"),
        _ => innermost.to_string(),
    }
}

/// The host address that a start found in use. The texts are those of Docker 20.10 to 29: the port allocator's, the
/// user land proxy's, and (28 and newer) the bind itself.
fn taken_port(message: &str) -> Option<String> {
    if !message.contains("port is already allocated") && !message.contains("address already in use") {
        return None;
    }
    let place = ["Bind for ", "listen tcp4 ", "listen tcp6 ", "bind host port for ", "bind host port "]
        .iter()
        .find_map(|before| message.split_once(before))
        .map_or(message, |(_, place)| place);
    let place = place.split([' ', '/']).next()?.trim_end_matches(':');
    // Docker 28 appends the container's side: `0.0.0.0:8080:172.18.0.2:80`.
    let parts: Vec<&str> = place.split(':').collect();
    Some(match parts.as_slice() {
        [address, port, _, _] if address.contains('.') => format!("`{address}:{port}`"),
        _ => format!("`{place}`"),
    })
}

/// The error without these values of environment variables. The container's own name stays whole, because a short
/// value, such as `100`, may occur in it.
pub(super) fn scrubbed<'a>(error: Error, name: &str, values: impl Iterator<Item = &'a str>) -> Error {
    let mut parts: Vec<String> = error.message().split(name).map(str::to_owned).collect();
    for value in values.filter(|value| !value.is_empty()) {
        for part in &mut parts {
            *part = part.replace(value, "***");
        }
    }
    let scrubbed = Error::new(error.kind(), parts.join(name));
    match error.hint() {
        Some(hint) => scrubbed.with_hint(hint),
        None => scrubbed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status_code: u16, message: &str) -> Error {
        let error = BollardError::DockerResponseServerError { status_code, message: message.to_owned() };
        translate("start container `web`", &error)
    }

    #[test]
    fn a_taken_port_is_told_with_its_address() {
        for message in [
            "driver failed programming external connectivity on endpoint web (3f): Bind for 0.0.0.0:8080 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint web (3f): Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
            "failed to set up container networking: driver failed programming external connectivity on endpoint web (3f): failed to bind host port for 0.0.0.0:8080:172.18.0.2:80/tcp: address already in use",
        ] {
            let error = refused(500, message);
            assert_eq!(error.kind(), ErrorKind::PortTaken, "{message}");
            assert!(error.message().contains("0.0.0.0:8080"), "{error}");
        }
    }

    #[test]
    fn a_proxy_without_an_engine_behind_it_is_an_engine_that_is_away() {
        assert_eq!(refused(503, "no backend").kind(), ErrorKind::RuntimeUnavailable);
        assert_eq!(refused(500, "boom").kind(), ErrorKind::RuntimeRefused);
        assert_eq!(refused(404, "No such container: web").kind(), ErrorKind::NotFound);
    }

    #[test]
    fn values_are_scrubbed_from_messages() {
        let error =
            scrubbed(refused(400, "invalid environment variable: =hunter2"), "web", ["hunter2", ""].into_iter());
        assert_eq!(error.message(), "cannot start container `web`: invalid environment variable: =***");
    }

    #[test]
    fn the_name_of_the_container_is_not_scrubbed() {
        let taken = Error::new(ErrorKind::NameTaken, "a container `shop-7-31007` exists, 100 of them");
        let error = scrubbed(taken, "shop-7-31007", ["100", "7"].into_iter());
        assert_eq!(error.message(), "a container `shop-7-31007` exists, *** of them");
    }
}
