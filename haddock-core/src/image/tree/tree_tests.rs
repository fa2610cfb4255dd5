use std::fs;

use super::*;

pub(super) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

pub(super) fn names<'i>(images: impl IntoIterator<Item = &'i TreeImage>) -> Vec<&'i str> {
    images.into_iter().map(|image| image.name.as_str()).collect()
}

pub(super) fn refused(files: &[(&str, &str)]) -> Error {
    let error = ImageTree::read(folder(files).path()).expect_err("a wrong tree");
    assert_eq!(error.kind(), ErrorKind::ImageTree);
    assert!(error.hint().is_some() && error.place().is_some(), "{error:?}");
    error
}

const SHOP: &[(&str, &str)] = &[
    ("base/Dockerfile", "FROM debian:13\n"),
    ("java/Dockerfile", "ARG BASE=base\nFROM $BASE\n"),
    ("Shop/Accounting/Dockerfile", "FROM tomcat AS x\nFROM scratch\nCOPY --from=java:latest / /\nCOPY --from=x / /\n"),
    ("tomcat/Containerfile", "FROM java\nRUN --mount=type=bind,from=tools,target=/t x\n"),
    (
        "tools/Dockerfile",
        "FROM tomcat:9\nCOPY --from=java@sha256:0000000000000000000000000000000000000000000000000000000000000000 / /\n",
    ),
    (".git/Dockerfile", "FROM nobody\n"),
    ("node_modules/x/Dockerfile", "FROM nobody\n"),
    ("tools/target/Dockerfile", "FROM nobody\n"),
];

#[test]
fn images_stand_after_what_they_need() {
    let folder = folder(SHOP);
    let tree = ImageTree::read(folder.path()).expect("a good tree");
    assert_eq!(names(tree.images()), ["base", "java", "tools", "tomcat", "shop/accounting"]);
    assert_eq!(names(tree.with_needed(&["tomcat".to_owned()]).expect("known")), ["base", "java", "tools", "tomcat"]);
    assert_eq!(names(tree.dependents("java")), ["tomcat", "shop/accounting"]);
    assert_eq!(names(tree.dependents("shop/accounting")), [""; 0]);
    let accounting = tree.get("shop/accounting").expect("known");
    assert_eq!(accounting.path, Path::new("Shop/Accounting/Dockerfile"));
    assert_eq!(accounting.context, folder.path().join("Shop/Accounting"));
    assert_eq!(accounting.base, None);
    let java = tree.get("java").expect("known");
    assert_eq!(java.base.as_deref(), Some("base"));
    assert_eq!(java.needs[0].used.place.to_string(), "java/Dockerfile:2:6");
    // Another tag or a digest means one from a registry.
    let tools = tree.get("tools").expect("known");
    assert!(tools.needs.iter().all(|need| matches!(need.image, NeededImage::Outside(_))), "{:?}", tools.needs);
}

#[test]
fn an_unknown_name_has_a_hint() {
    let folder = folder(SHOP);
    let tree = ImageTree::read(folder.path()).expect("a good tree");
    let error = tree.get("Tomact").expect_err("unknown");
    assert_eq!((error.kind(), error.hint()), (ErrorKind::NotFound, Some("did you mean `tomcat`?")));
    let error = tree.with_needed(&["zzz".to_owned()]).expect_err("unknown");
    assert_eq!(error.hint(), Some("the images are `base`, `java`, `tools`, `tomcat`, `shop/accounting`"));
}

#[test]
fn an_image_in_the_root_has_the_name_of_the_folder() {
    let folder = folder(&[("Shop/Dockerfile", "FROM debian:13\n"), ("Shop/web/Dockerfile", "FROM shop\n")]);
    let tree = ImageTree::read(&folder.path().join("Shop")).expect("a good tree");
    assert_eq!(names(tree.images()), ["shop", "web"]);
}

