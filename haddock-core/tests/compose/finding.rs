//! Compose files, `.env` and files of variables on disk.

use std::fs;
use std::path::{Path, PathBuf};

use haddock_core::environment::compose::{ComposeFile, ResolveOptions, Variables};
use haddock_core::{EnvironmentName, ErrorKind};
use tempfile::TempDir;

const FILE: &str = "services:\n  web: { image: \"shop:${TAG:-none}\", expose: [80] }\n";

fn write(directory: &TempDir, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.path().join(path);
    fs::create_dir_all(path.parent().expect("within the directory")).expect("writable");
    fs::write(&path, text).expect("writable");
    path
}

fn none() -> Variables {
    Variables::default()
}

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().copied().collect()
}

fn tag(file: &ComposeFile, options: &ResolveOptions) -> String {
    file.resolve(options).expect("valid").spec.components["web"].image.tag().expect("a tag").to_owned()
}

/// The error as text, with the directory's name taken out.
fn shown(directory: &Path, error: &haddock_core::Error) -> String {
    format!("{error:#}").replace(&directory.display().to_string(), "DIR")
}

#[test]
fn the_file_is_found_by_its_names_in_the_nearest_parent() {
    let directory = TempDir::new().expect("writable");
    let found = |at: &str| {
        let file = ComposeFile::find(&directory.path().join(at), &none()).expect("found");
        Path::new(file.name()).strip_prefix(directory.path()).expect("within").display().to_string()
    };
    write(&directory, "docker-compose.yaml", FILE);
    fs::create_dir_all(directory.path().join("a/b")).expect("writable");
    assert_eq!(found("a/b"), "docker-compose.yaml");
    write(&directory, "docker-compose.yml", FILE);
    assert_eq!(found("."), "./docker-compose.yml".trim_start_matches("./"));
    write(&directory, "compose.yml", FILE);
    write(&directory, "compose.yaml", FILE);
    assert_eq!(found("a"), "compose.yaml");
    write(&directory, "a/docker-compose.yaml", FILE);
    assert_eq!(found("a/b"), "a/docker-compose.yaml");
}

