//! Filling variables into a whole file, before it is merged with others.

use std::sync::Arc;

use super::template::Template;
use super::tree::{Node, Scalar, Value, Written};
use super::variables::Variables;

/// Fills in every text. If a text cannot be filled in, this is an error when it is read.
pub(super) fn fill(mut node: Node, variables: &Variables) -> Node {
    fill_in(&mut node, variables);
    node
}

fn fill_in(node: &mut Node, variables: &Variables) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) if scalar.text.contains('$') => *scalar = filled(&scalar.text, variables),
        Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| fill_in(item, variables)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(_, value)| fill_in(value, variables));
        }
    }
}

fn filled(text: &str, variables: &Variables) -> Scalar {
    let template = Template::parse(text);
    let names = template.iter().flat_map(Template::names).map(str::to_owned).collect();
    let filled = template.and_then(|template| template.fill(&|name| variables.get(name)));
    let plain = filled.as_ref().map(|filled| filled.text.clone()).unwrap_or_default();
    Scalar { text: plain, bare: false, written: Some(Arc::new(Written { text: text.to_owned(), names, filled })) }
}
