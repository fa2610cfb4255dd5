//! Compose files that people write, good and bad, through the public interface.

mod as_compose;
mod bad_files;
mod bad_keys;
mod bad_values;
mod finding;
mod good;
mod others;
mod random;
mod reference;
mod secrets;

use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions, Resolved};
use haddock_core::{Error, ErrorKind};

/// A release of tag `v2`.
fn release() -> ResolveOptions {
    ResolveOptions { tag: Some("v2".into()), purpose: Purpose::Release, ..ResolveOptions::default() }
}

/// An environment by itself, without any variable.
fn environment() -> ResolveOptions {
    ResolveOptions::default()
}

fn check(text: &str, options: &ResolveOptions) -> Result<Resolved, Vec<Error>> {
    ComposeFile::parse("shop/compose.yaml", text).map_err(|error| vec![error])?.check(options)
}

fn resolve(text: &str, options: &ResolveOptions) -> Resolved {
    check(text, options).unwrap_or_else(|errors| panic!("{:#}\nin\n{text}", errors[0]))
}

fn indented(lines: &str, by: usize) -> String {
    lines.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

/// A file whose component `web` has these lines, next to `db`; they begin at line 4, column 5.
fn component(lines: &str) -> String {
    let rest = "  db: { image: \"db:1\" }\nx-haddock: { entry: \"web:80\" }\n";
    format!("services:\n  web:\n    image: shop:1\n{}{rest}", indented(lines, 4))
}

/// A file with these lines under `x-haddock`; they begin at line 6, column 3.
fn settings(lines: &str) -> String {
    format!("services:\n  web:\n    image: shop:1\n    expose: [80]\nx-haddock:\n{}", indented(lines, 2))
}

/// The errors of each file, with what every error must have checked.
fn table(cases: &[(&str, String)], options: &ResolveOptions) -> String {
    let mut table = String::new();
    for (name, text) in cases {
        let errors = match check(text, options) {
            Ok(resolved) => panic!("{name} was taken as {resolved:#?}"),
            Err(errors) => errors,
        };
        table += &format!("# {name}\n");
        for error in errors {
            let place = error.place().unwrap_or_else(|| panic!("{name}: {error} has no place"));
            assert!(place.line >= 1 && place.line <= text.lines().count().max(1) as u64, "{name}: {place}");
            assert!(error.hint().is_some_and(|hint| !hint.ends_with('.')), "{name}: {error} has no good hint");
            assert!(!error.message().ends_with('.'), "{name}: {error}");
            assert!(!error.message().starts_with(char::is_uppercase), "{name}: {error}");
            let kind = error.kind();
            assert!(
                matches!(
                    kind,
                    ErrorKind::ComposeFile
                        | ErrorKind::NotFound
                        | ErrorKind::NotSupported
                        | ErrorKind::InvalidValue
                        | ErrorKind::InvalidName
                        | ErrorKind::InvalidImageReference
                ),
                "{name}: {kind:?}"
            );
            table += &format!("{error:#}\nat: {} ({kind:?})\n", place.key);
        }
        table += "\n";
    }
    table
}
