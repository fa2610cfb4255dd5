//! Why a build failed, by what the builder said.

use super::super::refusal::refused_as;
use super::steps::Step;
use super::trace;
use crate::error::{Error, ErrorKind, Place};
use crate::runtime::BuildRequest;

/// The error of a build that BuildKit ended with this message, because of the vertex of this name.
pub(super) fn failed_vertex(request: &BuildRequest, vertex: &str, lines: Vec<String>, message: &str) -> Error {
    // What it knows of a base before it gets it, and of what `# syntax` names.
    let asked =
        ["[internal] load metadata for ", "resolve image config for docker-image://", "resolve image config for "];
    let base = asked.into_iter().find_map(|asked| vertex.strip_prefix(asked));
    let step = match base {
        Some(base) => Some(Step { number: 1, of: 1, text: format!("FROM {base}") }),
        None => trace::step(vertex),
    };
    failed(request, step.as_ref(), lines, message)
}

/// The error of a build that ended with this message in this step, which printed these lines last.
pub(super) fn failed(request: &BuildRequest, step: Option<&Step>, lines: Vec<String>, message: &str) -> Error {
    let message = message.trim();
    // The parts of BuildKit through which the message came.
    let through =
        ["failed to solve: ", "failed to solve with frontend dockerfile.v0: ", "failed to create LLB definition: "];
    let message = through.iter().fold(message, |message, part| message.strip_prefix(part).unwrap_or(message));
    if let Some(error) = of_the_dockerfile(request, message) {
        return error;
    }
    if message.contains("requires BuildKit") {
        return needs_buildkit(message.split('.').next().unwrap_or(message));
    }
    let Some(step) = step else {
        return hinted(Error::new(ErrorKind::BuildFailed, format!("the build failed: {message}")), message);
    };
    if let Some(base) = base(request, step).filter(|_| !is_of_files(message)) {
        return refused_as("did not give", &base, message);
    }
    let Step { number, of, text } = step;
    let why = match exit_code(message) {
        Some(code) => format!("failed with exit code {code}"),
        None => format!("failed: {}", without_prefix(text, message)),
    };
    let error = Error::new(ErrorKind::BuildFailed, format!("step {number}/{of} {text} {why}"));
    hinted(error.with_log_tail(lines), message)
}

/// What a build asks for that the builder cannot do.
pub(super) fn needs_buildkit(what: &str) -> Error {
    Error::new(ErrorKind::NotSupported, format!("the build needs BuildKit: {what}"))
        .with_hint("build on a Docker Engine 20.10 or newer, or write the Dockerfile without it")
}

/// The errors of a Dockerfile that cannot be understood.
fn of_the_dockerfile(request: &BuildRequest, message: &str) -> Option<Error> {
    let file = &request.dockerfile;
    let lower = message.to_lowercase();
    if lower.starts_with("cannot locate specified dockerfile") || lower.contains("failed to read dockerfile") {
        let text = format!("the context has no Dockerfile `{file}`");
        return Some(Error::new(ErrorKind::ImageTree, text).with_hint("check its name, and what is ignored"));
    }
    let target = message.split_once("failed to reach build target ").or_else(|| message.split_once("target stage "));
    if let Some((_, rest)) = target {
        let target = rest.split_whitespace().next().unwrap_or(rest).trim_matches('"');
        let text = format!("`{file}` has no stage `{target}`");
        return Some(Error::new(ErrorKind::ImageTree, text).with_hint("name a stage: `FROM … AS NAME`"));
    }
    if lower.contains("cannot be empty") && lower.contains("dockerfile") || lower.contains("file with no instructions")
    {
        return Some(Error::new(ErrorKind::ImageTree, format!("`{file}` is empty")).with_hint("begin it with `FROM`"));
    }
    let (_, rest) = message.split_once("parse error line ").or_else(|| message.split_once("parse error on line "))?;
    let (line, why) = rest.split_once(':')?;
    let place = Place { file: file.clone(), line: line.trim().parse().ok()?, column: 1, key: String::new() };
    let hint = "see the Dockerfile reference; what came with BuildKit needs an engine that has it";
    Some(Error::new(ErrorKind::ImageTree, why.trim()).with_hint(hint).at(place))
}

/// The image that this step gets, if it does nothing else.
fn base(request: &BuildRequest, step: &Step) -> Option<String> {
    let mut words = step.text.split_whitespace();
    let first = words.next()?;
    let image = if first.eq_ignore_ascii_case("FROM") {
        words.find(|word| !word.starts_with("--"))?.to_owned()
    } else if first.eq_ignore_ascii_case("COPY") {
        // Of a stage, or of an image: only the latter has such a name.
        words.find_map(|word| word.strip_prefix("--from="))?.to_owned()
    } else {
        return None;
    };
    let image = request.args.iter().fold(image, |image, (name, value)| {
        image.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    });
    (image != "scratch").then_some(image)
}

