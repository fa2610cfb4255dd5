//! A build needs the images that the engine's BuildKit looks at, and no others: for the Dockerfiles below, and for those
//! of other people.
//!
//! ```text
//! tests/dockerfiles/fetch FOLDER
//! HADDOCK_DOCKERFILES=FOLDER tests/engines/with.sh 28.5 \
//!     cargo nextest run --workspace --all-features -E 'binary(dockerfiles)' --success-output immediate
//! ```
//!
//! BuildKit looks at the images of all stages that it needs before it begins any step. A stand-in without any program has
//! the name of each image that we expect, and a last line stops the build before its first step. So nothing of these files
//! ever runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::models::BuildInfoAux;
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures_util::StreamExt;
use haddock_core::Error;
use haddock_core::image::ImageReference;
use haddock_core::image::dockerfile::Dockerfile;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::runtime::{BuildRequest, ImageBuilder};
use haddock_tests::build::{archive, built, request};
use haddock_tests::docker::engine;
use haddock_tests::skip;

/// A folder of Dockerfiles to try.
const FOLDER: &str = "HADDOCK_DOCKERFILES";
/// `tests/engines/with.sh` sets it. On an engine that others use, the stand-ins would be in their way.
const ENGINE: &str = "ENGINE";
/// What no port can be called. It is refused after the images were looked at.
const STOP: &str = "haddock-stops-here";

/// Heads that are easily misread. Docker takes them.
const HEADS: &[&str] = &[
    "ARG A=debian\nARG B=${A}:${V:-12}\nFROM $B\n",
    "ARG V=1.2.3\nFROM a:${V//./-}\nFROM b:${V%.*}-${V#1.}\nCOPY --from=0 / /\n",
    "ARG A=1 B=\"2\"\nFROM a:$A-$B${C:+:$C}\n",
    "ARG TARGETARCH=x\nFROM --platform=$BUILDPLATFORM a:$TARGETARCH\n",
    "FROM --platform= a:${TARGETOS}-$BUILDARCH\n",
    "\u{feff}from\ta:1   \r\nrun x\r\ncopy --from='b' / /\r\n",
    "FROM \\\n \"debian\" \\\n # c\n AS \\\n\n x\n",
    "FROM a AS Build\nFROM b\nCOPY --from=BUILD / /\nRUN --mount=from=build,target=/x y\n",
    "FROM debian AS debian\nFROM debian\nCOPY --from=+0 / /\n",
    "FROM a AS x\nFROM b AS x\nFROM c AS unused\nFROM x:latest\nCOPY --from=x / /\n",
    "FROM a\nCOPY --from=late / /\nFROM b AS late\nFROM c\nCOPY --from=0 / /\nONBUILD COPY --from=z / /\n",
    "FROM a\nRUN --mount=type=bind,\"from=b\",target=/x --mount=type=secret,From=c,id=x --network=none z\n",
    "FROM a\nRUN --mount=from=0,target=/y --mount=from=b,from=c,target=/x z\n",
    "FROM a\nRUN \\\n  # c\n  --mount=type=tmpfs,from=x,target=/y \\\n  z\n",
    "FROM a\nCOPY --from=scratch / /\nCOPY --from= / /\nCOPY [\"--from=b\", \"/\", \"/\"]\nCOPY / / --from=c\n",
    "# check=skip=all\n# Escape = `\nFROM a `\n AS b\nRUN C:\\\nCOPY --from=c / /\n",
    "# a comment\n# escape=`\nFROM a\nRUN x `\nCOPY --from=b / /\n",
    "FROM a\nRUN x \\\n\n# c\n\nFROM b\n",
    "FROM a\nRUN x \\\\\nCOPY --from=b / /\nENV X C:\\\\ \nCOPY --from=c / /\n",
    "FROM a\nRUN cat <<A <<-'B' > /x && \\\n  y\nFROM b\nA\nFROM c\n\tB\nCOPY --from=d / /\n",
    "FROM a\nCOPY <<A <<\"B\" /x/\nFROM b\nA\nFROM c\nB\nCOPY --from=d / /\n",
    "FROM a\nRUN (cat 2<<E)\r\nFROM b\r\nE)\r\nCOPY --from=c / /\r\n",
    "FROM a\nRUN << E\nFROM b\nE\nCOPY << E /x\nFROM c\nE\nCOPY --from=d / /\n",
    "FROM a\nRUN x << E 3<< F\nFROM b\nE\nFROM c\nF\nADD <<F << 'E' /x\nFROM c\nF\nFROM c\nE\nCOPY --from=d / /\n",
    "FROM a\nRUN echo \"<<E\" <<<x y<<E $((1<<2))\nRUN [\"<<E\"]\nCMD x <<E\nRUN x <<\nRUN <<''\nCOPY --from=b / /\n",
    "FROM a\nONBUILD RUN cat <<E\nFROM b\nE\nONBUILD COPY <<E /x\nFROM c\nE\nCOPY --from=d / /\n",
    "FROM a\nENTRYPOINT []\nCMD\nSHELL [\"x\"]\nHEALTHCHECK NONE\nCOPY --link --chmod=755 --from=b / /\n",
    "ARG S=scratch\nFROM $S AS x\nFROM index.docker.io/a/b:1\nCOPY --from=x / /\nCOPY --from=localhost/x / /\n",
];

