//! The JSON Schema of `haddock-images.yaml`, for editors.

use serde_json::{Value, json};

/// The JSON Schema (draft 2020-12) of the file `haddock-images.yaml`.
///
/// It cannot say everything that the reader checks, such as that a folder exists. The file
/// `docs/reference/haddock-images.schema.json` is this value.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "haddock-images.yaml",
        "description": "What folders cannot say about a tree of images",
        "type": ["object", "null"],
        "properties": {
            "prefix": {
                "description": "Registry and path that come before the name of each image. Default: none.",
                "type": "string",
                "pattern": "^[^$/@\\s]+(/[^$/:@\\s]+)*$",
            },
            "tag": {
                "description": "What the tags of images are made of. Default: {branch}-{hash}.",
                "type": "string",
                "pattern": "\\{(hash|commit)\\}",
            },
            "args": values("Values of ARG for all images. Only images whose Dockerfile declares an argument get it."),
            "ignore": {
                "description": "Folders that are not searched for Dockerfiles, from the folder of this file.",
                "type": ["array", "null"],
                "items": { "type": "string", "minLength": 1 },
            },
            "images": {
                "description": "Images by name: that of a folder, or a further one.",
                "type": ["object", "null"],
                "propertyNames": { "minLength": 1 },
                "additionalProperties": image(),
            },
        },
        "additionalProperties": false,
    })
}

fn image() -> Value {
    json!({
        "type": ["object", "null"],
        "properties": {
            "dockerfile": text("Its Dockerfile, from the context. Default: Dockerfile, else Containerfile."),
            "context": text("The folder that it is built from, from the folder of this file. Default: its folder."),
            "name": text("What it is called in the registry, after the prefix. Default: its name here."),
            "target": text("The stage that becomes the image. Default: the last one."),
            "args": values("Values of ARG. They win over those for all images."),
            "labels": values("Labels of the image."),
            "secrets": {
                "description": "Files that RUN --mount=type=secret may read, by id.",
                "type": ["object", "null"],
                "additionalProperties": secret(),
            },
            "ssh": {
                "description": "Whether RUN --mount=type=ssh may use the keys of your SSH agent. Default: false.",
                "type": ["boolean", "null"],
            },
            "platform": {
                "description": "The platform that it is built for. Default: that of the builder.",
                "type": "string",
                "pattern": "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){1,2}$",
            },
        },
        "additionalProperties": false,
    })
}

fn secret() -> Value {
    json!({
        "type": "object",
        "properties": {
            "file": text("The file that has the value, from the folder of this file."),
            "environment": text("The environment variable that has the value."),
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
}

fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string", "minLength": 1 })
}

fn values(description: &str) -> Value {
    json!({
        "description": description,
        "type": ["object", "null"],
        "additionalProperties": { "type": ["string", "number", "boolean"] },
    })
}
