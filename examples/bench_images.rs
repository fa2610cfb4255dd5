//! The time of builds of an image tree, beside `docker build` by hand, one image after the other, and beside `docker buildx
//! bake`, if buildx is installed.
//!
//! ```text
//! cargo run --release --example bench_images -- [FOLDER] [--rounds 3] [--json]
//! cargo run --release --example bench_images -- --context [--rounds 3] [--json]
//! ```
//!
//! A round is each of them, in turn: *cold* builds all without a cache; *no-op* builds when nothing has changed; *leaf*
//! builds after a change in one image that nothing stands on, by hand only that image, by the others the whole tree. FOLDER
//! is by default `examples/images`. All of them use BuildKit of the same engine. Haddock tags its images `bench`, and the
//! others `latest`.
//!
//! An engine before 23.0 does not let bake build an image on another one of the same call. There, bake is called once for
//! all images that stand on nothing, once for all that stand on these, and so on.
//!
//! With `--context`, a context of 1 GiB in 20 000 files is sent to the engine: by Haddock, and by `tar` piped into
//! `docker build -`. It also tells the peak memory of the process that sends.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fs;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use haddock_core::build::{BuildOptions, Images};
use haddock_core::image::tree::{ImageTree, TreeImage};
use haddock_core::runtime::docker::DockerRuntime;
use haddock_examples::show::told;

const TAG: &str = "bench";
const FILES: usize = 20_000;
const FILE_BYTES: usize = (1 << 30) / FILES;

#[derive(Debug, Parser)]
struct Options {
    /// The image tree.
    #[arg(default_value = "examples/images")]
    folder: PathBuf,
    /// How often both are measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many images Haddock builds at the same time; by default as many as without this option.
    #[arg(long)]
    at_once: Option<NonZeroUsize>,
    /// Measures the transfer of a large context.
    #[arg(long)]
    context: bool,
    /// One line of JSON at the end.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let engine = Arc::new(DockerRuntime::connect(None).await.map_err(told)?);
    let mut out = io::stdout().lock();
    let before = load()?;
    let figures = if options.context { context(&options, engine).await? } else { tree(&options, engine).await? };
    writeln!(out, "medians of {} rounds; load {before} at the beginning, {} at the end:", options.rounds, load()?)?;
    let mut line = serde_json::Map::new();
    for Figure { what, by_hand, haddock, bake } in figures {
        let ratio = haddock / by_hand;
        write!(out, "  {what:8} by hand {by_hand:8.2} s, Haddock {haddock:8.2} s, ratio {ratio:.2}")?;
        let mut figure = serde_json::json!({"by_hand_s": by_hand, "haddock_s": haddock, "ratio": ratio});
        if let Some(bake) = bake {
            write!(out, ", bake {bake:8.2} s, ratio {:.2}", haddock / bake)?;
            figure["bake_s"] = bake.into();
        }
        writeln!(out)?;
        line.insert(what.to_owned(), figure);
    }
    let peak = peak_memory()?;
    writeln!(out, "  peak memory of this process: {} MiB", peak / 1024)?;
    line.insert("peak_kib".to_owned(), peak.into());
    if options.json {
        writeln!(out, "{}", serde_json::Value::Object(line))?;
    }
    Ok(())
}

/// Medians, in seconds.
struct Figure {
    what: &'static str,
    by_hand: f64,
    haddock: f64,
    bake: Option<f64>,
}

#[derive(Default)]
struct Times {
    by_hand: Vec<Duration>,
    haddock: Vec<Duration>,
    bake: Vec<Duration>,
}

impl Times {
    /// Says what the last round has measured: a later one may fail, and takes minutes.
    fn tell_last(&self, round: usize, what: &str) {
        let seconds =
            |times: &[Duration]| times.last().map_or("-".to_owned(), |it| format!("{:.2} s", it.as_secs_f64()));
        let (by_hand, haddock, bake) = (seconds(&self.by_hand), seconds(&self.haddock), seconds(&self.bake));
        eprintln!("round {}, {what}: by hand {by_hand}, Haddock {haddock}, bake {bake}", round + 1);
    }

    fn figure(self, what: &'static str) -> Figure {
        let bake = (!self.bake.is_empty()).then(|| median(self.bake));
        Figure { what, by_hand: median(self.by_hand), haddock: median(self.haddock), bake }
    }
}

