//! Files that are not YAML, or not compose files.

use super::{component, environment, table};

#[test]
fn what_is_not_yaml_is_told_with_its_place() {
    let nested = "[".repeat(60);
    let deep: String = (0..50).map(|depth| format!("{}a:\n", "  ".repeat(depth))).collect();
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &('b'..='h')
            .zip('a'..)
            .map(|(name, last)| format!("{name}: &{name} [{}]\n", format!("*{last},").repeat(10)))
            .collect::<String>();
    let shown = table(
        &[
            ("an empty file", String::new()),
            ("only a comment", "# nothing yet\n".into()),
            ("a text", "hello\n".into()),
            ("a list", "- services\n".into()),
            ("a tab", "services:\n\tweb:\n".into()),
            ("a missing colon", "services:\n  web\n    image: shop:1\n".into()),
            ("a colon in a value", "services:\n  web:\n    image: shop: 1\n".into()),
            ("wrong indentation", "services:\n  web:\n    image: shop:1\n   ports: []\n".into()),
            ("an unclosed list", "services:\n  web:\n    image: shop:1\n    ports: [\"80\"\n    expose: []\n".into()),
            ("an unclosed quote", "services:\n  web:\n    image: \"shop:1\n    ports: []\n".into()),
            ("a quote in a quote", "services:\n  web:\n    command: 'it's'\n".into()),
            ("a reserved character", "services:\n  web:\n    image: @shop\n".into()),
            ("a key twice", "services:\n  web:\n    image: shop:1\n    image: shop:2\n".into()),
            ("a component twice", "services:\n  web: { image: a }\n  db: { image: b }\n  web: { image: c }\n".into()),
            ("an unknown alias", "services:\n  web: *base\n".into()),
            ("an alias in itself", "services: &a\n  web: *a\n".into()),
            ("a bad merge", "services:\n  web:\n    <<: shop:1\n    image: x\n".into()),
            ("a document with nothing in it", "services:\n  web: { image: a }\n---\n".into()),
            ("a merge of nothing", "x-none: &none\nservices:\n  web: { image: a, labels: { <<: *none } }\n".into()),
            ("a key that is a number", "services:\n  web: { image: a, environment: { 1: a } }\n".into()),
            ("a tag of our own", "services:\n  web:\n    image: a\n    ports: !mine []\n".into()),
            ("a key that is a list", "services:\n  ? [a, b]\n  : { image: a }\n".into()),
            ("too deep a flow", nested),
            ("too deep", deep),
            ("an alias bomb", bomb),
        ],
        &environment(),
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn what_is_not_a_compose_file_is_told_with_its_place() {
    let shown = table(
        &[
            ("no services", "name: shop\n".into()),
            ("services is empty", "services:\n".into()),
            ("services has no components", "services: {}\n".into()),
            ("services is a list", "services:\n  - web\n".into()),
            ("a component is a text", "services:\n  web: shop:1\n".into()),
            ("a component is empty", "services:\n  web:\n".into()),
            ("a component without image", "services:\n  web:\n    expose: [80]\n".into()),
            ("a component's name", "services:\n  web shop: { image: a, expose: [80] }\n".into()),
            ("a component's name is empty", "services:\n  ~: { image: a, expose: [80] }\n".into()),
            ("the name of the service", "name: \"!\"\nservices:\n  web: { image: a, expose: [80] }\n".into()),
            ("several errors", component("imgae: x\nports: [http]\nrestart: often")),
        ],
        &environment(),
    );
    insta::assert_snapshot!(shown);
}