#[test]
fn a_circle_is_told_whole() {
    let error = refused(&[
        ("a/Dockerfile", "FROM c\n"),
        ("b/Dockerfile", "FROM x:1\nCOPY --from=d / /\n"),
        ("c/Dockerfile", "FROM b\n"),
        ("d/Dockerfile", "FROM c\n"),
    ]);
    let expected = "b/Dockerfile:2:13: images need each other in a circle: `b` needs `d` (b/Dockerfile:2), `d` needs `c` \
        (d/Dockerfile:1), `c` needs `b` (c/Dockerfile:1)";
    assert_eq!(error.to_string(), expected);
    let error = refused(&[("debian/Dockerfile", "FROM debian\n")]);
    let expected = "debian/Dockerfile:1:6: an image needs itself: `debian` needs `debian` (debian/Dockerfile:1)";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn wrong_trees_are_refused_with_the_place() {
    let error = refused(&[("a/Dockerfile", "FROM x\n"), ("A/Dockerfile", "FROM x\n")]);
    assert_eq!(error.to_string(), "a/Dockerfile:1:1: two images have the name `a`: another is in `A/Dockerfile`");
    refused(&[("a/Dockerfile", "FROM x\n"), ("a/Containerfile", "FROM x\n")]);
    refused(&[("a b/Dockerfile", "FROM x\n")]);
    refused(&[("a:1/Dockerfile", "FROM x\n")]);
    assert_eq!(
        refused(&[("a/b/Dockerfile", "FROM x\nCPY\n")]).to_string(),
        "a/b/Dockerfile:2:1: unknown instruction `CPY`"
    );
    assert!(refused(&[("a/README", "")]).message().starts_with("there is no Dockerfile below"));
    let folder = folder(&[]);
    fs::create_dir(folder.path().join("a")).expect("a folder");
    fs::write(folder.path().join("a/Dockerfile"), b"FROM x\n# \xff\n").expect("a file");
    let error = ImageTree::read(folder.path()).expect_err("not UTF-8");
    assert_eq!(error.to_string(), "a/Dockerfile:2:1: the file is not UTF-8");
    assert!(ImageTree::read(&folder.path().join("nowhere")).is_err());
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out() {
    let outside = folder(&[("x/Dockerfile", "FROM x\n")]);
    let folder = folder(&[("a/Dockerfile", "FROM x\n"), ("b/README", "")]);
    let link = |to: &Path, at: &str| std::os::unix::fs::symlink(to, folder.path().join(at)).expect("a link");
    link(outside.path(), "linked");
    link(&outside.path().join("x/Dockerfile"), "b/Dockerfile");
    link(folder.path(), "a/again");
    assert_eq!(names(ImageTree::read(folder.path()).expect("a good tree").images()), ["a"]);
}

#[test]
fn arguments_of_the_call_win_and_must_be_known() {
    let folder = folder(&[
        ("base/Dockerfile", "ARG FROM=12\nFROM debian:$FROM\n"),
        ("app/Dockerfile", "FROM base\nARG LEVEL=1\n"),
        ("haddock-images.yaml", "args: { FROM: 13, LEVEL: 2 }\nimages: { app: { args: { LEVEL: 3 } } }\n"),
    ]);
    let given = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let base = |args: &BTreeMap<String, String>| {
        ImageTree::read_with(folder.path(), args).expect("a tree").images()[0].base.clone()
    };
    assert_eq!(base(&BTreeMap::new()).as_deref(), Some("debian:13"));
    assert_eq!(base(&given("FROM", "14")).as_deref(), Some("debian:14"));
    let tree = ImageTree::read_with(folder.path(), &given("LEVEL", "4")).expect("a tree");
    assert_eq!(tree.get("app").expect("there").args["LEVEL"], "4");
    assert!(!tree.get("base").expect("there").args.contains_key("LEVEL"));
    let error = ImageTree::read_with(folder.path(), &given("LEVLE", "secret")).expect_err("nobody takes it");
    assert!(error.message().contains("`LEVLE`") && !format!("{error:#} {error:?}").contains("secret"), "{error}");
}
