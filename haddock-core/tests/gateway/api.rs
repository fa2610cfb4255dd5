//! The description of the admin API, and the gateway that it describes.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

use crate::world::{Reply, World, send, service};

async fn call(world: &World, method: Method, path: &str, body: &str) -> Reply {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1");
    let request = request.header(header::CONTENT_TYPE, "application/json");
    send(world.admin(), request.body(Full::new(Bytes::from(body.to_owned()))).expect("valid")).await
}

fn of_json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).expect("JSON")
}

/// Each path of the description with its methods.
fn described(document: &Value) -> Vec<(String, BTreeSet<String>)> {
    let paths = document["paths"].as_object().expect("an object");
    let upper =
        |operations: &Value| operations.as_object().expect("an object").keys().map(|it| it.to_uppercase()).collect();
    paths.iter().map(|(path, operations)| (path.clone(), upper(operations))).collect()
}

#[tokio::test]
async fn the_shipped_description_is_what_a_gateway_serves() {
    let world = World::new(false).await;
    let served = of_json(&call(&world, Method::GET, "/v1/openapi.json", "").await);
    assert_eq!(served, haddock_core::locator::gateway::openapi());
    let text = serde_json::to_string_pretty(&served).expect("plain data") + "\n";
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/gateway-openapi.json");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        std::fs::write(&shipped, &text).expect("writable");
    }
    let found = std::fs::read_to_string(&shipped).expect("the description is shipped");
    assert_eq!(found, text, "run the tests once with INSTA_UPDATE=always");
}

#[tokio::test]
async fn all_that_is_described_is_there_with_these_methods_alone() {
    let world = World::new(false).await;
    let paths = described(&haddock_core::locator::gateway::openapi());
    assert!(paths.len() > 10, "{paths:?}");
    for (path, methods) in paths {
        let path = path.replace("{service}", service().as_str()).replace("{instance}", "shop-1");
        // A method that no route has is told which ones there are.
        let reply = call(&world, Method::DELETE, &path, "{}").await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed = reply.headers[header::ALLOW].to_str().expect("text");
        assert_eq!(allowed.split(", ").map(str::to_owned).collect::<BTreeSet<_>>(), methods, "{path}");
    }
    for unknown in ["/", "/v1", "/v2/services", "/v1/services/shop/open", "/v1/services/shop/apply/x"] {
        let reply = call(&world, Method::GET, unknown, "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{unknown}");
        assert!(of_json(&reply)["hint"].as_str().expect("a hint").contains("/v1/openapi.json"));
    }
}

#[tokio::test]
async fn the_description_reads_as_plain_text() {
    let document = haddock_core::locator::gateway::openapi().to_string();
    for markup in ["[`", "`]", "](", "```", "crate::"] {
        assert!(!document.contains(markup), "{markup}: {document}");
    }
}
