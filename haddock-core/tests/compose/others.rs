//! Compose files of other people: each is either taken or refused with places.

use std::path::{Path, PathBuf};

use haddock_core::ErrorKind;
use haddock_core::environment::compose::ComposeFile;

use super::environment;

/// A folder of compose files to try.
const FOLDER: &str = "HADDOCK_COMPOSE_FILES";

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
}

#[test]
fn compose_files_of_others_are_taken_or_refused_with_places() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        eprintln!("SKIPPED: set {FOLDER} to a folder of compose files to try them");
        return;
    };
    let mut files = Vec::new();
    yaml_files(Path::new(&folder), &mut files);
    files.sort();
    assert!(!files.is_empty(), "no YAML file below {}", folder.display());
    let mut taken = 0;
    for path in &files {
        let errors =
            match ComposeFile::read(path).map_err(|error| vec![error]).and_then(|file| file.check(&environment())) {
                Ok(_) => {
                    eprintln!("{}: taken", path.display());
                    taken += 1;
                    continue;
                }
                Err(errors) => errors,
            };
        for error in errors {
            eprintln!("{error:#}\n");
            assert!(error.kind() == ErrorKind::Io || error.place().is_some_and(|place| place.line > 0), "{error:?}");
            assert!(error.hint().is_some(), "{error:?}");
        }
    }
    eprintln!("{taken} of {} files are taken", files.len());
}
