//! What is different in production, such as the database. Pure.

use std::collections::BTreeSet;

use super::{EnvironmentSpec, Link, Production};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, LinkAlias};

impl EnvironmentSpec {
    /// The environment as it is in production: its production settings are applied, and no longer part of it.
    ///
    /// # Errors
    /// [`ComposeFile`](ErrorKind::ComposeFile) if the settings name no component, or leave out the one that takes the
    /// traffic.
    pub fn in_production(&self) -> Result<Self> {
        let mut spec = self.clone();
        let Some(production) = spec.production.take() else { return Ok(spec) };
        let Production { links, without, variables } = production;
        let wrong = |message: String| Err(Error::new(ErrorKind::ComposeFile, message));
        let named = links.keys().chain(&without).chain(variables.keys());
        if let Some(unknown) = named.into_iter().find(|name| !self.components.contains_key(*name)) {
            return wrong(format!("`x-haddock.production` names `{unknown}`, which is no component"));
        }
        let gone: BTreeSet<&ComponentName> = links.keys().chain(&without).collect();
        if let Some(entry) = spec.entry().filter(|entry| gone.contains(&entry.component)) {
            return wrong(format!("`x-haddock.production` leaves out `{}`, which takes the traffic", entry.component));
        }
        spec.components.retain(|name, _| !gone.contains(name));
        // Components that are left out run nothing, neither before a version nor within an instance.
        spec.hooks.retain(|_, hook| !hook.component.as_ref().is_some_and(|component| gone.contains(component)));
        if let Some(settings) = &mut spec.settings {
            settings.release.hooks.retain(|hook| spec.hooks.contains_key(hook));
            settings.release.before.take_if(|before| gone.contains(&before.component));
        }
        for (name, component) in &mut spec.components {
            // A dependency becomes a link, so that the other can still be reached by its own name.
            let reached: Vec<ComponentName> = component.depends_on.keys().cloned().collect();
            component.depends_on.retain(|other, _| !gone.contains(other));
            for other in reached.into_iter().filter(|other| links.contains_key(other)) {
                let own = LinkAlias::new(other.as_str())?;
                if !component.links.iter().any(|link| link.alias == own) {
                    component.links.push(Link { component: other, alias: own });
                }
            }
            component.links.retain(|link| links.contains_key(&link.component) || !without.contains(&link.component));
            if let Some(variables) = variables.get(name) {
                component.environment.extend(variables.clone());
            }
        }
        spec.targets.extend(links);
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::compose::{ComposeFile, Purpose, ResolveOptions};

    const FILE: &str = "
name: shop
services:
  db: { image: db, expose: [5432] }
  mail: { image: mail }
  audit: { image: audit }
  web:
    image: 'shop:${TAG}'
    links: ['db:store', mail]
    depends_on: [db, audit]
    environment: { POOL: '5', MODE: test }
    expose: [8080]
x-haddock:
  entry: web:8080
  production:
    links: { db: 'tcp://db.internal:5432' }
    without: [mail]
    variables: { web: { POOL: '50', MAIL: smtp } }
";

    fn spec() -> EnvironmentSpec {
        let options = ResolveOptions { tag: Some("1".into()), purpose: Purpose::Release, ..ResolveOptions::default() };
        ComposeFile::parse("compose.yaml", FILE).expect("YAML").resolve(&options).expect("good").spec
    }

    #[test]
    fn what_is_replaced_is_reached_under_its_names_and_the_rest_is_left_out() {
        let tested = spec();
        let spec = tested.in_production().expect("good");
        assert_eq!(spec.components.keys().map(ComponentName::as_str).collect::<Vec<_>>(), ["audit", "web"]);
        let web = &spec.components["web"];
        let reached = spec.reaches(web);
        let [(db, aliases)] = reached.into_iter().collect::<Vec<_>>().try_into().expect("one");
        assert_eq!((db.as_str(), aliases), ("db", BTreeSet::from(["db".to_owned(), "store".to_owned()])));
        assert_eq!(web.depends_on.keys().map(ComponentName::as_str).collect::<Vec<_>>(), ["audit"]);
        let variables: Vec<(&str, &str)> =
            web.environment.iter().map(|(name, it)| (name.as_str(), it.expose())).collect();
        assert_eq!(variables, [("MAIL", "smtp"), ("MODE", "test"), ("POOL", "50")]);
        assert_eq!(spec.in_production().expect("again"), spec, "it is applied once");
        assert_eq!(spec.shared().components.keys().map(ComponentName::as_str).collect::<Vec<_>>(), ["audit"]);
        assert!(tested.components.contains_key("db"), "tests have what they had");
    }

    #[test]
    fn what_is_left_out_runs_nothing_before_or_within() {
        let text = FILE.replace(
            "x-haddock:",
            "  migrate: { image: 'shop:${TAG}', links: [db] }
  worker: { image: 'shop:${TAG}' }
x-haddock:
  release:
    before: migrate
    hooks: { serving: 'true', draining: { component: worker, command: 'true' } }",
        );
        let told = |text: &str| {
            let options =
                ResolveOptions { tag: Some("1".into()), purpose: Purpose::Release, ..ResolveOptions::default() };
            let file = ComposeFile::parse("compose.yaml", text).expect("YAML");
            let spec = file.resolve(&options).expect("good").spec.in_production().expect("good");
            let release = spec.service().expect("a service").release.clone();
            (release.before.map(|before| before.component.to_string()), release.hooks.len(), spec.hooks.len())
        };
        assert_eq!(told(&text), (Some("migrate".to_owned()), 2, 2));
        assert_eq!(told(&text.replace("without: [mail]", "without: [mail, migrate, worker]")), (None, 1, 1));
    }

    #[test]
    fn the_entry_stays_and_names_are_checked() {
        for (production, why) in [
            (
                Production {
                    without: BTreeSet::from([ComponentName::new("web").expect("valid")]),
                    ..Production::default()
                },
                "traffic",
            ),
            (
                Production {
                    without: BTreeSet::from([ComponentName::new("wep").expect("valid")]),
                    ..Production::default()
                },
                "`wep`",
            ),
        ] {
            let spec = EnvironmentSpec { production: Some(production), ..spec() };
            let error = spec.in_production().expect_err(why);
            assert!(error.message().contains(why), "{error}");
        }
    }
}
