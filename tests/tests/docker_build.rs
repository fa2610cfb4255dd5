//! Builds by a real engine.

use std::time::Duration;

use bollard::Docker;
use futures_util::StreamExt;
use haddock_core::image::{BuildSecret, SecretSource};
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::runtime::{BuildOutput, BuildRequest, ImageBuilder};
use haddock_core::{Error, ErrorKind};
use haddock_tests::build::{archive, built, containers_that, nowhere, pieces, processes_that, request, shown};
use haddock_tests::certificate::Certificate;
use haddock_tests::docker::{engine, is_podman};
use haddock_tests::pause;
use haddock_tests::relay::Relay;

const SCRATCH: &str = "FROM scratch\nCOPY app /app\n";

/// Takes the names away again, and with them the images.
async fn forget(runtime: &DockerRuntime, names: &[&str]) {
    for name in names {
        runtime.untag_image(&nowhere(name)).await.expect("untagged");
    }
}

#[tokio::test]
async fn an_image_is_built_on_another_with_all_that_was_asked_for() {
    let Some(runtime) = engine().await else { return };
    let base = request("build-base:v1");
    let (id, _) = built(&runtime, &base, &archive(SCRATCH, &[])).await;
    let id = id.expect("built");
    let again = built(&runtime, &base, &archive(SCRATCH, &[])).await.0.expect("built");
    assert_eq!(id, again, "what was built before is taken");

    let dockerfile = "ARG BASE\nFROM ${BASE} AS one\nARG GREETING\nENV GREETING=${GREETING}\nRUN [\"/app\", \"exit\", \"0\"]\n\
         FROM one AS two\nRUN [\"/app\", \"exit\", \"9\"]\n";
    let mut web = request("build-web:v1");
    web.tags.push(nowhere("build-web:v2"));
    web.target = Some("one".to_owned());
    web.args.insert("BASE".to_owned(), base.tags[0].to_string());
    web.args.insert("GREETING".to_owned(), "good-morning".to_owned());
    web.labels.insert("haddock.tree".to_owned(), "shop".to_owned());
    let (web_id, said) = built(&runtime, &web, &archive(dockerfile, &[])).await;
    let web_id = web_id.expect("built");
    let found = runtime.find_image(&web.tags[1]).await.expect("asked").expect("it has both names");
    let labelled = runtime.images_with_label("haddock.tree").await.expect("asked");
    let docker = Docker::connect_with_defaults().expect("an engine");
    let inside = docker.inspect_image(&web_id).await.expect("there").config.and_then(|it| it.env).unwrap_or_default();
    forget(&runtime, &["build-web:v1", "build-web:v2", "build-base:v1"]).await;
    let gone = runtime.find_image(&web.tags[0]).await.expect("asked");

    assert_eq!((found.id.as_str(), found.tags.len(), found.digests.len()), (web_id.as_str(), 2, 0));
    assert_eq!(found.labels["haddock.tree"], "shop");
    assert!(found.size > 0 && found.created.is_some());
    assert!(labelled.iter().any(|image| image.id == web_id));
    assert!(inside.contains(&"GREETING=good-morning".to_owned()), "{inside:?}");
    assert_eq!(gone, None);
    assert!(said.iter().any(|it| matches!(it, BuildOutput::Step { .. })), "{said:?}");
    assert!(!format!("{said:?}").contains("good-morning"), "{said:?}");
}

