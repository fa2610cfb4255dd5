use std::fs;

use serde_json::Value;

use super::*;
use crate::image::tree::tests::{folder, names, refused};
use crate::image::tree::{ImageTree, NeededImage, TreeImage, schema};
use crate::image::{BuildSecret, SecretSource};

/// A tree of three images with this description, and an image beside it.
fn shop(description: &str) -> Vec<(&'static str, String)> {
    vec![
        ("accounting/Dockerfile", "FROM tomcat:9\nARG VERSION\n".to_owned()),
        ("images/debian/Dockerfile", "FROM debian\nARG MIRROR\n".to_owned()),
        ("images/java/Dockerfile", "FROM debian AS build\nARG VERSION=21\nFROM build\n".to_owned()),
        ("images/java/Dockerfile.21", "FROM debian:13\n".to_owned()),
        ("images/old/Dockerfile", "FROM debian:12\n".to_owned()),
        ("images/haddock-images.yaml", description.to_owned()),
    ]
}

fn with_tree<T>(description: &str, look: impl FnOnce(Result<ImageTree, Error>, &Path) -> T) -> T {
    let files = shop(description);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let folder = folder(&files);
    look(ImageTree::read(&folder.path().join("images")), folder.path())
}

fn good(description: &str) -> ImageTree {
    with_tree(description, |tree, _| tree.expect("a good tree"))
}

#[test]
fn a_file_with_nearly_its_name_is_refused() {
    let folder = folder(&[("base/Dockerfile", "FROM scratch\n"), ("haddock-images.yml", "prefix: r.local/x\n")]);
    let error = ImageTree::read(folder.path()).expect_err("it would be left out");
    assert_eq!(error.place().map(|place| place.file.as_str()), Some("haddock-images.yml"));
    assert_eq!(error.hint(), Some("rename it to `haddock-images.yaml`"));
}

/// The error, as place, key, message and hint.
fn refusal(description: &str) -> String {
    let error = with_tree(description, |tree, _| tree.expect_err("a wrong file"));
    assert_eq!(error.kind(), ErrorKind::ImageTree, "{error:?}");
    let (place, hint) = (error.place().expect("a place"), error.hint().expect("a hint"));
    format!("{error} | {} | {hint}", place.key)
}

fn needs(image: &TreeImage) -> Vec<NeededImage> {
    image.needs.iter().map(|need| need.image.clone()).collect()
}

fn outside(image: &str) -> NeededImage {
    NeededImage::Outside(ImageReference::parse(image).expect("valid"))
}

const WHOLE: &str = r#"
prefix: registry.local:5000/team
tag: "ci-{hash}"
args: { MIRROR: mirror.local, VERSION: 1.10, UNUSED: x, HTTPS_PROXY: proxy.local }
ignore: [./old/]
images:
  java:
    name: jdk
    target: build
    args: { VERSION: 25, OWN: yes }
    labels: { tier: base }
    secrets: { netrc: { file: ../netrc }, token: { environment: TOKEN } }
    ssh: true
    platform: linux/arm64/v8
  accounting: { context: ../accounting }
  java21: { context: java, dockerfile: Dockerfile.21 }
"#;

#[test]
fn every_key_is_read() {
    with_tree(WHOLE, |tree, folder| {
        let tree = tree.expect("a good tree");
        assert_eq!(tree.tags().to_string(), "ci-{hash}");
        assert_eq!(names(tree.images()), ["accounting", "debian", "java", "java21"]);
        let args = |name: &str| -> Vec<String> {
            tree.get(name).expect("known").args.iter().map(|(arg, value)| format!("{arg}={value}")).collect()
        };
        assert_eq!(args("debian"), ["HTTPS_PROXY=proxy.local", "MIRROR=mirror.local"]);
        assert_eq!(args("java"), ["HTTPS_PROXY=proxy.local", "OWN=yes", "VERSION=25"]);
        assert_eq!(args("accounting"), ["HTTPS_PROXY=proxy.local", "VERSION=1.10"]);
        let java = tree.get("java").expect("known");
        assert_eq!(java.repository.familiar(), "registry.local:5000/team/jdk:latest");
        assert_eq!(java.target.as_deref(), Some("build"));
        assert_eq!(java.labels["tier"], "base");
        let root = folder.join("images");
        let file = BuildSecret { id: "netrc".to_owned(), source: SecretSource::File(root.join("../netrc")) };
        let variable = BuildSecret { id: "token".to_owned(), source: SecretSource::Variable("TOKEN".to_owned()) };
        assert_eq!(java.secrets, [file, variable]);
        assert!(java.ssh);
        assert_eq!(java.platform.as_deref(), Some("linux/arm64/v8"));
        let accounting = tree.get("accounting").expect("known");
        assert_eq!(accounting.path.to_str(), Some("../accounting/Dockerfile"));
        assert_eq!(accounting.context, root.join("../accounting"));
        assert_eq!(accounting.repository.familiar(), "registry.local:5000/team/accounting:latest");
        let second = tree.get("java21").expect("known");
        assert_eq!((second.path.to_str(), &second.context), (Some("java/Dockerfile.21"), &root.join("java")));
    });
}

