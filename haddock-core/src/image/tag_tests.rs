use std::collections::BTreeSet;

use super::*;
use crate::image::ImageReference;

const COMMIT: &str = "3f2a1bc94d0e8f7a6b5c4d3e2f1a0b9c8d7e6f5a";

fn of(branch: &str) -> Revision {
    Revision { branch: Some(branch.to_owned()), commit: COMMIT.to_owned(), ..Revision::default() }
}

fn tag(branch: &str) -> String {
    of(branch).tag().expect("a tag")
}

#[test]
fn plain_branches_are_spelled_as_they_are() {
    assert_eq!(tag("main"), "main-3f2a1bc");
    assert_eq!(tag("feature/Login Page"), "feature-login-page-3f2a1bc");
    assert_eq!(tag("release/1.4.x"), "release-1.4.x-3f2a1bc");
    assert_eq!(tag("PAY_42"), "pay_42-3f2a1bc");
}

#[test]
fn other_branches_keep_a_hash_of_their_name() {
    assert_eq!(tag("größe"), format!("gr--e-{}-3f2a1bc", short_hash("größe")));
    assert_eq!(tag(".hidden"), format!("hidden-{}-3f2a1bc", short_hash(".hidden")));
    assert_eq!(tag("🎉"), format!("{}-3f2a1bc", short_hash("🎉")));
    let long = tag(&"a".repeat(200));
    assert_eq!(long.len(), LONGEST_TAG);
    assert!(long.ends_with(&format!("-{}-3f2a1bc", short_hash(&"a".repeat(200)))), "{long}");
    assert_eq!(tag(&"a".repeat(120)), format!("{}-3f2a1bc", "a".repeat(120)), "it just fits");
}

/// A hundred names that git, a CI or a person may come up with.
fn odd_branches() -> Vec<String> {
    let made = |n: usize| match n % 20 {
        0 => format!("feature/{n}"),
        1 => format!("Größe-{n}"),
        2 => format!(".dots/first{n}"),
        3 => format!("a..b{n}"),
        4 => format!("🎉{}", "🎉".repeat(n / 20)),
        5 => format!("{}{n}", "x".repeat(200)),
        6 => format!("{n}{}", "/deep".repeat(60)),
        7 => format!("users/o'brien/{n}"),
        8 => format!("fix#{n}"),
        9 => format!("日本語/{n}"),
        10 => format!("-leading{n}"),
        11 => format!("trailing{n}-"),
        12 => format!("a@{{{n}}}"),
        13 => format!("{n}%20space"),
        14 => format!("tab\t{n}"),
        15 => format!("UPPER/{n}"),
        16 => format!("under_score{n}."),
        17 => format!("dependabot/npm_and_yarn/@types/node-{n}.0.1"),
        18 => format!("a+b{n}"),
        _ => format!("é{n}"),
    };
    (0..100).map(made).collect()
}

#[test]
fn odd_branches_have_valid_distinct_and_stable_tags() {
    let branches = odd_branches();
    let tags: Vec<String> = branches.iter().map(|branch| tag(branch)).collect();
    for (branch, tag) in branches.iter().zip(&tags) {
        ImageReference::parse(&format!("shop:{tag}")).unwrap_or_else(|error| panic!("{branch}: {error}"));
        assert!(tag.ends_with("-3f2a1bc"), "{branch}: {tag}");
        let dirty = Revision { dirty: true, ..of(branch) }.tag().expect("a tag");
        ImageReference::parse(&format!("shop:{dirty}")).unwrap_or_else(|error| panic!("{branch}: {error}"));
        assert!(dirty.ends_with("-3f2a1bc-dirty"), "{branch}: {dirty}");
    }
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), branches.len());
    // These are in registries. A change here makes new images of what is there.
    insta::assert_snapshot!(tags.join("\n"));
}

#[test]
fn without_a_branch_the_commit_is_left() {
    let detached = Revision { branch: None, ..of("") };
    assert_eq!(detached.tag().expect("a tag"), "3f2a1bc");
    let filled = |template: &str| template.parse::<TagTemplate>().expect("a template").tag(&detached);
    assert_eq!(filled("{hash}-{branch}").expect("a tag"), "3f2a1bc-");
    assert_eq!(filled("ci.{branch}.{commit}").expect("a tag"), format!("ci.{COMMIT}"));
}

#[test]
fn templates_that_make_no_tag_are_refused() {
    let refused = |template: &str| match template.parse::<TagTemplate>().and_then(|it| it.tag(&of("main"))) {
        Ok(tag) => format!("{template}: {tag}"),
        Err(error) => format!("{error:#}"),
    };
    let long = format!("{}{{hash}}", "x".repeat(125));
    let all =
        ["", "{branch}", "{hash", "{sha}-{hash}", "v 1-{hash}", "-{hash}", ".{branch}-{hash}", &long].map(refused);
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn what_is_no_commit_is_refused() {
    for commit in ["", "3f2a1b", "v1.0.0-rc1", "HEAD~1234"] {
        let error = Revision { commit: commit.to_owned(), ..of("main") }.tag().expect_err("no commit");
        assert_eq!(error.kind(), ErrorKind::InvalidValue, "{commit}");
    }
    assert_eq!(Revision { commit: "3F2A1BC9".to_owned(), ..of("main") }.tag().expect("a tag"), "main-3f2a1bc");
}

#[test]
fn a_template_is_written_as_it_was_read() {
    for text in ["{branch}-{hash}", "ci_{commit}", "v1.{hash}.{branch}"] {
        assert_eq!(text.parse::<TagTemplate>().expect("a template").to_string(), text);
    }
    assert_eq!(TagTemplate::default().to_string(), "{branch}-{hash}");
}
