//! The example that embeds Haddock says what the guide shows.
#![cfg(all(feature = "process", feature = "gateway"))]
#![allow(missing_docs)]

use std::path::PathBuf;
use std::process::Command;

#[test]
fn the_guide_shows_what_the_example_says() {
    let test = std::env::current_exe().expect("this program");
    let built: PathBuf = test.ancestors().nth(2).expect("the folder of the build").join("examples/embed");
    assert!(built.exists(), "`{}` is built with the tests", built.display());
    let done = Command::new(built).output().expect("it starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let guide = include_str!("../../docs/rust.md");
    let shown = guide.split_once("--features process,gateway\n").and_then(|(_, rest)| rest.split_once("```"));
    assert_eq!(String::from_utf8_lossy(&done.stdout), shown.expect("a block").0);
}
