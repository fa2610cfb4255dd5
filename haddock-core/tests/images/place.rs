//! A tree of images, and the engine that builds it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use haddock_core::Timestamp;
use haddock_core::build::BuildAction;
use haddock_core::build::BuildOptions;
use haddock_core::build::Images;
use haddock_core::build::context::Context;
use haddock_core::image::ImageReference;
use haddock_core::image::tree::ImageTree;
use haddock_core::runtime::BuildRequest;
use haddock_core::runtime::ImageBuilder;
use haddock_core::runtime::sim::SimRuntime;
use haddock_core::testing::VirtualTime;

/// debian → java → (app, proxy); debian → db.
pub(crate) const TREE: &[(&str, &str)] = &[
    ("haddock-images.yaml", "prefix: r.local/books\n"),
    ("debian/Dockerfile", "FROM scratch\nCOPY root /\n"),
    ("debian/root", "root"),
    ("java/Dockerfile", "FROM debian\nRUN install java\n"),
    ("app/Dockerfile", "FROM java\nCOPY pages /\n"),
    ("app/pages", "pages"),
    ("proxy/Dockerfile", "FROM java\n"),
    ("db/Dockerfile", "FROM r.local/books/debian\n"),
];

pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) engine: SimRuntime,
}

impl Place {
    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.folder.path().join("tree").join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, text).expect("written");
    }

    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("tree")
    }

    pub(crate) fn images(&self, tag: &str) -> Images {
        images_in(&self.root(), &self.engine, tag).memory(self.folder.path().join("memory"))
    }

    pub(crate) async fn build(&self, tag: &str) -> Vec<(String, BuildAction)> {
        let built = self.images(tag).build(&BuildOptions::default(), &|_| {}).await.expect("built");
        built.into_iter().map(|image| (image.name, image.action)).collect()
    }

    /// The host loses all its images. The registry keeps its own.
    pub(crate) async fn wipe_host(&self) {
        let names: Vec<String> = self.engine.with(|engine, _| engine.image_names().map(str::to_owned).collect());
        for each in names {
            self.engine.untag_image(&name(&each)).await.expect("removed");
        }
    }

    pub(crate) async fn plan(&self) -> Vec<(String, BuildAction, String)> {
        let plan = self.images("v9").plan(&BuildOptions::default()).await.expect("planned");
        plan.images.into_iter().map(|image| (image.name, image.action, image.because)).collect()
    }
}

pub(crate) fn images_in(root: &Path, engine: &SimRuntime, tag: &str) -> Images {
    let tree = ImageTree::read(root).expect("a tree");
    Images::of(tree, Arc::new(engine.clone()), tag).expect("images")
}

pub(crate) fn simulated(test: impl AsyncFn(Place)) {
    let time = VirtualTime::new(Timestamp::from_millis(0)).expect("a runtime");
    let place = Place { folder: tempfile::tempdir().expect("a folder"), engine: SimRuntime::new(time.clock()) };
    for (path, text) in TREE {
        place.write(path, text);
    }
    time.block_on(test(place));
}

/// Builds an image of one label, and pushes it. Returns its id.
pub(crate) async fn push(engine: &SimRuntime, name: &ImageReference, label: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").expect("written");
    let context = Context::scan(folder.path(), Some(&folder.path().join("Dockerfile"))).expect("a context");
    let labels = [("label".to_owned(), label.to_owned())].into();
    let request = BuildRequest {
        dockerfile: "Dockerfile".to_owned(),
        tags: vec![name.clone()],
        labels,
        ..BuildRequest::default()
    };
    let id = engine.build_image(&request, context.archive(Default::default()).into(), &|_| {}).await.expect("built");
    engine.push_image(name, &|_| {}).await.expect("pushed");
    id
}

pub(crate) fn name(text: &str) -> ImageReference {
    ImageReference::parse(text).expect("a reference")
}

pub(crate) fn named(actions: &[(&str, BuildAction)]) -> Vec<(String, BuildAction)> {
    actions.iter().map(|(name, action)| ((*name).to_owned(), *action)).collect()
}

/// Builds an image on one of ours, as others do: it has our labels. Returns its id.
pub(crate) async fn theirs(place: &Place, on: &str, tag: &ImageReference) -> String {
    let base = place.engine.find_image(&name(on)).await.expect("asked").expect("built");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("Dockerfile"), format!("FROM {on}\n")).expect("written");
    let context = Context::scan(folder.path(), Some(&folder.path().join("Dockerfile"))).expect("a context");
    let request = BuildRequest {
        dockerfile: "Dockerfile".to_owned(),
        tags: vec![tag.clone()],
        labels: base.labels,
        ..BuildRequest::default()
    };
    place.engine.build_image(&request, context.archive(Default::default()).into(), &|_| {}).await.expect("built")
}
