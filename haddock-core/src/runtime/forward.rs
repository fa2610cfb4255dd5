//! Passes every call of a runtime on.

use std::sync::Arc;

use super::ContainerRuntime;

/// Writes the `impl` of [`ContainerRuntime`](crate::runtime::ContainerRuntime) for a type around another runtime, with
/// every method of the trait. So no method is forgotten, even when the trait gets more of them.
///
/// After the head of the `impl` comes the name of a macro. It is called for each method with `self`, the method's name
/// and its arguments. Its expressions for `capabilities` and `cannot` must not await. The crate has to depend on
/// `async-trait`.
///
/// ```
/// use std::fmt;
///
/// use haddock_core::runtime::ContainerRuntime;
/// use haddock_core::{Error, ErrorKind};
///
/// /// A runtime that makes nothing new.
/// #[derive(Debug)]
/// struct ReadOnly<R>(R);
///
/// impl<R: fmt::Display> fmt::Display for ReadOnly<R> {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         write!(f, "{}, read only", self.0)
///     }
/// }
///
/// macro_rules! unless_it_creates {
///     ($me:ident, capabilities) => { $me.0.capabilities() };
///     ($me:ident, cannot, $what:ident) => { $me.0.cannot($what) };
///     ($me:ident, create, $spec:ident) => {
///         Err(Error::new(ErrorKind::RuntimeRefused, format!("`{}` is not created", $spec.name)))
///     };
///     ($me:ident, $method:ident $(, $argument:ident)*) => { $me.0.$method($($argument),*).await };
/// }
///
/// haddock_core::forward_runtime! { [impl<R: ContainerRuntime> ContainerRuntime for ReadOnly<R>] unless_it_creates }
/// ```
#[macro_export]
macro_rules! forward_runtime {
    ([$($head:tt)*] $each:ident) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        $($head)* {
            fn capabilities(&self) -> $crate::runtime::RuntimeCapabilities {
                $each!(self, capabilities)
            }
            fn cannot(&self, what: &str) -> $crate::Error {
                $each!(self, cannot, what)
            }
            async fn pull(&self, image: &$crate::image::ImageReference, refresh: bool) -> $crate::Result<String> {
                $each!(self, pull, image, refresh)
            }
            async fn pull_with(&self, image: &$crate::image::ImageReference, how: &$crate::container::PullOptions) -> $crate::Result<String> {
                $each!(self, pull_with, image, how)
            }
            async fn create(&self, spec: &$crate::container::ContainerSpec) -> $crate::Result<$crate::container::ContainerId> {
                $each!(self, create, spec)
            }
            async fn start(&self, container: &$crate::container::ContainerId) -> $crate::Result<()> {
                $each!(self, start, container)
            }
            async fn start_again(&self, life: &$crate::container::Incarnation) -> $crate::Result<()> {
                $each!(self, start_again, life)
            }
            async fn unpause(&self, container: &$crate::container::ContainerId) -> $crate::Result<()> {
                $each!(self, unpause, container)
            }
            async fn inspect(&self, container: &$crate::container::ContainerId) -> $crate::Result<Option<$crate::container::Container>> {
                $each!(self, inspect, container)
            }
            async fn health_output(&self, container: &$crate::container::ContainerId) -> $crate::Result<Option<String>> {
                $each!(self, health_output, container)
            }
            async fn list(&self, selector: &$crate::container::Selector) -> $crate::Result<Vec<$crate::container::Container>> {
                $each!(self, list, selector)
            }
            async fn stop(&self, container: &$crate::container::ContainerId, grace: std::time::Duration) -> $crate::Result<()> {
                $each!(self, stop, container, grace)
            }
            async fn remove(&self, container: &$crate::container::ContainerId) -> $crate::Result<()> {
                $each!(self, remove, container)
            }
            async fn logs(&self, container: &$crate::container::ContainerId, tail: usize) -> $crate::Result<Vec<String>> {
                $each!(self, logs, container, tail)
            }
            async fn follow_logs(&self, container: &$crate::container::ContainerId, tail: usize) -> $crate::Result<$crate::runtime::__BoxStream<'static, $crate::Result<String>>> {
                $each!(self, follow_logs, container, tail)
            }
            async fn read_log(&self, container: &$crate::container::ContainerId, query: &$crate::container::LogQuery) -> $crate::Result<$crate::runtime::__BoxStream<'static, $crate::Result<$crate::container::LogLine>>> {
                $each!(self, read_log, container, query)
            }
            async fn create_network(&self, spec: &$crate::container::NetworkSpec) -> $crate::Result<$crate::container::Network> {
                $each!(self, create_network, spec)
            }
            async fn networks(&self, selector: &$crate::container::Selector) -> $crate::Result<Vec<$crate::container::Network>> {
                $each!(self, networks, selector)
            }
            async fn members(&self, network: &str) -> $crate::Result<Vec<$crate::container::ContainerId>> {
                $each!(self, members, network)
            }
            async fn remove_network(&self, id: &str) -> $crate::Result<()> {
                $each!(self, remove_network, id)
            }
            async fn connect(&self, container: &$crate::container::ContainerId, to: &$crate::container::Attachment) -> $crate::Result<()> {
                $each!(self, connect, container, to)
            }
            async fn disconnect(&self, container: &$crate::container::ContainerId, network: &str) -> $crate::Result<()> {
                $each!(self, disconnect, container, network)
            }
            async fn create_volume(&self, spec: &$crate::container::VolumeSpec) -> $crate::Result<()> {
                $each!(self, create_volume, spec)
            }
            async fn volumes(&self, selector: &$crate::container::Selector) -> $crate::Result<Vec<$crate::container::Volume>> {
                $each!(self, volumes, selector)
            }
            async fn remove_volume(&self, name: &str) -> $crate::Result<()> {
                $each!(self, remove_volume, name)
            }
            async fn image_volumes(&self, image: &str) -> $crate::Result<Vec<String>> {
                $each!(self, image_volumes, image)
            }
            async fn port_is_free(&self, port: &$crate::container::PublishedPort) -> $crate::Result<bool> {
                $each!(self, port_is_free, port)
            }
            async fn exec(&self, container: &$crate::container::ContainerId, exec: &$crate::container::ExecSpec) -> $crate::Result<$crate::container::Executed> {
                $each!(self, exec, container, exec)
            }
            async fn attach(&self, container: &$crate::container::ContainerId, command: &$crate::container::AttachSpec) -> $crate::Result<$crate::runtime::Attached> {
                $each!(self, attach, container, command)
            }
            async fn usage(&self, container: &$crate::container::ContainerId) -> $crate::Result<$crate::container::Usage> {
                $each!(self, usage, container)
            }
            async fn events(&self, selector: &$crate::container::Selector) -> $crate::Result<$crate::runtime::__BoxStream<'static, $crate::container::RuntimeEvent>> {
                $each!(self, events, selector)
            }
        }
    };
}

macro_rules! to_what_it_points_at {
    ($me:ident, capabilities) => { (**$me).capabilities() };
    ($me:ident, cannot, $what:ident) => { (**$me).cannot($what) };
    ($me:ident, $method:ident $(, $argument:ident)*) => { (**$me).$method($($argument),*).await };
}

forward_runtime! { [impl<R: ContainerRuntime + ?Sized> ContainerRuntime for Arc<R>] to_what_it_points_at }
forward_runtime! { [impl<R: ContainerRuntime + ?Sized> ContainerRuntime for Box<R>] to_what_it_points_at }
