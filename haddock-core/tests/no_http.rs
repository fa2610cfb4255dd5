//! If a program cannot speak HTTP, settings that need it are refused, and never ignored.
#![allow(missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::ErrorKind;
use haddock_core::controller::Controller;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::environments::UpOptions;
use haddock_core::environment::probe::{Probe, ProbeFailure, Probing};
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::testing::World;
use haddock_core::{EnvironmentName, JournalId};

/// A probe that only sees whether a port takes connections, as without the feature `probes`.
#[derive(Debug)]
struct TcpOnly;

#[async_trait]
impl Probing for TcpOnly {
    async fn probe(&self, _probe: &Probe, _limit: Duration) -> Result<(), ProbeFailure> {
        Ok(())
    }

    fn asks_by_http(&self) -> bool {
        false
    }
}

#[test]
fn a_readiness_by_http_is_refused_at_submission() {
    let world = World::new().expect("a world");
    let journal = MemoryJournal::new(JournalId::new("j1").expect("valid"));
    let (runtime, locator) = (Arc::new(world.runtime.clone()), Arc::new(world.locator.clone()));
    let controller = Controller::builder(runtime, locator, Arc::new(journal), SpecStore::memory())
        .probing(Arc::new(TcpOnly))
        .clock(world.time.clock())
        .build();
    let of = |ready: &str| {
        let options = ResolveOptions { tag: Some("v1".into()), purpose: Purpose::Release, ..ResolveOptions::default() };
        let file = format!(
            "name: shop\nservices: {{ web: {{ image: 'shop:${{TAG}}', expose: ['8080'] }} }}\nx-haddock: {{ ready: {ready} }}\n"
        );
        ComposeFile::parse("compose.yaml", &file).expect("YAML").resolve(&options).expect("good").spec
    };
    let (by_http, by_tcp) = (of("/health"), of("{ within: 1m }"));
    let counted = of("{ within: 1m }, session: { count: /sessions }");
    let settings = by_http.service().expect("a service").clone();
    let service = controller.service(settings.service.clone());
    let server: SocketAddr = ([10, 0, 0, 7], 8080).into();
    world.time.block_on(async {
        service.plan(&by_tcp).await.expect("a connection is enough");
        let error = service.release(&by_http, "the test", None).await.map(|_| ()).expect_err("nobody could ask");
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        assert_eq!(error.hint(), Some("build it with the feature `probes`"));
        let error = service.release(&counted, "the test", None).await.map(|_| ()).expect_err("nobody could ask");
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        assert!(error.message().contains("`x-haddock.session.count`"), "{error}");
        let error = service.adopt(server, settings, "the test").await.expect_err("nobody could ask");
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        let name = EnvironmentName::new("shop-1").expect("valid");
        let up = controller.environments().up(&name, &by_http, &UpOptions::default()).await;
        assert_eq!(up.expect_err("nobody could ask").kind(), ErrorKind::NotSupported);
    });
}