#[test]
fn a_file_may_say_nothing() {
    assert_eq!(names(good("prefix: p\nargs:\nimages:\n  debian:\n").images()), ["debian", "java", "old"]);
    for empty in ["", "# nothing\n", "---\n", "images:\n"] {
        // Without a prefix, `FROM debian` in the folder `debian` means itself.
        let error = with_tree(empty, |tree, _| tree.expect_err("a circle"));
        assert!(error.message().starts_with("an image needs itself"), "{error}");
    }
}

#[test]
fn anchors_aliases_and_merges_work() {
    let text = "prefix: p\nimages:\n  java: &common\n    args: &args { A: 1, B: 2 }\n    ssh: true\n    secrets: { id: { file: x } }\n  \
        debian: { <<: *common, ssh: false }\n  old: { args: { <<: *args, A: 3 }, secrets: { id: } }\n";
    assert!(refusal(text).starts_with("haddock-images.yaml:8:"), "{}", refusal(text));
    let tree = good(&text.replace(", secrets: { id: }", ""));
    let image = |name: &str| tree.get(name).expect("known");
    let (debian, old) = (image("debian"), image("old"));
    assert_eq!((debian.ssh, debian.secrets.len(), debian.args["B"].as_str()), (false, 1, "2"));
    assert_eq!((old.args["A"].as_str(), old.args["B"].as_str()), ("3", "2"));
    // A mistake in what is merged has the place where it is written.
    let told = refusal(&text.replace("file: x", "").replace(", secrets: { id: }", ""));
    assert!(told.starts_with("haddock-images.yaml:6:16: secret `id` has neither"), "{told}");
}

#[test]
fn a_prefix_tells_the_images_of_the_tree_from_those_outside() {
    let files = &[
        ("debian/Dockerfile", "FROM debian\n"),
        ("java/Dockerfile", "FROM debian\nCOPY --from=debian:12 / /\n"),
        ("shop/Dockerfile", "FROM java\n"),
        ("web/Dockerfile", "FROM registry.local:5000/team/java\nCOPY --from=registry.local:5000/team/java:9 / /\n"),
        ("x/Dockerfile", "FROM registry.local:5000/team/something\nCOPY --from=registry.local:5000/other/jave / /\n"),
        ("haddock-images.yaml", "prefix: registry.local:5000/team\n"),
    ];
    let folder = folder(files);
    let tree = ImageTree::read(folder.path()).expect("a good tree");
    let needs = |name: &str| needs(tree.get(name).expect("known"));
    assert_eq!(needs("debian"), [outside("debian")]);
    assert_eq!(needs("java"), [NeededImage::Tree("debian".to_owned()), outside("debian:12")]);
    assert_eq!(needs("shop"), [NeededImage::Tree("java".to_owned())]);
    assert_eq!(needs("web"), [NeededImage::Tree("java".to_owned()), outside("registry.local:5000/team/java:9")]);
    assert_eq!(needs("x"), [outside("registry.local:5000/team/something"), outside("registry.local:5000/other/jave")]);
    fs::write(folder.path().join("x/Dockerfile"), "FROM x:1\nCOPY --from=registry.local:5000/team/jave / /\n")
        .expect("a file");
    let error = ImageTree::read(folder.path()).expect_err("a near name");
    assert_eq!(error.to_string(), "x/Dockerfile:2:13: the tree has no image `registry.local:5000/team/jave`");
    let hint = "did you mean `registry.local:5000/team/java`? Give it a tag or a digest if it is not of this tree";
    assert_eq!(error.hint(), Some(hint));
}

#[test]
fn a_near_name_is_found_however_the_registry_is_written() {
    let error = refused(&[
        ("java/Dockerfile", "FROM debian:13\n"),
        ("x/Dockerfile", "FROM docker.io/team/jave\n"),
        ("haddock-images.yaml", "prefix: docker.io/team\n"),
    ]);
    assert_eq!(error.to_string(), "x/Dockerfile:1:6: the tree has no image `docker.io/team/jave`");
    assert!(error.hint().is_some_and(|hint| hint.contains("`docker.io/team/java`")), "{error:?}");
}

#[test]
fn a_dockerfile_under_another_name_is_not_found_twice() {
    let tree = good("prefix: p\nimages: { jdk: { context: ./java }, deb: { context: debian }, debian: }\n");
    assert_eq!(names(tree.images()), ["debian", "deb", "jdk", "old"]);
}

#[test]
fn a_context_has_the_dockerfile_unless_it_is_named() {
    let tree = good("prefix: p\nimages: { java: { context: .., dockerfile: images/java/Dockerfile.21 } }\n");
    let java = tree.get("java").expect("known");
    assert_eq!(java.path.to_str(), Some("../images/java/Dockerfile.21"));
    let tree = good("prefix: p\nimages: { java: { dockerfile: Dockerfile.21 } }\n");
    assert_eq!(tree.get("java").expect("known").path.to_str(), Some("java/Dockerfile.21"));
    let tree = good("prefix: p\nimages: { tools: { dockerfile: java/Dockerfile.21 } }\n");
    let tools = tree.get("tools").expect("known");
    assert_eq!(tools.path.to_str(), Some("java/Dockerfile.21"));
    assert_eq!(tools.context.file_name().and_then(|name| name.to_str()), Some("images"));
}

