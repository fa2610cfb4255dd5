use std::collections::BTreeMap;

use proptest::prelude::*;

use super::platform::host_platform;
use super::*;
use crate::error::{Error, ErrorKind};

fn args(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn parsed(text: &str) -> Dockerfile {
    Dockerfile::parse("Dockerfile", text).unwrap_or_else(|error| panic!("{error:#}\n{text}"))
}

fn images(text: &str, given: &[(&str, &str)], target: Option<&str>) -> Vec<String> {
    let uses = parsed(text).uses(&args(given), target).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    uses.into_iter().map(|used| used.image).collect()
}

fn refused(text: &str) -> Error {
    let uses = Dockerfile::parse("Dockerfile", text).and_then(|file| file.uses(&BTreeMap::new(), None));
    let error = uses.expect_err(text);
    assert_eq!(error.kind(), ErrorKind::ImageTree);
    assert!(error.hint().is_some() && error.place().is_some(), "{error:?}");
    error
}

#[track_caller]
fn refused_with(text: &str, expected: &str) {
    assert_eq!(refused(text).to_string(), expected, "{text}");
}

#[test]
fn every_image_from_elsewhere_is_found_in_order() {
    let text = "FROM golang:1.25 AS build\n\
        RUN --mount=type=cache,target=/c --mount=type=bind,from=tools:2,target=/t make\n\
        FROM scratch AS files\n\
        COPY --chown=1:1 --from=build /a /a\n\
        from debian\n\
        copy --from=files /a /a\n\
        COPY --from=0 /b /b\n\
        COPY --from=nginx:1 /etc/nginx /etc/nginx\n\
        COPY --from=scratch /x /x\n";
    assert_eq!(images(text, &[], None), ["golang:1.25", "tools:2", "debian", "nginx:1"]);
    let uses = parsed(text).uses(&BTreeMap::new(), None).expect("valid");
    let by: Vec<String> = uses.iter().map(|used| format!("{} {}", used.by, used.place)).collect();
    let places = ["FROM Dockerfile:1:6", "RUN --mount=from Dockerfile:2:57", "FROM Dockerfile:5:6"];
    assert_eq!(by[..3], places);
    assert_eq!(by[3], "COPY --from Dockerfile:8:13");
}

#[test]
fn only_stages_that_the_target_needs_count() {
    let text = "FROM a AS one\nFROM b AS two\nFROM one AS three\nCOPY --from=two / /\nFROM c\n";
    assert_eq!(images(text, &[], None), ["c"]);
    assert_eq!(images(text, &[], Some("Three")), ["a", "b"]);
    assert_eq!(images(text, &[], Some("one")), ["a"]);
    let file = parsed(text);
    let error = file.uses(&BTreeMap::new(), Some("four")).expect_err("no such stage");
    assert_eq!(error.hint(), Some("the stages with names are `one`, `two`, `three`"));
}

#[test]
fn the_base_is_that_of_the_stage_below() {
    let base = |text, target| parsed(text).base(&BTreeMap::new(), target).expect("valid").map(|used| used.image);
    let text =
        "FROM debian:12 AS one\nFROM one AS two\nFROM TWO\nCOPY --from=x /a /a\nFROM scratch AS none\nFROM none\n";
    assert_eq!(base(text, Some("two")), Some("debian:12".to_owned()));
    assert_eq!(base(text, None), None);
}

#[test]
fn arguments_before_the_first_stage_count_in_every_from() {
    let text = "ARG OS=debian VERSION=\"12\"\nARG BASE=${OS}:$VERSION\nFROM $BASE\nARG OS=alpine\nFROM ${OS}:1\nCOPY --from=0 / /";
    assert_eq!(images(text, &[], None), ["debian:12", "debian:1"]);
    assert_eq!(images(text, &[("VERSION", "13")], None), ["debian:13", "debian:1"]);
    assert_eq!(images(text, &[("BASE", "x")], None), ["x", "debian:1"]);
    // An argument that is not declared there does not count.
    assert_eq!(images("FROM java:${V:-21}\nARG V\n", &[("V", "1")], None), ["java:21"]);
    assert_eq!(images("ARG V\nFROM java:${V-21}\n", &[], None), ["java:21"]);
    assert_eq!(images("ARG V=\nFROM java${V:+:$V}\n", &[], None), ["java"]);
    assert_eq!(images("ARG A='b c'\nFROM x${A#b?}\n", &[], None), ["xc"]);
}

#[test]
fn platforms_are_known() {
    let text =
        "FROM --platform=$BUILDPLATFORM a:$TARGETARCH AS x\nFROM --platform=\"linux/arm64\" b\nCOPY --from=x / /";
    let given = platform_args("linux/s390x");
    let uses = parsed(text).uses(&given, None).expect("valid");
    assert_eq!(uses[0].platform, Some(host_platform()));
    assert_eq!(uses[0].image, "a:s390x");
    assert_eq!(uses[1].platform.as_deref(), Some("linux/arm64"));
    refused_with(
        "FROM --platform=$NONE a\n",
        "Dockerfile:1:17: `$NONE` names no platform: the argument `NONE` is not known before the first `FROM`",
    );
    assert_eq!(images("FROM a-$TARGETSTAGE AS Run\n", &[], None), ["a-run"]);
    let empty = parsed("FROM --platform= a\n").uses(&BTreeMap::new(), None).expect("valid");
    assert_eq!(empty[0].platform, None);
}

#[test]
fn here_documents_are_no_instructions() {
    let text = "FROM a\n\
        RUN <<EOF\nFROM b\nCOPY --from=c / /\nEOF\n\
        RUN cat <<-'END' > /x && \\\n  echo <<\"TWO\"\nFROM b\n\tEND\nnonsense\nTWO\n\
        RUN <<A cat <<B\nFROM c\nA\nFROM d\nB\n\
        COPY <<F /f\nFROM e\nF\n\
        ONBUILD RUN cat <<G\nFROM f\nG\n\
        RUN echo $((1<<2)) <<<here\n\
        COPY --from=z / /\n";
    assert_eq!(images(text, &[], None), ["a", "z"]);
    assert_eq!(parsed(text).needs_buildkit().map(|(_, at)| at.line), Some(2));
    refused_with("FROM a\nRUN cat <<EOF\nx\n", "Dockerfile:2:1: a here-document does not end");
}

#[test]
fn a_here_document_may_have_white_space_before_its_name() {
    for instruction in [
        "RUN << EOF",
        "RUN cat <<  \t'EOF' > /x",
        "RUN cat 3<< \\\n  EOF",
        "ONBUILD RUN x << \"EOF\"",
        "COPY << EOF /x",
        "ADD << EOF /x",
        "RUN x << TWO << EOF\nTWO",
        "RUN <<TWO cat << EOF\nTWO",
        "COPY <<TWO << EOF /x/\nTWO",
    ] {
        let text = format!("FROM a\n{instruction}\nFROM b\nEOF\nCOPY --from=c / /\n");
        assert_eq!(images(&text, &[], None), ["a", "c"], "{text}");
        assert_eq!(parsed(&text).needs_buildkit().map(|(_, at)| at.line), Some(2), "{text}");
    }
    assert_eq!(images("FROM a\nRUN x << -E\nFROM b\n-E\nCOPY --from=c / /\n", &[], None), ["a", "c"]);
    // Without its end, it is none.
    let text = "FROM a\nRUN echo $((1 << 2))\nRUN x <<\nRUN x << <<EOF\nRUN x y<< EOF\nCOPY --from=c / /\n";
    assert_eq!(images(text, &[], None), ["a", "c"]);
    assert_eq!(parsed(text).needs_buildkit(), None);
}

#[test]
fn two_escape_characters_do_not_continue_a_line() {
    assert_eq!(images("FROM a\nENV X C:\\\\\nCOPY --from=c / /\n", &[], None), ["a", "c"]);
    assert_eq!(images("FROM a\nRUN x \\\\\\ \t\r\nCOPY --from=c / /\n", &[], None), ["a", "c"]);
    assert_eq!(images("# escape=`\nFROM a\nRUN x ``\nCOPY --from=c / /\n", &[], None), ["a", "c"]);
    assert_eq!(images("FROM a\nRUN x \\\n \\\nCOPY --from=c / /\n", &[], None), ["a"]);
    refused("FROM a\\\\\n");
}

#[test]
fn lines_are_read_as_docker_reads_them() {
    let text = "\u{feff}# escape=`\r\n# a comment\r\nFrom `\r\n# within\r\n\r\n  windows:1`\r\n  as Build\r\nRUN dir C:\\\r\nCOPY --from=tools:1 C:\\ C:\\\r\n";
    assert_eq!(images(text, &[], None), ["windows:1", "tools:1"]);
    let uses = parsed(text).uses(&BTreeMap::new(), None).expect("valid");
    assert_eq!((uses[0].place.line, uses[0].place.column), (6, 3));
    let text = "FROM a\nRUN --mount=type=bind,\\\nfrom=b,target=/b \\\n  # FROM c\n  x\nCOPY --from=\"d:1\" / /\n";
    assert_eq!(images(text, &[], None), ["a", "b", "d:1"]);
}

#[test]
fn an_empty_list_is_no_error() {
    let text = "FROM a\nENTRYPOINT []\nCMD [ ]\r\nonbuild run []\nRUN <<E\nCMD []\nE\nCOPY --from=b / /\n";
    assert_eq!(images(text, &[], None), ["a", "b"]);
}

#[test]
fn a_mount_needs_the_image_that_it_names() {
    let mount = |options| images(&format!("FROM a\nRUN --mount={options} x\n"), &[], None).len() - 1;
    assert_eq!(mount("type=secret,id=x"), 0);
    assert_eq!(mount("type=cache,target=/x"), 0);
    assert_eq!(mount("type=cache,from=b,target=/x"), 1);
    assert_eq!(mount("FROM=b,target=/x"), 1);
    assert_eq!(mount("from=b,from=c,target=/x"), 1);
    // BuildKit looks at it even so.
    assert_eq!(mount("type=tmpfs,from=b,target=/x"), 1);
    assert_eq!(mount("from=scratch,target=/x"), 0);
}

#[test]
fn a_later_stage_may_be_copied_from_but_not_in_a_circle() {
    assert_eq!(
        images("FROM a\nCOPY --from=late / /\nFROM b AS late\nFROM 0x\nCOPY --from=0 / /", &[], None),
        ["a", "b", "0x"]
    );
    refused_with(
        "FROM a AS x\nCOPY --from=y / /\nFROM b AS y\nCOPY --from=x / /\n",
        "Dockerfile:1:6: stage `x` needs itself, or stages that need each other in a circle",
    );
    // `FROM` cannot name a later stage.
    assert_eq!(
        images("FROM late\nCOPY --from=late / /\nFROM b AS late\nFROM x\nCOPY --from=0 / /", &[], None),
        ["late", "b", "x"]
    );
    refused_with("FROM a\nCOPY --from=3 / /\n", "Dockerfile:2:13: there is no stage 3");
}

#[test]
fn what_docker_refuses_is_refused_with_its_place() {
    refused_with("ARG BASE\nFROM $BASE\n", "Dockerfile:2:6: `$BASE` names no image: the argument `BASE` has no value");
    refused_with(
        "FROM Debian\n",
        "Dockerfile:1:6: `FROM` does not name an image: image reference `Debian`: repository `Debian` contains the upper-case letter `D`",
    );
    refused_with("FROM a AS 1x\n", "Dockerfile:1:11: `1x` cannot be the name of a stage");
    refused_with("FROM ${X\n", "Dockerfile:1:6: `${X` cannot be read: a `}` is missing");
    refused_with("FROM --link a\n", "Dockerfile:1:6: `FROM` has no option `--link`");
    refused_with(
        "FROM --platform=linux/amd64 --platform=linux/amd64 a\n",
        "Dockerfile:1:29: `--platform` stands here a second time",
    );
    refused_with("FROM a\nCOPY --from=b --from=c / /\n", "Dockerfile:2:15: `--from` stands here a second time");
    refused_with("# escape=`\n# escape=`\nFROM a\n", "Dockerfile:2:1: `escape` stands here a second time");
    refused_with("ARG =x\nFROM a\n", "Dockerfile:1:1: an argument has no name");
    let variable = refused("ARG V=1\nFROM a\nCOPY --from=b:$V / /\n");
    assert_eq!(variable.to_string(), "Dockerfile:3:13: `b:$V` in `COPY --from` is not expanded by Docker");
    assert_eq!(variable.hint(), Some("add a stage `FROM b:$V AS name`, and write `COPY --from=name`"));
    refused("FROM a\nRUN --mount=from=$V,target=/x y\n");
    let typo = refused("FROM a\n\nCPOY ä b\n");
    assert_eq!(typo.to_string(), "Dockerfile:3:1: unknown instruction `CPOY`");
    assert_eq!(typo.hint(), Some("did you mean `COPY`?"));
    refused_with("", "Dockerfile:1:1: expected at least one FROM instruction");
    refused_with("RUN x\n", "Dockerfile:1:1: expected FROM");
    refused_with("# escape=x\nFROM a\n", "Dockerfile:1:1: `x` cannot be the character of `escape`");
}

#[test]
fn what_needs_buildkit_is_told_with_its_place() {
    let why = |text: &str| parsed(text).needs_buildkit().map(|(what, at)| format!("{what} {}:{}", at.line, at.column));
    let told = |text, expected: &str| assert_eq!(why(text).as_deref(), Some(expected), "{text}");
    assert_eq!(why("ARG X=1\nFROM a:$X\nARG Y\nCOPY --chown=1 --from=b / /\nADD --chown=1 / /\nRUN x\n"), None);
    told("# syntax=docker/dockerfile:1\nFROM a\nRUN --mount=type=cache,target=/x y\n", "`# syntax` 1:1");
    told("FROM a\nRUN --mount=type=cache,target=/x y\n", "`RUN --mount` 2:5");
    told("FROM a\nRUN --network=none y\n", "`RUN --network` 2:5");
    told("FROM a\nCOPY --link a b\n", "`COPY --link` 2:6");
    told("FROM a\nARG TARGETARCH\n", "`ARG TARGETARCH` 2:1");
    told("FROM a:${TARGETARCH}\n", "an argument for the platform in `FROM` 1:1");
    told("FROM a\nRUN --mount=type=ssh x\nRUN <<E\nx\nE\nCOPY <<F /f\nx\nF\n", "`RUN --mount` 2:5");
    told("FROM a\nRUN <<E\nx\nE\n", "a here-document 2:1");
    told("FROM a\nRUN x <<E\nx\nE\n", "a here-document 2:1");
}

#[test]
fn images_are_replaced_where_they_stand() {
    let text =
        "\u{feff}ARG V=1\nFROM --platform=linux/amd64  a:$V  AS x # no\nRUN --mount=type=bind,from=b,target=/b x\n"
            .replace(" # no", "")
            + "COPY --from=\"c\" / /\nFROM x\nCOPY --from=x /é \\\n /\n";
    let file = parsed(&text);
    let replaced = file.with_images(&BTreeMap::new(), &|used| Some(format!("{}@new", used.image))).expect("valid");
    let expected = text.replace("a:$V", "a:1@new").replace("from=b", "from=b@new").replace("\"c\"", "\"c@new\"");
    assert_eq!(replaced, expected);
    assert_eq!(file.with_images(&BTreeMap::new(), &|_| None).expect("valid"), text);
}

/// Texts that look like Dockerfiles.
fn likely() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "FROM a\n",
        "FROM a AS b\n",
        "FROM $X\n",
        "ARG X=1\n",
        "ARG ",
        "COPY --from=b / /\n",
        "COPY <<E /\n",
        "RUN <<E\n",
        "RUN x <<-E <<F\n",
        "E\n",
        "F\n",
        "\tE\n",
        "RUN --mount=from=b,\\\n",
        "# escape=`\n",
        "# syntax=x\n",
        "\\\n",
        "`\r\n",
        "# c\n",
        "\n",
        " ",
        "\"",
        "'",
        "é",
        "--from=",
        "=",
        "${",
        "}",
        ":-",
        "\u{feff}",
        "ONBUILD ",
        "[\"",
        "\\",
        "<<",
        "\t",
        "--",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![any::<String>(), likely(), likely().prop_map(|text| format!("FROM a\n{text}"))]) {
        if let Ok(file) = Dockerfile::parse("Dockerfile", &text) {
            let given = args(&[("X", "x:1")]);
            let _ = file.uses(&given, Some("b"));
            let _ = file.base(&given, None);
            if let Ok(same) = file.with_images(&given, &|used| Some(text[used.span.clone()].to_owned())) {
                prop_assert_eq!(same, text);
            }
        }
    }
}

#[test]
fn a_build_takes_arguments_that_are_declared_or_known_to_builders() {
    let text = "ARG JAVA=21\nFROM java:$JAVA\nARG VERSION FLAVOUR=plain\nENV OTHER=x\nONBUILD ARG CHILD\n";
    let file = Dockerfile::parse("Dockerfile", text).expect("a good file");
    for name in ["JAVA", "VERSION", "FLAVOUR", "http_proxy", "HTTPS_PROXY", "BUILDKIT_SYNTAX"] {
        assert!(file.takes_arg(name), "{name}");
    }
    for name in ["OTHER", "CHILD", "java", "PROXY", ""] {
        assert!(!file.takes_arg(name), "{name}");
    }
}
