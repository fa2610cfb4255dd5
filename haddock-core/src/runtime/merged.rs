//! The logs of several containers as one.

use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::stream::{self, SelectAll, StreamExt};
use tokio::time::timeout;

use super::ContainerRuntime;
use crate::container::{ComponentLine, Container, LogQuery};
use crate::error::Result;

/// Followed logs begin with the lines that are there already. These are over once nothing has come for this long.
const CAUGHT_UP_AFTER: Duration = Duration::from_millis(200);
/// The most lines that are put in order. Further lines are passed on as they come.
const MAX_SORTED_LINES: usize = 100_000;

/// The logs of these containers as one. Lines that are there already are in the order in which they were written. If
/// the logs are followed, further lines come after them as they are written. Containers without a component are left
/// out.
///
/// # Errors
/// The runtime's. A log that breaks off ends with its error; the others go on.
pub(crate) async fn merged(
    runtime: &dyn ContainerRuntime,
    containers: &[Container],
    query: &LogQuery,
) -> Result<BoxStream<'static, Result<ComponentLine>>> {
    let mut all = SelectAll::new();
    for container in containers {
        let Some(component) = container.component() else { continue };
        let lines = runtime.read_log(&container.id, query).await?;
        all.push(lines.map(move |line| Ok(ComponentLine { component: component.clone(), line: line? })).boxed());
    }
    let (mut first, mut errors) = (Vec::new(), Vec::new());
    while first.len() < MAX_SORTED_LINES {
        let next = match query.follow {
            true => timeout(CAUGHT_UP_AFTER, all.next()).await.ok().flatten(),
            false => all.next().await,
        };
        match next {
            Some(Ok(line)) => first.push(line),
            Some(Err(error)) => errors.push(Err(error)),
            None => break,
        }
    }
    // Lines of one component stay in their order, because the sort is stable.
    first.sort_by_key(|it: &ComponentLine| it.line.at);
    Ok(stream::iter(first.into_iter().map(Ok).chain(errors)).chain(all).boxed())
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::container::{ContainerId, ContainerState, Health, LogLine, label};
    use crate::testing::MockContainerRuntime;
    use crate::time::Timestamp;

    fn container(name: &str) -> Container {
        Container {
            id: ContainerId(name.to_owned()),
            name: name.to_owned(),
            labels: BTreeMap::from([(label::COMPONENT.to_owned(), name.to_owned())]),
            state: ContainerState::Running,
            started: 1,
            health: Health::None,
            addresses: BTreeMap::new(),
            published: BTreeMap::new(),
            image: String::new(),
            networks: Vec::new(),
            network_ids: BTreeMap::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_in_order_and_what_follows_comes_as_it_is_written() {
        let mut runtime = MockContainerRuntime::new();
        runtime.expect_read_log().returning(|id, _| {
            let line = |millis: u64, text: &str| {
                Ok(LogLine { at: Some(Timestamp::from_millis(millis)), text: text.to_owned() })
            };
            let there = match id.0.as_str() {
                "db" => vec![line(1, "db 1"), line(4, "db 4")],
                _ => vec![line(2, "web 2"), line(3, "web 3")],
            };
            let later = stream::once(async move {
                crate::time::sleep(Duration::from_secs(5)).await;
                line(0, "later")
            });
            Ok(stream::iter(there).chain(later.boxed()).boxed())
        });
        let query = LogQuery { follow: true, ..LogQuery::default() };
        let lines = merged(&runtime, &[container("web"), container("db")], &query).await.expect("logs");
        let texts: Vec<String> = lines.map(|line| line.expect("a line").line.text).collect().await;
        assert_eq!(texts, ["db 1", "web 2", "web 3", "db 4", "later", "later"]);
    }
}