/// Whether the image is there, and a file in it is not.
fn is_of_files(message: &str) -> bool {
    ["no such file or directory", "failed to compute cache key", "file does not exist"]
        .iter()
        .any(|it| message.contains(it))
}

fn exit_code(message: &str) -> Option<i64> {
    let after = ["returned a non-zero code: ", "exit code: ", "exit status "];
    let code = after.iter().find_map(|before| message.split_once(before))?.1;
    code.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The builder repeats the instruction: `COPY failed: …`.
fn without_prefix<'a>(step: &str, message: &'a str) -> &'a str {
    let instruction = step.split_whitespace().next().unwrap_or_default();
    let rest = message.strip_prefix(instruction).and_then(|rest| rest.strip_prefix(" failed: "));
    rest.unwrap_or(message)
}

fn hinted(error: Error, message: &str) -> Error {
    if message.contains("no space left on device") {
        return error.with_hint("free space on the disk of the engine");
    }
    if message.contains("exec format error") {
        return error.with_hint("the base is for another processor: name a `platform`, or another base");
    }
    if ["file not found in build context", "failed to compute cache key"].iter().any(|it| message.contains(it)) {
        return error.with_hint("the file must be in the context, and not be ignored");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(step: &str, message: &str) -> Error {
        let step = (!step.is_empty()).then(|| Step { number: 3, of: 7, text: step.to_owned() });
        let args = [("BASE".to_owned(), "r.local/base:v1".to_owned())].into();
        {
            let request = BuildRequest { dockerfile: "web/Dockerfile".to_owned(), args, ..BuildRequest::default() };
            failed(&request, step.as_ref(), vec!["last line".to_owned()], message)
        }
    }

    #[test]
    fn the_step_that_failed_is_named_with_its_last_lines() {
        let make = error("RUN make", "The command '/bin/sh -c make' returned a non-zero code: 2");
        assert_eq!(make.kind(), ErrorKind::BuildFailed);
        assert_eq!(make.message(), "step 3/7 RUN make failed with exit code 2");
        assert_eq!(make.log_tail(), ["last line"]);
        let copy = error("COPY a /", "COPY failed: file not found in build context: stat a: file does not exist");
        let expected = "step 3/7 COPY a / failed: file not found in build context: stat a: file does not exist";
        assert_eq!((copy.kind(), copy.message()), (ErrorKind::BuildFailed, expected));
        assert!(copy.hint().is_some());
    }

    #[test]
    fn what_syntax_names_is_an_image_too() {
        let message = "failed to solve with frontend gateway.v0: failed to do request: Head \"https://r.local/v2/\": no such host";
        for vertex in [
            "resolve image config for r.local/dockerfile:1",
            "resolve image config for docker-image://r.local/dockerfile:1",
        ] {
            let error = failed_vertex(&BuildRequest::default(), vertex, Vec::new(), message);
            assert_eq!(error.kind(), ErrorKind::RegistryUnavailable, "{error}");
            assert!(error.message().contains("`r.local/dockerfile:1`"), "{error}");
        }
    }

    #[test]
    fn a_base_that_cannot_be_had_is_told_as_a_pull_is() {
        for (step, message, expected) in [
            (
                "FROM r.local/base:v1",
                "manifest for r.local/base:v1 not found: manifest unknown",
                ErrorKind::ImageMissing,
            ),
            (
                "FROM ${BASE} AS one",
                "Get \"https://r.local/v2/\": no basic auth credentials",
                ErrorKind::RegistryRefused,
            ),
            ("COPY --from=r.local/base:v1 /a /", "dial tcp: connection refused", ErrorKind::RegistryUnavailable),
        ] {
            let error = error(step, message);
            assert_eq!(error.kind(), expected, "{error}");
            assert!(error.message().contains("`r.local/base:v1`"), "{error}");
        }
    }

    #[test]
    fn a_dockerfile_that_cannot_be_understood_is_named() {
        let unknown = error("", "dockerfile parse error line 2: unknown instruction: BOGUS");
        assert_eq!(unknown.to_string(), "web/Dockerfile:2:1: unknown instruction: BOGUS");
        for (message, expected) in [
            ("Cannot locate specified Dockerfile: web/Dockerfile", "the context has no Dockerfile `web/Dockerfile`"),
            ("failed to reach build target nope in Dockerfile", "`web/Dockerfile` has no stage `nope`"),
        ] {
            let error = error("", message);
            assert_eq!((error.kind(), error.message()), (ErrorKind::ImageTree, expected));
        }
        let mount = "the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn";
        let error = error("RUN --mount=type=cache,target=/x make", mount);
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        assert_eq!(error.message(), "the build needs BuildKit: the --mount option requires BuildKit");
    }
}
