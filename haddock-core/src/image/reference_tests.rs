use proptest::prelude::*;

use super::*;

const SHA: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn image(text: &str) -> ImageReference {
    ImageReference::parse(text).expect(text)
}

#[test]
fn names_are_normalised_as_docker_does_it() {
    let pinned = format!("postgres@{SHA}");
    let both = format!("registry.local:5000/a/b:v1@{SHA}");
    let (pinned_canonical, both_canonical) = (format!("docker.io/library/{pinned}"), both.clone());
    for (text, familiar, canonical) in [
        ("postgres", "postgres:latest", "docker.io/library/postgres:latest"),
        ("postgres:17", "postgres:17", "docker.io/library/postgres:17"),
        ("docker.io/postgres", "postgres:latest", "docker.io/library/postgres:latest"),
        ("index.docker.io/library/postgres", "postgres:latest", "docker.io/library/postgres:latest"),
        ("library/postgres", "postgres:latest", "docker.io/library/postgres:latest"),
        ("docker.io/library/a/b", "library/a/b:latest", "docker.io/library/a/b:latest"),
        ("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"),
        ("grafana/grafana:11.2.0", "grafana/grafana:11.2.0", "docker.io/grafana/grafana:11.2.0"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
        ("Registry.Local/app:V1", "Registry.Local/app:V1", "Registry.Local/app:V1"),
        ("10.0.0.7:5000/a/b/c:v1", "10.0.0.7:5000/a/b/c:v1", "10.0.0.7:5000/a/b/c:v1"),
        ("[::1]:5000/app:v1", "[::1]:5000/app:v1", "[::1]:5000/app:v1"),
        ("a__b/c--d.e_f", "a__b/c--d.e_f:latest", "docker.io/a__b/c--d.e_f:latest"),
        ("app:5000", "app:5000", "docker.io/library/app:5000"),
        (&pinned, &pinned, &pinned_canonical),
        (&both, &both, &both_canonical),
    ] {
        let reference = image(text);
        assert_eq!((reference.familiar().as_str(), reference.canonical().as_str()), (familiar, canonical), "{text}");
        assert_eq!(reference.to_string(), familiar);
    }
}

#[test]
fn parts_are_told_apart() {
    let reference = image(&format!("registry.local:5000/shop/accounting:main-3f2a1bc@{SHA}"));
    assert_eq!(reference.registry(), "registry.local:5000");
    assert_eq!(reference.repository(), "shop/accounting");
    assert_eq!(reference.tag(), Some("main-3f2a1bc"));
    assert_eq!(reference.digest(), Some(SHA));
    assert_eq!(image(&format!("app@{SHA}")).tag(), None);
    assert_eq!(reference.with_tag("v2").expect("a tag").to_string(), "registry.local:5000/shop/accounting:v2");
    assert_eq!(image("app:v1").with_digest(SHA).expect("a digest").to_string(), format!("app:v1@{SHA}"));
    assert!(reference.with_tag("a/b").is_err());
    assert!(reference.with_digest("sha256:12").is_err());
}

#[test]
fn what_docker_hub_puts_before_a_name_counts_for_its_length() {
    let official = "a".repeat(255 - "library/".len());
    assert_eq!(image(&official).familiar(), format!("{official}:latest"));
    let longer = ImageReference::parse(&format!("{official}a")).expect_err("too long");
    assert!(longer.message().ends_with("the repository has 256 characters, more than 255"), "{longer}");
    assert_eq!(image(&format!("r.local/{}", "a".repeat(255))).repository().len(), 255);
}

#[test]
fn bad_names_are_refused_with_the_reason() {
    let long_tag = format!("app:{}", "a".repeat(129));
    let long_name = "a/".repeat(130) + "a";
    let id = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let short_sha512 = format!("app@sha512:{id}");
    let mut table = String::new();
    for text in [
        "",
        "my app",
        "http://registry.local/app",
        id,
        "Shop",
        "Shop/app",
        "registry.local/Shop:v1",
        "a//b",
        "/a",
        "a/",
        "registry.local/",
        "registry.local:/a",
        "registry.local:99999/a",
        "registry.local:+80/a",
        ":5000/a",
        "registry..local/a",
        "reg_istry.local/a",
        "-registry.local/a",
        "[::1/a",
        "[::g]/a",
        "[::1]5000/a",
        "app:",
        "app:v 1",
        "app:feature/login",
        "app:-v1",
        "app:.v1",
        "app:v1+build",
        "app:v1:v2",
        &long_tag,
        &long_name,
        "-app",
        "app-",
        "a.-b",
        "a___b",
        "a..b",
        "a$b",
        "ä/b",
        "app@",
        "app@sha256",
        "app@md5:d41d8cd98f00b204e9800998ecf8427e",
        "app@sha256:1234",
        "app@sha256:9F86",
        &short_sha512,
        "@sha256:1234",
        "${TAG}",
    ] {
        let error = ImageReference::parse(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidImageReference);
        table += &format!("{error:#}\n\n");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_reference_is_a_string_in_json_and_checked_when_read_back() {
    assert_eq!(serde_json::to_string(&image("postgres:17")).expect("plain"), "\"postgres:17\"");
    assert_eq!(serde_json::from_str::<ImageReference>("\"postgres:17\"").expect("valid"), image("postgres:17"));
    assert!(serde_json::from_str::<ImageReference>("\"Postgres\"").is_err());
}

proptest! {
    #[test]
    fn what_is_shown_is_read_back(text in concat!(
        "(localhost/|[a-z0-9]{1,8}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?/|docker\\.io/)?",
        "[a-z0-9]{1,8}(/[a-z0-9]{1,8}(\\.|_|__|-{1,3})[a-z0-9]{1,8}){0,3}",
        "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,20})?(@sha256:[0-9a-f]{64})?",
    )) {
        let reference = image(&text);
        prop_assert_eq!(&image(&reference.familiar()), &reference);
        prop_assert_eq!(&image(&reference.canonical()), &reference);
        prop_assert!(reference.tag().is_some() || reference.digest().is_some());
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,40}") {
        if let Ok(reference) = ImageReference::parse(&text) {
            prop_assert_eq!(image(&reference.familiar()), reference);
        }
    }
}