#[tokio::test]
async fn a_build_that_fails_says_why_and_leaves_nothing() {
    let Some(runtime) = engine().await else { return };
    let failing = format!("{SCRATCH}ARG WORD\nRUN [\"/app\", \"exit\", \"3\"]\n");
    let copying = "FROM scratch\nCOPY nope /\n";
    let missing = "FROM 127.0.0.1:1/haddock-missing:none\n";
    for (dockerfile, kind, part) in [
        (failing.as_str(), ErrorKind::BuildFailed, "failed with exit code 3"),
        (copying, ErrorKind::BuildFailed, "COPY nope /"),
        (missing, ErrorKind::RegistryUnavailable, "127.0.0.1:1/haddock-missing:none"),
        ("FROM scratch\nBOGUS x\n", ErrorKind::ImageTree, "BOGUS"),
        ("", ErrorKind::ImageTree, "empty"),
    ] {
        let mut request = request("build-failing:v1");
        request.args.insert("WORD".to_owned(), "hunter2-word".to_owned());
        let error = built(&runtime, &request, &archive(dockerfile, &[])).await.0.expect_err(dockerfile);
        assert_eq!(error.kind(), kind, "{error:#}");
        assert!(error.message().contains(part), "{error:#}");
        assert!(!shown(&error).contains("hunter2"), "{error:#}");
        if kind == ErrorKind::BuildFailed && part.contains('3') {
            assert!(error.log_tail().iter().any(|line| line == "line 5"), "{error:#}");
        }
    }
    let elsewhere = BuildRequest { dockerfile: "web/Dockerfile".to_owned(), ..request("build-failing:v1") };
    let error = built(&runtime, &elsewhere, &archive(SCRATCH, &[])).await.0.expect_err("no such file");
    assert_eq!(error.kind(), ErrorKind::ImageTree, "{error:#}");
    let stage = BuildRequest { target: Some("nope".to_owned()), ..request("build-failing:v1") };
    let error = built(&runtime, &stage, &archive(SCRATCH, &[])).await.0.expect_err("no such stage");
    assert_eq!(error.kind(), ErrorKind::ImageTree, "{error:#}");
    assert_eq!(runtime.find_image(&nowhere("build-failing:v1")).await.expect("asked"), None);
    assert_eq!(containers_that("exit 3").await, 0);
}

#[tokio::test]
async fn a_context_that_breaks_off_ends_the_build_with_its_own_error() {
    let Some(runtime) = engine().await else { return };
    let archive = archive(SCRATCH, &[]);
    let broken = Error::new(ErrorKind::Io, "cannot read `app`: it is gone");
    let whole = pieces(&archive).take(3).chain(futures_util::stream::iter([Err(broken.clone())])).boxed();
    let request = request("build-broken:v1");
    let error = runtime.build_image(&request, whole.into(), &|_| ()).await.expect_err("it is not whole");
    assert_eq!(error, broken);
    assert_eq!(runtime.find_image(&request.tags[0]).await.expect("asked"), None);
}

#[tokio::test]
async fn a_build_that_nobody_waits_for_any_more_leaves_no_container() {
    let Some(runtime) = engine().await else { return };
    let dockerfile = format!("{SCRATCH}RUN [\"/app\", \"serve\", \"given-up\"]\n");
    let request = request("build-cancelled:v1");
    let archive = archive(&dockerfile, &[]);
    let build = runtime.build_image(&request, pieces(&archive).into(), &|_| ());
    tokio::select! {
        built = build => panic!("it serves for ever, and ended: {built:?}"),
        () = async { while processes_that("given-up") == 0 { pause().await } } => {}
    }
    tokio::time::timeout(Duration::from_secs(30), async {
        while processes_that("given-up") > 0 {
            pause().await
        }
    })
    .await
    .expect("the container goes when nobody waits");
    assert_eq!(runtime.find_image(&request.tags[0]).await.expect("asked"), None);
}

#[tokio::test]
async fn a_name_goes_and_an_image_that_is_needed_stays() {
    let Some(runtime) = engine().await else { return };
    let image = haddock_tests::docker::image_with_check("needed", &["/app", "check", "0"]).await;
    let id = runtime.find_image(&image).await.expect("asked").expect("just built").id;
    let other = nowhere("build-needed:other");
    runtime.tag_image(&id, &other).await.expect("tagged");
    runtime.tag_image(&id, &other).await.expect("tagged twice");
    let unknown = runtime.tag_image(&format!("sha256:{}", "0".repeat(64)), &other).await.expect_err("no such image");
    assert_eq!(unknown.kind(), ErrorKind::ImageMissing);
    runtime.untag_image(&other).await.expect("untagged");
    runtime.untag_image(&other).await.expect("untagged twice");
    assert_eq!(runtime.find_image(&other).await.expect("asked"), None);
    assert_eq!(runtime.find_image(&image).await.expect("asked").map(|it| it.id), Some(id));
}