async fn tree(options: &Options, engine: Arc<DockerRuntime>) -> io::Result<Vec<Figure>> {
    // A copy, because a leaf is changed.
    let copy = tempfile::tempdir()?;
    run(Command::new("cp").arg("-a").arg(options.folder.join(".")).arg(copy.path()))?;
    let memory = tempfile::tempdir()?;
    let all = ImageTree::read(copy.path()).map_err(told)?;
    let leaf = all.images().iter().rev().find(|image| all.dependents(&image.name).is_empty());
    let leaf = leaf.ok_or_else(|| io::Error::other("the tree has no images"))?.clone();
    let at_once = options.at_once;
    let build = async |no_cache: bool| -> io::Result<()> {
        let tree = ImageTree::read(copy.path()).map_err(told)?;
        let images = Images::of(tree, engine.clone(), TAG).map_err(told)?.memory(memory.path());
        let images = at_once.into_iter().fold(images, Images::at_once);
        let options = BuildOptions { no_cache, ..BuildOptions::default() };
        images.build(&options, &|_| {}).await.map_err(told)?;
        Ok(())
    };
    let bake = Bake::of(&all)?;
    let (mut cold, mut nothing, mut changed) = (Times::default(), Times::default(), Times::default());
    for round in 0..options.rounds {
        cold.by_hand.push(timed(|| all.images().iter().try_for_each(|image| by_hand(image, true)))?);
        nothing.by_hand.push(timed(|| all.images().iter().try_for_each(|image| by_hand(image, false)))?);
        change(&leaf, &format!("by hand {round}"))?;
        changed.by_hand.push(timed(|| by_hand(&leaf, false))?);

        cold.haddock.push(timed_async(build(true)).await?);
        nothing.haddock.push(timed_async(build(false)).await?);
        change(&leaf, &format!("Haddock {round}"))?;
        changed.haddock.push(timed_async(build(false)).await?);

        if let Some(bake) = &bake {
            cold.bake.push(timed(|| bake.run(true))?);
            nothing.bake.push(timed(|| bake.run(false))?);
            change(&leaf, &format!("bake {round}"))?;
            changed.bake.push(timed(|| bake.run(false))?);
        }
        for (what, times) in [("cold", &cold), ("no-op", &nothing), ("leaf", &changed)] {
            times.tell_last(round, what);
        }
    }
    Ok(vec![cold.figure("cold"), nothing.figure("no-op"), changed.figure("leaf")])
}

/// As a script does it: the name in `FROM` is that of the image's latest build.
fn by_hand(image: &TreeImage, no_cache: bool) -> io::Result<()> {
    let mut command = Command::new("docker");
    // What Haddock builds with. Without this, a client without buildx takes the builder before it.
    command.env("DOCKER_BUILDKIT", "1");
    command.args(["build", "--quiet", "--tag"]).arg(image.repository.familiar());
    command.arg("--file").arg(file_of(image)).args(no_cache.then_some("--no-cache")).arg(&image.context);
    run(&mut command)
}

/// Its Dockerfile. Those of a tree are files.
fn file_of(image: &TreeImage) -> &Path {
    image.dockerfile.as_deref().expect("a file")
}

/// `docker buildx bake`, and the files that tell it what to build, each in a call of its own.
struct Bake {
    folder: tempfile::TempDir,
    calls: usize,
}

