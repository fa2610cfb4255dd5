//! A mock of each port, by mockall.
//!
//! Mocks are for tests of the order of calls. If something has to *behave*, use the simulated
//! [runtime](crate::runtime::sim) and [locator](crate::locator::sim). They pass the same conformance suites as the real
//! ones.
//!
//! ```
//! use haddock_core::runtime::ContainerRuntime;
//! use haddock_core::testing::MockContainerRuntime;
//! use haddock_core::{Error, ErrorKind};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let mut runtime = MockContainerRuntime::new();
//! runtime.expect_pull().once().returning(|image, _| {
//!     Err(Error::new(ErrorKind::ImageMissing, format!("image `{image}` is not there")))
//! });
//! let image = "shop:v1".parse().unwrap();
//! assert_eq!(runtime.pull(&image, true).await.unwrap_err().kind(), ErrorKind::ImageMissing);
//! # });
//! ```
#![allow(missing_docs, reason = "the mocked methods are documented at their traits")]

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use mockall::mock;

use crate::container::{
    AttachSpec, Attachment, Container, ContainerId, ContainerSpec, ExecSpec, Executed, LogLine, LogQuery, Network,
    NetworkSpec, RuntimeEvent, Selector, Usage, Volume, VolumeSpec,
};
use crate::error::Result;
use crate::image::ImageReference;
use crate::journal::{Checkpoint, Commit, Journal, Keep, Lease, LoopEnd};
use crate::locator::{LocatorCapabilities, ServiceLocator};
use crate::name::{InstanceId, JournalId, RequestId, ServiceName};
use crate::release::{RecordedEvent, Request, ServiceState};
use crate::routing::{
    CloseAnswer, EndedSession, EndedSessions, FencingToken, LocatorReport, RemainingSessions, RoutingTable,
    TrafficRecord,
};
use crate::runtime::{
    Attached, BuildContext, BuildRequest, BuilderCapabilities, ContainerRuntime, HostImage, ImageBuilder, ImageRemoval,
    OnOutput, RuntimeCapabilities,
};
use crate::time::Timestamp;

mock! {
    /// A mock of [`ContainerRuntime`].
    #[derive(Debug)]
    pub ContainerRuntime {}

    impl fmt::Display for ContainerRuntime {
        fn fmt<'a>(&self, f: &mut fmt::Formatter<'a>) -> fmt::Result;
    }

    #[async_trait]
    impl ContainerRuntime for ContainerRuntime {
        fn capabilities(&self) -> RuntimeCapabilities;
        async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String>;
        async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId>;
        async fn start(&self, container: &ContainerId) -> Result<()>;
        async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>>;
        async fn list(&self, selector: &Selector) -> Result<Vec<Container>>;
        async fn stop(&self, container: &ContainerId, grace: Duration) -> Result<()>;
        async fn remove(&self, container: &ContainerId) -> Result<()>;
        async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>>;
        async fn health_output(&self, container: &ContainerId) -> Result<Option<String>>;
        async fn create_network(&self, spec: &NetworkSpec) -> Result<Network>;
        async fn networks(&self, selector: &Selector) -> Result<Vec<Network>>;
        async fn remove_network(&self, id: &str) -> Result<()>;
        async fn connect(&self, container: &ContainerId, to: &Attachment) -> Result<()>;
        async fn disconnect(&self, container: &ContainerId, network: &str) -> Result<()>;
        async fn create_volume(&self, spec: &VolumeSpec) -> Result<()>;
        async fn volumes(&self, selector: &Selector) -> Result<Vec<Volume>>;
        async fn remove_volume(&self, name: &str) -> Result<()>;
        async fn read_log(&self, container: &ContainerId, query: &LogQuery) -> Result<BoxStream<'static, Result<LogLine>>>;
        async fn exec(&self, container: &ContainerId, exec: &ExecSpec) -> Result<Executed>;
        async fn attach(&self, container: &ContainerId, command: &AttachSpec) -> Result<Attached>;
        async fn usage(&self, container: &ContainerId) -> Result<Usage>;
        async fn events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>>;
    }
}

mock! {
    /// A mock of [`ServiceLocator`].
    #[derive(Debug)]
    pub ServiceLocator {}

    impl fmt::Display for ServiceLocator {
        fn fmt<'a>(&self, f: &mut fmt::Formatter<'a>) -> fmt::Result;
    }

    #[async_trait]
    impl ServiceLocator for ServiceLocator {
        fn capabilities(&self) -> LocatorCapabilities;
        async fn apply(&self, table: &RoutingTable) -> Result<()>;
        async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer>;
        async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()>;
        async fn hold(&self, service: &ServiceName, instance: &InstanceId, within: Duration) -> Result<()>;
        async fn resume(&self, service: &ServiceName, instance: &InstanceId) -> Result<()>;
        async fn observe(&self, service: &ServiceName) -> Result<LocatorReport>;
        async fn remaining(&self, service: &ServiceName, instance: &InstanceId) -> Result<RemainingSessions>;
        async fn ended_sessions(&self, service: &ServiceName, from: u64) -> Result<EndedSessions>;
        async fn end_sessions(&self, service: &ServiceName, sessions: &[EndedSession]) -> Result<()>;
        async fn traffic(&self, service: &ServiceName, from: Timestamp, until: Timestamp) -> Result<TrafficRecord>;
    }
}