#[test]
fn compose_file_names_it() {
    let directory = TempDir::new().expect("writable");
    write(&directory, "compose.yaml", FILE);
    write(&directory, "other.yaml", FILE);
    let named = |variables: &Variables| {
        ComposeFile::find(directory.path(), variables)
            .map(|file| file.name().rsplit('/').next().expect("a name").to_owned())
    };
    assert_eq!(named(&variables(&[("COMPOSE_FILE", "other.yaml")])).expect("found"), "other.yaml");
    assert_eq!(named(&variables(&[("COMPOSE_FILE", "")])).expect("found"), "compose.yaml");
    write(&directory, ".env", "COMPOSE_FILE=other.yaml\n");
    assert_eq!(named(&none()).expect("found"), "other.yaml");
    let several = variables(&[("COMPOSE_FILE", "compose.yaml:other.yaml")]);
    let file = ComposeFile::find(directory.path(), &several).expect("found");
    assert!(format!("{file:?}").contains("other.yaml"), "{file:?}");
    write(&directory, ".env", "COMPOSE_FILE=compose.yaml,other.yaml\nCOMPOSE_PATH_SEPARATOR=,\n");
    let file = ComposeFile::find(directory.path(), &none()).expect("found");
    assert!(format!("{file:?}").contains("other.yaml"), "{file:?}");
    write(&directory, "own.env", "COMPOSE_FILE=other.yaml\n");
    let file = ComposeFile::find_with(directory.path(), &none(), &["own.env".into()]).expect("found");
    assert!(file.name().ends_with("other.yaml"), "{file:?}");
    let missing = named(&variables(&[("COMPOSE_FILE", "nope.yaml")])).expect_err("missing");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn what_cannot_be_found_or_read_is_told() {
    let directory = TempDir::new().expect("writable");
    let path = directory.path();
    let mut table = String::new();
    let mut tell = |error: haddock_core::Error| table += &format!("{}\n{:?}\n\n", shown(path, &error), error.kind());
    tell(ComposeFile::find(path, &none()).expect_err("nothing there"));
    tell(ComposeFile::read(&path.join("compose.yaml")).expect_err("nothing there"));
    tell(ComposeFile::read(path).expect_err("a directory"));
    tell(ComposeFile::read(&write(&directory, "latin1.yaml", b"name: caf\xe9\n")).expect_err("not UTF-8"));
    write(&directory, "compose.yaml", FILE);
    write(&directory, "compose.override.yml", FILE);
    let both = ComposeFile::find(path, &none()).expect("found");
    assert!(format!("{both:?}").contains("compose.override.yml"), "{both:?}");
    let file = ComposeFile::read(&path.join("compose.yaml")).expect("named, so the override is not looked for");
    let options = ResolveOptions { env_files: vec!["nope.env".into()], ..ResolveOptions::default() };
    tell(file.resolve(&options).expect_err("no such file"));
    write(&directory, ".env", "A=1\nB='open\n");
    tell(file.resolve(&ResolveOptions::default()).expect_err("a bad .env"));
    insta::assert_snapshot!(table);
}

#[test]
fn variables_come_from_the_release_then_the_caller_then_env_files() {
    let directory = TempDir::new().expect("writable");
    let file = ComposeFile::read(&write(&directory, "compose.yaml", FILE)).expect("YAML");
    let mut options = ResolveOptions::default();
    assert_eq!(tag(&file, &options), "none");
    write(&directory, ".env", "TAG=dot-env\n");
    assert_eq!(tag(&file, &options), "dot-env");
    write(&directory, "one.env", "TAG=one\nBASE=base\n");
    write(&directory, "two.env", "TAG=two-${BASE}\n");
    options.env_files = vec!["one.env".into()];
    assert_eq!(tag(&file, &options), "one");
    options.env_files = vec!["one.env".into(), "two.env".into()];
    assert_eq!(tag(&file, &options), "two-base");
    options.variables = variables(&[("TAG", "caller")]);
    assert_eq!(tag(&file, &options), "caller");
    options.tag = Some("release".into());
    assert_eq!(tag(&file, &options), "release");
}

#[test]
fn env_files_of_a_component_are_read_in_order_and_lose_to_environment() {
    let directory = TempDir::new().expect("writable");
    let text = "services:\n  web:\n    image: shop\n    expose: [80]\n    env_file: [a.env, { path: sub/b.env }, { path: nope.env, required: false }]\n    environment: { C: own }\n";
    let file = ComposeFile::read(&write(&directory, "compose.yaml", text)).expect("YAML");
    write(&directory, "a.env", "A=a\nB=a\nC=a\nD=${CALLER}-$A\nCALLER\n");
    write(&directory, "sub/b.env", "B='b'\nE=${A}${C}\n");
    let options = ResolveOptions { variables: variables(&[("CALLER", "me")]), ..ResolveOptions::default() };
    let spec = file.resolve(&options).expect("valid").spec;
    let found: Vec<_> =
        spec.components["web"].environment.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
    assert_eq!(found, ["A=a", "B=b", "C=own", "CALLER=me", "D=me-a", "E=aown"]);
    write(&directory, "sub/b.env", "B=1\nsecret value\n");
    let error = file.resolve(&options).expect_err("a bad line");
    assert_eq!(error.place().map(ToString::to_string).as_deref(), Some("sub/b.env:2:1"));
    fs::remove_file(directory.path().join("a.env")).expect("there");
    let error = file.resolve(&options).expect_err("a missing file");
    assert_eq!(error.message(), "file `a.env` of variables does not exist");
}

#[test]
fn the_working_directory_is_known_where_the_environment_has_none() {
    let here = std::env::current_dir().expect("there is one");
    let told = Variables::of_process();
    let told = Path::new(told.get("PWD").expect("set"));
    assert_eq!(told.canonicalize().expect("there"), here.canonicalize().expect("there"));
}

#[test]
fn the_variables_of_where_the_caller_is_win_over_those_beside_the_file() {
    let directory = TempDir::new().expect("writable");
    write(&directory, "sub/compose.yaml", "services: { web: { image: 'x:${A}-${B}' } }\n");
    write(&directory, "sub/.env", "A=file\nB=file\n");
    write(&directory, ".env", "COMPOSE_FILE=sub/compose.yaml\nA=here\n");
    let file = ComposeFile::find(directory.path(), &none()).expect("found");
    assert_eq!(tag(&file, &ResolveOptions::default()), "here-file");
    let named = ComposeFile::read(&directory.path().join("sub/compose.yaml")).expect("YAML");
    assert_eq!(tag(&named, &ResolveOptions::default()), "file-file");
}

#[test]
fn a_raw_file_of_variables_is_taken_as_it_is() {
    let directory = TempDir::new().expect("writable");
    let text = "services:\n  web: { image: shop, env_file: [{ path: a.env, format: raw }] }\n";
    let file = ComposeFile::read(&write(&directory, "compose.yaml", text)).expect("YAML");
    write(&directory, "a.env", "A='${CALLER}' # a\nCALLER\n");
    let options = ResolveOptions { variables: variables(&[("CALLER", "me")]), ..ResolveOptions::default() };
    let spec = file.resolve(&options).expect("valid").spec;
    let environment = &spec.components["web"].environment;
    assert_eq!((environment["A"].expose(), environment["CALLER"].expose()), ("'${CALLER}' # a", "me"));
    write(&directory, "a.env", "A=1\nB 2\n");
    let error = file.resolve(&options).expect_err("a bad line");
    assert_eq!(error.place().map(ToString::to_string).as_deref(), Some("a.env:2:1"));
}

#[test]
fn the_project_s_name_is_that_of_the_environment_and_env_files_may_name_the_service() {
    let directory = TempDir::new().expect("writable");
    let text = "name: shop\nservices:\n  web: { image: \"shop:${COMPOSE_PROJECT_NAME}\" }\n";
    let file = ComposeFile::read(&write(&directory, "compose.yaml", text)).expect("YAML");
    let found = |options: &ResolveOptions| {
        let resolved = file.resolve(options).expect("valid");
        let same = file.service_name(options).expect("valid");
        assert_eq!(resolved.name, same);
        format!("{same} {}", tag(&file, options))
    };
    // The caller's is another matter.
    let mut options =
        ResolveOptions { variables: variables(&[("COMPOSE_PROJECT_NAME", "caller")]), ..ResolveOptions::default() };
    assert_eq!(found(&options), "shop shop");
    write(&directory, ".env", "COMPOSE_PROJECT_NAME=\n");
    assert_eq!(found(&options), "shop shop");
    write(&directory, ".env", "COMPOSE_PROJECT_NAME=my_till\n");
    // As Compose has it; a service's name has no `_`.
    assert_eq!(found(&options), "my-till my_till");
    options.environment = Some(EnvironmentName::new("pr-42").expect("valid"));
    assert_eq!(found(&options), "my-till pr-42");
    write(&directory, ".env", "COMPOSE_PROJECT_NAME=My till\n");
    let error = file.resolve(&options).expect_err("no name");
    assert!(error.message().starts_with("`COMPOSE_PROJECT_NAME` of `.env`"), "{error}");
}

#[test]
fn a_relative_path_gets_the_directory_s_name() {
    let directory = TempDir::new().expect("writable");
    let path = write(&directory, "shop/compose.yaml", FILE);
    let file = ComposeFile::read(path.join("../compose.yaml").components().as_path());
    assert!(file.is_err(), "a file is no directory");
    let file = ComposeFile::read(&path).expect("YAML");
    assert_eq!(file.resolve(&ResolveOptions::default()).expect("valid").name.as_str(), "shop");
    assert_eq!(file.directory(), path.parent().expect("a directory"));
}