impl Bake {
    /// `None` where buildx is not installed.
    fn of(tree: &ImageTree) -> io::Result<Option<Self>> {
        let buildx = Command::new("docker").args(["buildx", "version"]).output()?;
        if !buildx.status.success() {
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let images: Vec<&TreeImage> = tree.images().iter().collect();
        let calls = if Self::knows_contexts(folder.path())? { vec![images] } else { Self::levels(&images) };
        for (number, images) in calls.iter().enumerate() {
            fs::write(folder.path().join(format!("{number}.json")), Self::file(images))?;
        }
        Ok(Some(Self { folder, calls: calls.len() }))
    }

    /// Whether the engine's builder lets an image stand on one that is built beside it.
    fn knows_contexts(folder: &Path) -> io::Result<bool> {
        let file = folder.join("probe.json");
        let base = serde_json::json!({"dockerfile-inline": "FROM scratch\nLABEL probe=1\n"});
        let app =
            serde_json::json!({"dockerfile-inline": "FROM base\nLABEL app=1\n", "contexts": {"base": "target:base"}});
        let targets = [base, app].map(|mut target| {
            target["context"] = folder.display().to_string().into();
            target["output"] = serde_json::json!(["type=cacheonly"]);
            target
        });
        let [base, app] = targets;
        fs::write(&file, serde_json::json!({"target": {"base": base, "app": app}}).to_string())?;
        let done = Command::new("docker").args(["buildx", "bake", "--file"]).arg(&file).arg("app").output()?;
        let said = String::from_utf8_lossy(&done.stderr);
        match done.status.success() {
            true => Ok(true),
            false if said.contains("frontend.contexts") => Ok(false),
            false => Err(io::Error::other(format!("docker buildx bake: {said}"))),
        }
    }

    /// The images, so that each stands only on those of levels before.
    fn levels<'a>(images: &[&'a TreeImage]) -> Vec<Vec<&'a TreeImage>> {
        let mut levels: Vec<Vec<&TreeImage>> = Vec::new();
        for image in images {
            let is_needed = |other: &&TreeImage| image.tree_needs().any(|(name, _)| name == other.name);
            let level = levels.iter().rposition(|level| level.iter().any(is_needed)).map_or(0, |level| level + 1);
            if level == levels.len() {
                levels.push(Vec::new());
            }
            levels[level].push(image);
        }
        levels
    }

    fn file(images: &[&TreeImage]) -> String {
        let target = |image: &&TreeImage| {
            let here = |name: &str| images.iter().find(|other| other.name == name);
            let needed = image.tree_needs().filter_map(|(name, _)| here(name));
            let contexts = needed.map(|it| (it.repository.familiar(), format!("target:{}", Self::target(it)).into()));
            let target = serde_json::json!({
                "context": image.context,
                "dockerfile": file_of(image),
                "tags": [image.repository.familiar()],
                "contexts": contexts.collect::<serde_json::Map<_, _>>(),
            });
            (Self::target(image), target)
        };
        let targets: serde_json::Map<_, _> = images.iter().map(target).collect();
        let names: Vec<&String> = targets.keys().collect();
        serde_json::json!({"group": {"default": {"targets": names}}, "target": targets}).to_string()
    }

    /// The names of targets have no `/`.
    fn target(image: &TreeImage) -> String {
        image.name.replace('/', "-")
    }

    fn run(&self, no_cache: bool) -> io::Result<()> {
        (0..self.calls).try_for_each(|number| {
            let mut command = Command::new("docker");
            command.args(["buildx", "bake", "--file"]).arg(self.folder.path().join(format!("{number}.json")));
            command.args(no_cache.then_some("--no-cache"));
            run(&mut command)
        })
    }
}

/// One more step at the end of its Dockerfile.
fn change(image: &TreeImage, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().append(true).open(file_of(image))?;
    // Another run must not find what this one has built.
    writeln!(file, "LABEL changed=\"{text} of {}\"", std::process::id())
}

async fn context(options: &Options, engine: Arc<DockerRuntime>) -> io::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("large");
    fs::create_dir(&image)?;
    fs::write(image.join("Dockerfile"), "FROM scratch\nLABEL round=\"first\"\n")?;
    let mut content = vec![0_u8; FILE_BYTES];
    for number in 0..FILES {
        if number % 100 == 0 {
            fs::create_dir(image.join(format!("{}", number / 100)))?;
        }
        // No two files are the same, and none is easy to compress.
        rand::fill(content.as_mut_slice());
        fs::write(image.join(format!("{}/{number}", number / 100)), &content)?;
    }
    let mut both = Times::default();
    for round in 0..options.rounds {
        both.by_hand.push(timed(|| piped(&image))?);
        fs::write(image.join("Dockerfile"), format!("FROM scratch\nLABEL round=\"{round}\"\n"))?;
        let tree = ImageTree::read(folder.path()).map_err(told)?;
        let images = Images::of(tree, engine.clone(), TAG).map_err(told)?;
        let build = async { images.build(&BuildOptions::default(), &|_| {}).await.map_err(told) };
        both.haddock.push(timed_async(async { build.await.map(drop) }).await?);
        both.tell_last(round, "context");
    }
    Ok(vec![both.figure("context")])
}

/// `tar -c . | docker build -`.
fn piped(folder: &Path) -> io::Result<()> {
    let mut tar = Command::new("tar").args(["-c", "."]).current_dir(folder).stdout(Stdio::piped()).spawn()?;
    let archive = tar.stdout.take().ok_or_else(|| io::Error::other("tar has no output"))?;
    run(Command::new("docker").env("DOCKER_BUILDKIT", "1").args(["build", "--quiet", "-"]).stdin(archive))?;
    tar.wait()?;
    Ok(())
}

fn run(command: &mut Command) -> io::Result<()> {
    let done = command.output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let last: Vec<&str> = said.lines().rev().take(20).collect();
    Err(io::Error::other(format!("{command:?}: {}", last.into_iter().rev().collect::<Vec<_>>().join("\n"))))
}

fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}

async fn timed_async(work: impl Future<Output = io::Result<()>>) -> io::Result<Duration> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed())
}

/// The mean number of processes that wanted a processor in the last minute.
fn load() -> io::Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

/// The largest resident set of this process, in KiB.
fn peak_memory() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok())
        .ok_or_else(|| io::Error::other("the system does not tell the peak memory"))
}

fn median(mut figures: Vec<Duration>) -> f64 {
    figures.sort();
    figures[figures.len() / 2].as_secs_f64()
}
