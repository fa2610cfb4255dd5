use std::collections::BTreeMap;

use super::*;

fn values() -> BTreeMap<String, String> {
    [("X", "value"), ("EMPTY", ""), ("PATH", "a/b/c.tar.gz"), ("V", "3.12.1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[track_caller]
fn check(word: &str, expected: &str) {
    assert_eq!(expand(word, &values(), '\\').map(|expanded| expanded.text).as_deref(), Ok(expected), "{word}");
}

#[test]
fn names_become_values() {
    check("java:$X", "java:value");
    check("java:${X}-slim", "java:value-slim");
    check("$X$X", "valuevalue");
    check("$X.1", "value.1");
    check("$UNKNOWN", "");
    check("a$", "a$");
    check("a$/b", "a$/b");
    check("$1x", "x");
}

#[test]
fn defaults_count_as_in_a_shell() {
    check("${X:-d}", "value");
    check("${EMPTY:-d}", "d");
    check("${EMPTY-d}", "");
    check("${U-d}", "d");
    check("${U:-$X}", "value");
    check("${U:-${EMPTY:-deep}}", "deep");
    check("${X:+w}", "w");
    check("${EMPTY:+w}", "");
    check("${EMPTY+w}", "w");
    check("${U+w}", "");
    check("${X:?no}", "value");
}

#[test]
fn patterns_cut_and_replace() {
    check("${PATH#*/}", "b/c.tar.gz");
    check("${PATH##*/}", "c.tar.gz");
    check("${PATH%.*}", "a/b/c.tar");
    check("${PATH%%.*}", "a/b/c");
    check("${PATH%nothing}", "a/b/c.tar.gz");
    check("${V/./_}", "3_12.1");
    check("${V//./_}", "3_12_1");
    check("${PATH//\\//-}", "a-b-c.tar.gz");
    check("${V%.?}", "3.12");
    check("${EMPTY//x/y}", "");
}

#[test]
fn quotes_and_escapes_are_removed() {
    check("\"$X\"", "value");
    check("'$X'", "$X");
    check("\\$X", "$X");
    check("\"a\\\"b\"", "a\"b");
    check("\"a\\b\"", "a\\b");
    check("a\\", "a");
    assert_eq!(expand("`$X\\y", &values(), '`').map(|expanded| expanded.text).as_deref(), Ok("$X\\y"));
}

#[test]
fn what_cannot_be_read_is_an_error() {
    for word in ["${X", "${", "${}", "${:x}", "${{X}}", "${X:", "${X:=d}", "${X=d}", "'a", "\"a", "${U?gone}", "${X/a}"]
    {
        assert!(expand(word, &values(), '\\').is_err(), "{word}");
    }
    assert!(expand(&"${U:-".repeat(10_000), &values(), '\\').is_err());
}

#[test]
fn names_without_values_are_told() {
    assert_eq!(expand("$A${B}", &values(), '\\').expect("valid").unset, ["A", "B"]);
    assert_eq!(expand("${A:-x}", &values(), '\\').expect("valid").unset, Vec::<String>::new());
}