#[test]
fn each_mistake_has_its_place() {
    let cases = [
        "prefix: [a\n",
        "prefix: a\nprefix: b\n",
        "args: { A: hidden, A: hidden }\n",
        "prefix: a\n---\nprefix: b\n",
        "prefx: a\n",
        "zzzzzz: a\n",
        "images:\n  java:\n    dokerfile: a\n",
        "images: { java: { secrets: { id: { fil: x } } } }\n",
        "images: [java]\n",
        "images: java\n",
        "images: { java: { ssh: hidden } }\n",
        "images: { java: { target: [hidden] } }\n",
        "args: { A: hidden, B: [hidden] }\n",
        "args: { A: }\n",
        "args: hidden\n",
        "args: [A=hidden]\n",
        "ignore: hidden\n",
        "ignore: [x, ../old]\n",
        "ignore: ['']\n",
        "prefix: registry.local:5000/${TEAM}\n",
        "prefix: https://registry.local/team\n",
        "prefix: registry.local/team/\n",
        "prefix: registry.local/Team\n",
        "prefix: registry.local/team:1\n",
        "prefix: ''\n",
        "tag: latest\n",
        "tag: {branch}-{hash}\n",
        "tag: '{brnch}'\n",
        "images:\n  jva: { target: x }\n",
        "images:\n  tomcat: { target: x }\n",
        "images:\n  '': { target: x }\n",
        "images:\n  '': { context: java }\n",
        "images:\n  Java: { context: java }\n",
        "images:\n  java: { name: '' }\n",
        "images:\n  java: { name: 'java:1' }\n",
        "images:\n  java: { name: Java }\n",
        "prefix: p\nimages:\n  java: { name: old }\n",
        "images:\n  java: { context: '' }\n",
        "images:\n  java: { context: nowhere }\n",
        "images:\n  x: { context: .. }\n",
        "images:\n  java: { dockerfile: Dockerfile.22 }\n",
        "images:\n  java: { platform: arm64 }\n",
        "images:\n  java: { platform: '' }\n",
        "images:\n  java:\n    secrets:\n      a: { file: x }\n      id: { file: x, environment: X }\n",
        "images:\n  java:\n    secrets:\n      id: {}\n",
        "images:\n  java:\n    secrets:\n      id: { file: '' }\n",
    ];
    let told: Vec<String> = cases.iter().map(|text| format!("{text}  {}", refusal(text))).collect();
    let told = told.join("\n");
    assert!(!told.contains("| hidden") && !told.contains("`hidden`"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn the_file_has_to_be_readable() {
    let error = refused(&[("a/Dockerfile", "FROM x\n"), ("haddock-images.yaml/x", "")]);
    assert!(error.to_string().starts_with("haddock-images.yaml:1:1: `haddock-images.yaml` cannot be read"), "{error}");
}

const PAGE: &str = include_str!("../../../../docs/reference/images-file.md");

/// The keys that the reader knows at a place of the file.
fn keys<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    match serde_saphyr::from_str_with_options::<T>("unknown: x", options()) {
        Err(YamlError::SerdeUnknownField { mut expected, .. }) => {
            expected.sort_unstable();
            expected
        }
        _ => panic!("each unknown key is refused"),
    }
}

#[test]
fn schema_page_and_reader_have_the_same_keys() {
    let schema = schema();
    let image = "/properties/images/additionalProperties";
    let secret = format!("{image}/properties/secrets/additionalProperties");
    for (at, keys) in [("", keys::<Written>()), (image, keys::<Entry>()), (&secret, keys::<Secret>())] {
        let properties = schema.pointer(&format!("{at}/properties")).and_then(Value::as_object).expect("an object");
        assert_eq!(properties.keys().map(String::as_str).collect::<Vec<_>>(), keys, "{at}");
        for key in keys {
            assert!(PAGE.contains(&format!("\n| `{key}` |")), "`{key}` is not on the page");
        }
    }
}

#[test]
fn every_example_on_the_page_is_a_good_file() {
    let examples: Vec<&str> =
        PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().expect("a closed block")).collect();
    assert!(examples.len() >= 3, "only {} examples were found", examples.len());
    for example in examples {
        if let Err(error) = Description::parse(example) {
            panic!("{error:#}\n{example}");
        }
    }
}

#[test]
fn the_shipped_schema_is_that_of_the_reader() {
    let schema = serde_json::to_string_pretty(&schema()).expect("plain data") + "\n";
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/haddock-images.schema.json");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        fs::write(&shipped, &schema).expect("writable");
    }
    let found = fs::read_to_string(&shipped).expect("the schema is shipped");
    assert_eq!(found, schema, "run the tests once with INSTA_UPDATE=always");
}