mock! {
    /// A mock of [`Journal`].
    #[derive(Debug)]
    pub Journal {}

    impl fmt::Display for Journal {
        fn fmt<'a>(&self, f: &mut fmt::Formatter<'a>) -> fmt::Result;
    }

    #[async_trait]
    impl Journal for Journal {
        fn id(&self) -> &JournalId;
        async fn load(&self, service: &ServiceName) -> Result<Option<ServiceState>>;
        async fn services(&self) -> Result<Vec<ServiceName>>;
        async fn acquire(&self, service: &ServiceName, holder: &str, lasts: Duration, now: Timestamp) -> Result<Lease>;
        async fn raise_epoch(&self, service: &ServiceName, epoch: u64) -> Result<()>;
        async fn renew(&self, lease: &Lease, lasts: Duration, now: Timestamp) -> Result<Lease>;
        async fn give_back(&self, lease: &Lease) -> Result<()>;
        async fn lease(&self, service: &ServiceName, now: Timestamp) -> Result<Option<Lease>>;
        async fn commit(&self, lease: &Lease, commit: &Commit) -> Result<()>;
        async fn submit(&self, service: &ServiceName, request: &Request) -> Result<()>;
        async fn pending(&self, service: &ServiceName) -> Result<Vec<Request>>;
        async fn history(&self, service: &ServiceName, after: u64, limit: usize) -> Result<Vec<RecordedEvent>>;
        async fn newest(&self, service: &ServiceName) -> Result<u64>;
        async fn taken_at(&self, service: &ServiceName, request: &RequestId) -> Result<Option<u64>>;
        async fn checkpoint(&self, service: &ServiceName, upto: u64) -> Result<Checkpoint>;
        async fn prune(&self, service: &ServiceName, keep: &Keep, now: Timestamp) -> Result<()>;
        async fn note_end(&self, service: &ServiceName, end: Option<LoopEnd>) -> Result<()>;
        async fn last_end(&self, service: &ServiceName) -> Result<Option<LoopEnd>>;
    }
}

mock! {
    /// A mock of [`ImageBuilder`]. Expectations are not told who receives the output, because mockall cannot hand on
    /// such a borrowed closure.
    #[derive(Debug)]
    pub ImageBuilder {
        pub fn builder_capabilities(&self) -> Result<BuilderCapabilities>;
        pub fn find_image(&self, image: &ImageReference) -> Result<Option<HostImage>>;
        pub fn images_with_label(&self, label: &str) -> Result<Vec<HostImage>>;
        pub fn images_in_use(&self) -> Result<Vec<String>>;
        pub fn build_image(&self, request: &BuildRequest, context: BuildContext) -> Result<String>;
        pub fn tag_image(&self, id: &str, name: &ImageReference) -> Result<()>;
        pub fn push_image(&self, image: &ImageReference) -> Result<String>;
        pub fn pull_image(&self, image: &ImageReference) -> Result<HostImage>;
        pub fn registry_digest(&self, image: &ImageReference) -> Result<Option<String>>;
        pub fn untag_image(&self, image: &ImageReference) -> Result<()>;
        pub fn remove_image(&self, id: &str) -> Result<ImageRemoval>;
    }

    impl fmt::Display for ImageBuilder {
        fn fmt<'a>(&self, f: &mut fmt::Formatter<'a>) -> fmt::Result;
    }
}

#[async_trait]
impl ImageBuilder for MockImageBuilder {
    async fn builder_capabilities(&self) -> Result<BuilderCapabilities> {
        self.builder_capabilities()
    }

    async fn find_image(&self, image: &ImageReference) -> Result<Option<HostImage>> {
        self.find_image(image)
    }

    async fn images_with_label(&self, label: &str) -> Result<Vec<HostImage>> {
        self.images_with_label(label)
    }

    async fn images_in_use(&self) -> Result<Vec<String>> {
        self.images_in_use()
    }

    async fn build_image(
        &self,
        request: &BuildRequest,
        context: BuildContext,
        _output: OnOutput<'_>,
    ) -> Result<String> {
        self.build_image(request, context)
    }

    async fn tag_image(&self, id: &str, name: &ImageReference) -> Result<()> {
        self.tag_image(id, name)
    }

    async fn push_image(&self, image: &ImageReference, _output: OnOutput<'_>) -> Result<String> {
        self.push_image(image)
    }

    async fn pull_image(&self, image: &ImageReference, _output: OnOutput<'_>) -> Result<HostImage> {
        self.pull_image(image)
    }

    async fn registry_digest(&self, image: &ImageReference) -> Result<Option<String>> {
        self.registry_digest(image)
    }

    async fn untag_image(&self, image: &ImageReference) -> Result<()> {
        self.untag_image(image)
    }

    async fn remove_image(&self, id: &str) -> Result<ImageRemoval> {
        self.remove_image(id)
    }
}
