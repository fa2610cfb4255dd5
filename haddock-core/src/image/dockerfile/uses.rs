//! Which images a Dockerfile needs.

use std::collections::BTreeMap;

use super::expand::expand;
use super::parts::{ImageUse, Parts, Stage, UsedBy, wrong};
use super::platform::{host_platform, platform_args};
use super::words::Word;
use crate::error::Result;
use crate::image::ImageReference;

/// The image without anything in it.
const SCRATCH: &str = "scratch";

/// What a stage stands on or takes files from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Scratch,
    Stage(usize),
    Image(ImageUse),
}

/// A stage with its arguments filled in.
pub(super) struct Resolved {
    base: Origin,
    sources: Vec<Origin>,
}

impl Parts {
    /// All stages, in order.
    pub(super) fn resolved(&self, args: &BTreeMap<String, String>, target: Option<&str>) -> Result<Vec<Resolved>> {
        let values = self.values(args, target)?;
        let stages = self.stages.iter().enumerate();
        stages
            .map(|(number, stage)| {
                let sources = stage.sources.iter().map(|source| self.source(source.by, &source.word));
                Ok(Resolved { base: self.origin_of(number, stage, &values)?, sources: sources.collect::<Result<_>>()? })
            })
            .collect()
    }

    /// The stages that this target needs, with itself.
    pub(super) fn reached(&self, resolved: &[Resolved], target: Option<&str>) -> Result<Vec<bool>> {
        let mut reached = vec![false; resolved.len()];
        let mut open = vec![self.target(target)?];
        while let Some(number) = open.pop() {
            if !std::mem::replace(&mut reached[number], true) {
                open.extend(resolved[number].stages());
            }
        }
        self.refuse_circles(resolved)?;
        Ok(reached)
    }

    /// The number of the stage that becomes the image.
    pub(super) fn target(&self, target: Option<&str>) -> Result<usize> {
        let Some(name) = target else { return Ok(self.stages.len() - 1) };
        self.stage_named(name, self.stages.len()).ok_or_else(|| {
            let names: Vec<String> =
                self.stages.iter().filter_map(|s| Some(format!("`{}`", s.name.as_ref()?))).collect();
            let hint = match names.is_empty() {
                true => "no stage has a name; give one by `FROM image AS name`".to_owned(),
                false => format!("the stages with names are {}", names.join(", ")),
            };
            let last = self.stages.last().map_or(0, |stage| stage.image.span.start);
            wrong(&format!("there is no stage `{name}`"), &hint, self.place(last))
        })
    }

    /// Each image of an origin must be one that a registry can have.
    pub(super) fn checked(&self, used: ImageUse) -> Result<ImageUse> {
        match ImageReference::parse(&used.image) {
            Ok(_) => Ok(used),
            Err(error) => Err(wrong(
                &format!("`{}` does not name an image: {}", used.by, error.message()),
                error.hint().unwrap_or("name an image or a stage above"),
                used.place,
            )),
        }
    }

