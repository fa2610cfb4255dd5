//! A controlling process that dies: it starts the fixture on a process runtime, says so, and waits to be killed.
//!
//! ```text
//! starter FOLDER FIXTURE JOURNAL
//! ```

use std::io::Write;

use haddock_core::container::{ContainerSpec, Identity};
use haddock_core::image::ImageReference;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::process::ProcessRuntime;
use haddock_core::{InstanceId, JournalId};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, fixture, journal] = arguments.as_slice() else { panic!("three arguments") };
    let journal = JournalId::new(journal).expect("an id");
    let runtime = ProcessRuntime::builder(folder)
        .image("fixture:serve", [fixture.as_str(), "serve"])
        .image("fixture:exit", [fixture.as_str(), "exit", "3"])
        .build()
        .expect("a runtime");
    for name in ["serve", "exit"] {
        let image = ImageReference::parse(&format!("fixture:{name}")).expect("a reference");
        let spec = ContainerSpec {
            name: name.to_owned(),
            image: runtime.pull(&image, false).await.expect("registered"),
            identity: Identity::environment(&journal, &InstanceId::new("starter").expect("an id")),
            expose: vec![8080],
            ..ContainerSpec::default()
        };
        let id = runtime.create(&spec).await.expect("created");
        runtime.start(&id).await.expect("started");
    }
    std::io::stdout().write_all(b"started\n").expect("somebody reads");
    std::future::pending::<()>().await;
}