/// Heads that one of the two refuses, or both.
const REFUSED: &[(&str, Compared)] = &[
    ("ARG X\nFROM a:$X\n", Compared::BothRefuse),
    ("ARG X=${Y:?no}\nFROM a\n", Compared::BothRefuse),
    ("ARG X=b\nFROM a\nCOPY --from=$X / /\n", Compared::BothRefuse),
    ("FROM a\nRUN --mount=from=$X,target=/x y\n", Compared::BothRefuse),
    ("FROM a AS b c\n", Compared::BothRefuse),
    ("FROM a # c\n", Compared::BothRefuse),
    ("FROM a AS x\nCOPY --from=y / /\nFROM b AS y\nCOPY --from=x / /\nFROM c\n", Compared::BothRefuse),
    ("FROM a\nCOPY --from=b --from=c / /\n", Compared::BothRefuse),
    ("FROM a\nRUN x <<E\n", Compared::BothRefuse),
    ("FROM a\\\\\nRUN x\n", Compared::BothRefuse),
    ("# escape=`\n# escape=`\nFROM a\n", Compared::BothRefuse),
    // What no image depends on is Docker's to refuse.
    ("FROM a\nVOLUME []\n", Compared::OnlyDockerRefuses),
    ("FROM a\nADD --from=b / /\n", Compared::OnlyDockerRefuses),
    ("FROM a\nONBUILD FROM b\n", Compared::OnlyDockerRefuses),
];

/// Parts of heads that older engines do not know, or take where newer ones refuse them.
const SINCE_28: &[&str] = &["<< E", "# check=", ":?", "COPY --from=$X"];

/// What a reader says of a Dockerfile.
enum Said {
    /// The images that a build needs.
    Images(BTreeSet<String>),
    /// Some of them, and why the others are not known.
    Some(BTreeSet<String>, String),
    Refused(String),
}

/// What comparing the two shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Compared {
    Same,
    /// The engine could not look at all of them, and those that it looked at are ours.
    SameInPart,
    BothRefuse,
    OnlyWeRefuse,
    OnlyDockerRefuses,
    Different,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Same => "same",
            Self::SameInPart => "same in part",
            Self::BothRefuse => "both refuse",
            Self::OnlyWeRefuse => "only we refuse",
            Self::OnlyDockerRefuses => "only Docker refuses",
            Self::Different => "DIFFERENT",
        })
    }
}

/// The images that we expect, each with its platform if it has one.
fn needed(text: &str) -> Result<Vec<(ImageReference, Option<String>)>, Error> {
    let uses = Dockerfile::parse("Dockerfile", text)?.uses(&BTreeMap::new(), None)?;
    uses.into_iter().map(|used| Ok((ImageReference::parse(&used.image)?, used.platform))).collect()
}