    /// The last stage of this name before that number.
    fn stage_named(&self, name: &str, before: usize) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages[..before].iter().rposition(|stage| stage.name.as_ref() == Some(&name))
    }

    fn origin_of(&self, number: usize, stage: &Stage, values: &BTreeMap<String, String>) -> Result<Origin> {
        let image = self.expanded(&stage.image, values, "image")?;
        let platform = match &stage.platform {
            Some(word) => Some(self.expanded(word, values, "platform")?),
            None => None,
        };
        Ok(match self.stage_named(&image, number) {
            Some(stage) => Origin::Stage(stage),
            None if image == SCRATCH => Origin::Scratch,
            None => Origin::Image(self.image_use(image, &stage.image, UsedBy::From, platform)),
        })
    }

    fn source(&self, by: UsedBy, word: &Word) -> Result<Origin> {
        let name = &word.text;
        if by == UsedBy::Copy && name.parse::<i64>().is_ok() {
            let number = name.parse().ok().filter(|number| *number < self.stages.len());
            return number.map(Origin::Stage).ok_or_else(|| {
                let hint = match self.stages.len() {
                    1 => "there is only the stage 0".to_owned(),
                    stages => format!("the stages are 0 to {}", stages - 1),
                };
                wrong(&format!("there is no stage {name}"), &hint, self.place(word.span.start))
            });
        }
        Ok(match self.stage_named(name, self.stages.len()) {
            Some(stage) => Origin::Stage(stage),
            None if name == SCRATCH => Origin::Scratch,
            None => Origin::Image(self.image_use(name.clone(), word, by, None)),
        })
    }

    fn image_use(&self, image: String, word: &Word, by: UsedBy, platform: Option<String>) -> ImageUse {
        ImageUse { image, place: self.place(word.span.start), by, platform, span: word.span.clone() }
    }

    fn expanded(&self, word: &Word, values: &BTreeMap<String, String>, what: &str) -> Result<String> {
        let at = || self.place(word.span.start);
        let expanded = expand(&word.text, values, self.escape)
            .map_err(|why| wrong(&format!("`{}` cannot be read: {why}", word.text), "mend the expression", at()))?;
        if !expanded.text.is_empty() {
            return Ok(expanded.text);
        }
        let message = format!("`{}` names no {what}", word.text);
        Err(match expanded.unset.first() {
            Some(name) if self.globals.iter().any(|global| global.name == *name) => wrong(
                &format!("{message}: the argument `{name}` has no value"),
                &format!("give it one: `ARG {name}=value` before the first `FROM`, or with the build"),
                at(),
            ),
            Some(name) => wrong(
                &format!("{message}: the argument `{name}` is not known before the first `FROM`"),
                &format!("write `ARG {name}=value` before the first `FROM`"),
                at(),
            ),
            None => wrong(&message, &format!("name the {what}"), at()),
        })
    }

    /// The values of arguments for `FROM`: those of the platform, and those before the first `FROM`.
    fn values(&self, args: &BTreeMap<String, String>, target: Option<&str>) -> Result<BTreeMap<String, String>> {
        let last = self.stages.last().and_then(|stage| stage.name.as_deref());
        let mut values = platform_args(&host_platform());
        values.insert("TARGETSTAGE".to_owned(), target.or(last).unwrap_or("default").to_owned());
        for (name, value) in &mut values {
            if let Some(given) = args.get(name) {
                value.clone_from(given);
            }
        }
        for global in &self.globals {
            let value = match (args.get(&global.name), &global.default) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => {
                    let expanded = expand(default, &values, self.escape);
                    let at = || self.place(global.at);
                    let refuse = |why| wrong(&format!("`ARG {}`: {why}", global.name), "mend its default", at());
                    expanded.map_err(refuse)?.text
                }
                (None, None) => continue,
            };
            values.insert(global.name.clone(), value);
        }
        Ok(values)
    }

    /// Stages cannot need each other.
    fn refuse_circles(&self, resolved: &[Resolved]) -> Result<()> {
        // How many of the stages that it needs are not known to be without circle.
        let mut free = vec![false; resolved.len()];
        loop {
            let next = (0..resolved.len()).find(|n| !free[*n] && resolved[*n].stages().all(|stage| free[stage]));
            match next {
                Some(number) => free[number] = true,
                None => break,
            }
        }
        match free.iter().position(|free| !free) {
            None => Ok(()),
            Some(number) => {
                let stage = &self.stages[number];
                let name = stage.name.clone().unwrap_or_else(|| number.to_string());
                let message = format!("stage `{name}` needs itself, or stages that need each other in a circle");
                let hint = "let each `COPY --from` name an earlier stage";
                Err(wrong(&message, hint, self.place(stage.image.span.start)))
            }
        }
    }
}

impl Resolved {
    pub(super) fn base(&self) -> &Origin {
        &self.base
    }

    pub(super) fn images(&self) -> impl Iterator<Item = &ImageUse> {
        self.origins().filter_map(|origin| match origin {
            Origin::Image(used) => Some(used),
            _ => None,
        })
    }

    fn stages(&self) -> impl Iterator<Item = usize> {
        self.origins().filter_map(|origin| match origin {
            Origin::Stage(number) => Some(*number),
            _ => None,
        })
    }

    fn origins(&self) -> impl Iterator<Item = &Origin> {
        std::iter::once(&self.base).chain(&self.sources)
    }
}