#[tokio::test]
async fn what_needs_buildkit_is_refused_without_it() {
    let Some(runtime) = engine().await else { return };
    if runtime.builder_capabilities().await.expect("asked").buildkit || is_podman().await {
        return;
    }
    let source = SecretSource::Variable("NO_SUCH".to_owned());
    let secret =
        BuildRequest { secrets: vec![BuildSecret { id: "token".to_owned(), source }], ..request("build-secret:v1") };
    let mount = format!("{SCRATCH}RUN --mount=type=cache,target=/x [\"/app\", \"exit\", \"0\"]\n");
    for (request, dockerfile) in [(secret, SCRATCH), (request("build-secret:v1"), mount.as_str())] {
        let error = built(&runtime, &request, &archive(dockerfile, &[])).await.0.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::NotSupported, "{error:#}");
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn steps_read_secrets_that_do_not_get_into_the_image() {
    let Some(runtime) = engine().await else { return };
    if !runtime.builder_capabilities().await.expect("asked").buildkit {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "hunter2-token\n").expect("written");
    let base = request("build-secret-base:v1");
    // The fixture has no shell, and busybox has one.
    let archive_of = |dockerfile: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("Dockerfile"), dockerfile).expect("written");
        std::fs::copy("/bin/busybox", folder.path().join("sh")).expect("busybox is there");
        haddock_tests::build::packed(folder.path())
    };
    let scratch = "FROM scratch\nCOPY sh /bin/sh\n";
    built(&runtime, &base, &archive_of(scratch)).await.0.expect("built");
    let run = |then: &str| {
        format!("FROM {}\nRUN --mount=type=secret,id=token read x < /run/secrets/token && {then}\n", base.tags[0])
    };
    let with = |source| BuildRequest {
        secrets: vec![BuildSecret { id: "token".to_owned(), source }],
        no_cache: true,
        ..request("build-secret:v1")
    };
    let (good, said) = built(&runtime, &with(SecretSource::File(path.clone())), &archive_of(&run("echo is $x"))).await;
    let bad = built(&runtime, &with(SecretSource::File(path)), &archive_of(&run("echo of $x && exit 7"))).await.0;
    let gone = SecretSource::File(folder.path().join("gone"));
    let gone = built(&runtime, &with(gone), &archive_of(&run("true"))).await.0;
    forget(&runtime, &["build-secret:v1", "build-secret-base:v1"]).await;
    good.expect("built on an image that only the host has");
    assert!(said.contains(&BuildOutput::Line { text: "is <secret token>".to_owned() }), "{said:?}");
    let bad = bad.expect_err("it ends with 7");
    assert_eq!(
        (bad.kind(), bad.log_tail()),
        (ErrorKind::BuildFailed, &["of <secret token>".to_owned()][..]),
        "{bad:#}"
    );
    assert!(bad.message().contains("failed with exit code 7"), "{bad:#}");
    assert!(gone.is_err());
}

/// Docker's classic builder does what is built through TLS: so it gets all the cases above.
#[tokio::test]
async fn all_this_holds_for_the_classic_builder_of_an_engine_that_is_reached_with_tls() {
    let Some(runtime) = engine().await else { return };
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let Some(socket) = host.strip_prefix("unix://") else { return };
    if !runtime.builder_capabilities().await.expect("asked").buildkit {
        return;
    }
    let certificate = Certificate::of("127.0.0.1");
    let relay = Relay::tls(&certificate, socket.as_ref()).await;
    let cases = tokio::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--test-threads=1", "--nocapture", "--skip=the_classic_builder"])
        .env("DOCKER_HOST", format!("tcp://{}", relay.address()))
        .env("DOCKER_TLS_VERIFY", "1")
        .env("DOCKER_CERT_PATH", certificate.folder())
        .kill_on_drop(true)
        .output()
        .await
        .expect("it runs");
    let said = String::from_utf8_lossy(&cases.stdout) + String::from_utf8_lossy(&cases.stderr);
    assert!(cases.status.success(), "{said}");
    assert!(said.contains("what_needs_buildkit_is_refused_without_it ... ok"), "{said}");
}