/// Two answers side by side, and what is worth telling of them.
fn compared(ours: &Result<BTreeSet<String>, Error>, docker: &Said) -> (Compared, String) {
    match (ours, docker) {
        (Ok(ours), Said::Images(images) | Said::Some(images, _)) if ours == images => (Compared::Same, list(images)),
        (Ok(ours), Said::Some(images, why)) if images.is_subset(ours) => {
            (Compared::SameInPart, format!("{} of {}: {why}", list(images), list(ours)))
        }
        (Ok(ours), Said::Images(images) | Said::Some(images, _)) => {
            (Compared::Different, format!("we {}, docker {}", list(ours), list(images)))
        }
        (Ok(_), Said::Refused(why)) => (Compared::OnlyDockerRefuses, why.clone()),
        (Err(error), Said::Refused(why)) => (Compared::BothRefuse, format!("{error}; docker: {why}")),
        (Err(error), Said::Images(images) | Said::Some(images, _)) => {
            (Compared::OnlyWeRefuse, format!("{error}; docker {}", list(images)))
        }
    }
}

fn list(images: &BTreeSet<String>) -> String {
    images.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The text for the engine: without `# syntax`, which makes it fetch another reader, and with a last line that stops it.
fn stopping(text: &str) -> String {
    let is_syntax = |line: &str| {
        let directive = line.trim_start_matches('\u{feff}').trim_start().strip_prefix('#');
        let name = directive.and_then(|rest| rest.split_once('=')).map(|(name, _)| name.trim());
        name.is_some_and(|name| name.eq_ignore_ascii_case("syntax"))
    };
    let lines = text.split_inclusive('\n').filter(|line| !is_syntax(line));
    lines.chain(["\n", "EXPOSE ", STOP, "\n"]).collect()
}

/// The engine, and what stands in for images.
struct Oracle {
    runtime: DockerRuntime,
    docker: Docker,
    /// The engine's major version.
    version: u32,
    /// The stand-in for each platform.
    empty: BTreeMap<Option<String>, String>,
}

impl Oracle {
    async fn prepare(&mut self, images: &[(ImageReference, Option<String>)]) {
        for (image, platform) in images {
            // An engine gives no image a digest.
            if image.digest().is_some() {
                continue;
            }
            if !self.empty.contains_key(platform) {
                let asked = BuildRequest { platform: platform.clone(), ..request("dockerfiles:v1") };
                let made = built(&self.runtime, &asked, &archive("FROM scratch\nCOPY Dockerfile /\n", &[])).await.0;
                // Not every platform is one.
                let Ok(made) = made else { continue };
                self.empty.insert(platform.clone(), made);
            }
            // What the engine does not take as a name, it refuses in a Dockerfile, too.
            let _ = self.runtime.tag_image(&self.empty[platform], image).await;
        }
    }

    /// What the engine says of a Dockerfile.
    async fn ask(&self, text: &str) -> Said {
        let mut context = tar::Builder::new(Vec::new());
        let text = stopping(text);
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        context.append_data(&mut header, "Dockerfile", text.as_bytes()).expect("written");
        let context = bollard::body_full(context.into_inner().expect("written").into());
        let options =
            BuildImageOptionsBuilder::default().dockerfile("Dockerfile").version(BuilderVersion::BuilderBuildKit);
        let mut frames = self.docker.build_image(options.build(), None, Some(context));
        let (mut images, mut missing, mut end) = (BTreeSet::new(), false, None);
        while let Some(frame) = frames.next().await {
            let status = match frame {
                Ok(frame) => frame.aux,
                Err(bollard::errors::Error::DockerStreamError { error }) => {
                    end = Some(error);
                    None
                }
                Err(error) => panic!("the engine does not answer: {error}"),
            };
            let Some(BuildInfoAux::BuildKit(status)) = status else { continue };
            for vertex in status.vertexes {
                if let Some((_, image)) = vertex.name.split_once("internal] load metadata for ") {
                    images.insert(image.to_owned());
                    missing |= !vertex.error.is_empty();
                }
            }
        }
        let end = end.expect("the last line stops every build");
        match (end.contains(STOP), missing, images.is_empty()) {
            // What comes after the images may stop it as well.
            (true, false, _) | (false, false, false) => Said::Images(images),
            (_, true, _) => Said::Some(images, end),
            (false, false, true) => Said::Refused(end),
        }
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The oracle; none if this engine is none, which it says.
async fn oracle() -> Option<Oracle> {
    if std::env::var_os(ENGINE).is_none() {
        eprintln!("SKIPPED: it needs an engine of its own: tests/engines/with.sh 28.5 cargo nextest run …");
        return None;
    }
    let runtime = engine().await?;
    let docker = Docker::connect_with_defaults().expect("an engine");
    let buildkit = runtime.builder_capabilities().await.expect("asked").buildkit;
    let version = docker.version().await.expect("it answers").version.unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    // Before, BuildKit looks at what files are copied from only when a step needs it. Podman has none.
    if !buildkit || major < 23 {
        eprintln!("SKIPPED: it needs BuildKit in an engine from 23 on, and this is {version}");
        return None;
    }
    Some(Oracle { runtime, docker, version: major, empty: BTreeMap::new() })
}

impl Oracle {
    async fn compare(&mut self, text: &str) -> (Compared, String) {
        let ours = needed(text);
        self.prepare(ours.as_deref().unwrap_or_default()).await;
        let ours = ours.map(|images| images.iter().map(|(image, _)| image.canonical()).collect());
        compared(&ours, &self.ask(text).await)
    }
}

#[tokio::test]
async fn odd_heads_need_what_docker_says() {
    let Some(mut oracle) = oracle().await else { return };
    let mut wrong = String::new();
    for (text, expected) in HEADS.iter().map(|text| (*text, Compared::Same)).chain(REFUSED.iter().copied()) {
        if oracle.version < 28 && SINCE_28.iter().any(|part| text.contains(part)) {
            continue;
        }
        let (outcome, detail) = oracle.compare(text).await;
        if outcome != expected {
            wrong += &format!("{text:?}: {outcome}, not {expected}: {detail}\n");
        }
    }
    assert!(wrong.is_empty(), "engine {}:\n{wrong}", oracle.version);
}

#[tokio::test]
async fn a_reader_with_a_mistake_is_found_out() {
    let Some(mut oracle) = oracle().await else { return };
    let whole = "FROM a AS x\nRUN --mount=from=c,target=/c y\nFROM b\nCOPY --from=x / /\n";
    // What a reader would say that forgets one of them, or has one too many.
    for (mistaken, expected) in [
        (whole.replace("--mount=from=c,target=/c ", ""), Compared::Different),
        (whole.replace("COPY --from=x / /\n", ""), Compared::Different),
        (whole.replace("FROM b", "FROM b:2"), Compared::Different),
        (whole.replace("COPY", "COPY --from=d / /\nCOPY"), Compared::Different),
        (whole.replace("COPY", "CPOY"), Compared::OnlyWeRefuse),
        (whole.to_owned(), Compared::Same),
    ] {
        let ours = needed(&mistaken);
        oracle.prepare(ours.as_deref().unwrap_or_default()).await;
        let ours = ours.map(|images| images.iter().map(|(image, _)| image.canonical()).collect());
        let (outcome, detail) = compared(&ours, &oracle.ask(whole).await);
        assert_eq!(outcome, expected, "{mistaken}: {detail}");
    }
}

#[tokio::test]
async fn dockerfiles_of_others_need_what_docker_says() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        eprintln!("SKIPPED: set {FOLDER} to a folder of Dockerfiles to try them");
        return;
    };
    let Some(mut oracle) = oracle().await else { return skip("such an engine") };
    let mut files = Vec::new();
    files_below(&folder, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no file below {}", folder.display());
    let mut counts = BTreeMap::<Compared, usize>::new();
    for path in &files {
        let bytes = std::fs::read(path).expect("readable");
        let (outcome, detail) = oracle.compare(&String::from_utf8_lossy(&bytes)).await;
        *counts.entry(outcome).or_default() += 1;
        eprintln!("{outcome:<20} {}: {detail}", path.strip_prefix(&folder).expect("below it").display());
    }
    let summary: Vec<String> = counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    eprintln!("\nof {} files: {}", files.len(), summary.join(", "));
    for bad in [Compared::Different, Compared::OnlyWeRefuse] {
        assert_eq!(counts.get(&bad), None, "{bad}, see above");
    }
    assert!(counts.contains_key(&Compared::Same), "none was compared");
}
