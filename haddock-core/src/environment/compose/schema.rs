//! The JSON Schema of `x-haddock`, for editors.

use serde_json::{Map, Value, json};

use super::keys::{self, Keys};

/// The JSON Schema (draft 2020-12) of what stands under `x-haddock`.
///
/// It is made from the same list of keys that the reader uses. It cannot say everything that the reader checks, such
/// as that a ramp grows. The file `docs/reference/x-haddock.schema.json` is this value.
#[must_use]
pub fn schema() -> Value {
    let mut schema = object(&keys::HADDOCK, |key| match key {
        "service" => json!({
            "description": "The service's name. Default: the file's `name`, else the directory's.",
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9-]{0,39}$|\\$",
        }),
        "entry" => json!({
            "description": "The component and port that take the traffic. Default: the only component with ports.",
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}:[0-9]{1,5}$|\\$",
        }),
        "ready" => json!({
            "description": "When an instance counts as ready. Default: its port takes a TCP connection.",
            "oneOf": [path("The path that answers 2xx or 3xx."), ready()],
        }),
        "session" => json!({
            "description": "By what sessions are known, and how long they last. A text is the name of the application's session cookie. Default: the gateway's own cookie.",
            "oneOf": [cookie_name("The name of the application's session cookie."), session()],
        }),
        "shared" => json!({
            "description": "Components that no release touches.",
            "type": "array",
            "items": { "type": "string" },
            "uniqueItems": true,
        }),
        "link_variables" => json!({
            "description": "Components that are told of their links by environment variables, as Docker's links once did.",
            "type": "array",
            "items": { "type": "string" },
            "uniqueItems": true,
        }),
        "release" => release(),
        "guard" => guard(),
        "health_interval" => duration(
            "In a test environment, the engine looks at health checks no more often than this. Default: as each says.",
        ),
        "notify" => json!({
            "description": "Who is told what becomes of releases: URLs, which get a POST request, and commands.",
            "type": "array",
            "items": { "type": "string" },
        }),
        "idle" => object(&keys::IDLE, |key| match key {
            "stop_after" => {
                duration("How long a test environment may be unused before it is stopped. Default: for ever.")
            }
            _ => duration("How long it may be unused before it is removed, its volumes kept. Default: for ever."),
        }),
        "production" => production(),
        "follow" => follow(),
        other => unreachable!("`{other}` is in the list of keys"),
    });
    let top = [
        ("$schema", "https://json-schema.org/draft/2020-12/schema"),
        ("title", "x-haddock"),
        ("description", "Haddock's settings in a compose file"),
    ];
    if let Value::Object(members) = &mut schema {
        members.extend(top.map(|(name, text)| (name.to_owned(), Value::from(text))));
    }
    schema
}

fn object(keys: &Keys, property: impl Fn(&str) -> Value) -> Value {
    let properties: Map<String, Value> = keys.supported.iter().map(|key| ((*key).to_owned(), property(key))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn path(description: &str) -> Value {
    json!({ "description": description, "type": "string", "pattern": "^/[^?#\\s]*$|\\$" })
}

fn duration(description: &str) -> Value {
    // The units go from large to small, and there is at least one. A text with a variable may be anything.
    let number = "[0-9]+(\\.[0-9]+)?";
    let units: String = ["h", "m", "s", "ms"].map(|unit| format!("({number}{unit})?")).concat();
    json!({ "description": description, "type": "string", "pattern": format!("^(?=[0-9]){units}$|\\$") })
}

fn number(description: &str, least: u32) -> Value {
    json!({ "description": description, "type": "integer", "minimum": least })
}

fn ready() -> Value {
    object(&keys::READY, |key| match key {
        "http" => path("The path that answers 2xx or 3xx."),
        "host" => json!({
            "description": "The host that the probe asks for. Default: the first under which the gateway serves the service.",
            "type": "string",
            "pattern": r"^[A-Za-z0-9._:\[\]-]+$|\$",
        }),
        "within" => duration("How long it may take from the start. Default: 2m."),
        other => unreachable!("`{other}` is in the list of keys"),
    })
}

fn session() -> Value {
    object(&keys::SESSION, |key| match key {
        "idle" => duration("How long a session may be idle before it has expired. Default: 30m."),
        "ignore" => json!({
            "description": "Paths on which a request opens no session.",
            "type": "array",
            "items": path("A path, without query."),
        }),
        "by" => json!({
            "description": "What decides where a new session goes: `session`, each by itself; `client`, a client keeps to the version that it has met, over its sessions. Default: session.",
            "enum": ["session", "client"],
        }),
        "cookie" => cookie_name(
            "The name of the cookie by which the application knows its sessions, such as JSESSIONID. Default: sessions are known by the gateway's own cookie.",
        ),
        "cookie_mode" => json!({
            "description": "Where it is kept which instance has a session of that cookie. prefix: in the cookie. learn: in the gateway's memory only. Default: prefix.",
            "enum": ["prefix", "learn"],
        }),
        "same_site" => json!({
            "description": "Whether the gateway's cookie comes along when another site leads here. Default: none, which is always.",
            "enum": ["none", "lax", "strict"],
        }),
        "domain" => json!({
            "description": "The host that the gateway's cookie is for, with all below it. Default: the host that was asked for.",
            "type": "string",
            "pattern": r"^[A-Za-z0-9.-]+$|\$",
        }),
        "path" => path("The path that the gateway's cookie is for, with all below it. Default: all paths."),
        "partitioned" => json!({
            "description": "Whether each site that shows the application in a frame has a cookie of its own. Default: false.",
            "type": ["boolean", "string"],
        }),
        "count" => json!({
            "description": "What the application is asked for its own number of sessions while an instance drains. It is removed only if both numbers are zero. Default: it is not asked.",
            "oneOf": [path("The path that answers with the number."), count()],
        }),
        other => unreachable!("`{other}` is in the list of keys"),
    })
}

fn count() -> Value {
    let mut count = object(&keys::COUNT, |key| match key {
        "http" => path("The path that answers with the number, or with JSON that has it."),
        "pointer" => json!({
            "description": "Where the number is within the JSON, such as `/active` (RFC 6901). Default: the whole answer is the number.",
            "type": "string",
            "pattern": r"^(/([^~/]|~[01])*)+$|\$",
        }),
        "every" => duration("How often it is asked. Default: 10s."),
        other => unreachable!("`{other}` is in the list of keys"),
    });
    count["required"] = json!(["http"]);
    count
}

fn cookie_name(description: &str) -> Value {
    json!({ "description": description, "type": "string", "pattern": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$|\$" })
}

fn follow() -> Value {
    let pattern = |description: &str| json!({ "description": description, "type": "string", "pattern": r"^[A-Za-z0-9_.*?\[\]!-]+$|\$" });
    let window = json!({ "type": "string", "pattern": "[0-9]{1,2}:[0-9]{2}.*[0-9]{1,2}:[0-9]{2}\\s+\\S|\\$" });
    let long = object(&keys::FOLLOW, |key| match key {
        "release" => pattern("The tags: `main-*`."),
        "image" => json!({
            "description": "The repository whose tags are meant. Default: that of the entry component's image.",
            "type": "string",
        }),
        "every" => duration("How often the registry is asked. Default: 30s."),
        "freeze" => json!({
            "description": "When no release begins by itself, such as `Fri 16:00 – Mon 08:00 Europe/Stockholm`.",
            "oneOf": [window, { "type": "array", "items": window }],
        }),
        other => unreachable!("`{other}` is in the list of keys"),
    });
    json!({
        "description": "Which new tags of the registry `haddock serve --follow` releases by itself.",
        "oneOf": [pattern("The tags: `main-*`."), long],
    })
}

fn production() -> Value {
    object(&keys::PRODUCTION, |key| match key {
        "links" => json!({
            "description": "What takes the place of a component in a release; the component itself is not started.",
            "type": "object",
            "additionalProperties": {
                "type": "string",
                "pattern": "^tcp://.+:[0-9]{1,5}$|^container:.+$|^[^/:]+/[^/:]+$|\\$",
            },
        }),
        "without" => json!({
            "description": "Components that a release does without.",
            "type": "array",
            "items": { "type": "string" },
            "uniqueItems": true,
        }),
        "variables" => json!({
            "description": "Environment variables that components have in a release, by component.",
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": { "type": ["string", "number", "boolean"] },
            },
        }),
        other => unreachable!("`{other}` is in the list of keys"),
    })
}

fn release() -> Value {
    object(&keys::RELEASE, |key| match key {
        "replicas" => number("Instances of each version. Default: 1.", 1),
        "ramp" => json!({
            "description": "The stages of the candidate's share, growing, the last 100%; or `auto`. Default: [10%, 50%, 100%].",
            "oneOf": [
                { "description": "The share follows the evidence.", "const": "auto" },
                { "type": "array", "items": { "oneOf": [share(), stage()] }, "minItems": 1, "uniqueItems": true },
            ],
        }),
        "every" => duration("How long each stage but the last is held. Default: 10m."),
        "after" => sessions(),
        "harm_budget" => number(
            "With `ramp: auto`: sessions that may be harmed until the next look, in the worst case. Default: 10.",
            1,
        ),
        "settle" => duration("How long the full share is held before the release has settled. Default: 10m."),
        "drain" => object(&keys::DRAIN, |key| match key {
            "evict_after" => {
                duration("How long sessions on an old version may last before they are evicted. Default: never.")
            }
            _ => object(&keys::NOTIFY_CLIENTS, |_| {
                json!({
                    "type": "string",
                    "description": "The header that answers of draining instances get, with the value `true`, such as `X-Haddock-Draining`.",
                })
            }),
        }),
        "queue" => json!({
            "description": "What a newer release does while one goes on. Default: newest.",
            "enum": ["newest", "supersede"],
        }),
        "max_versions" => number("Versions that may run at once. Default: 4.", 2),
        "unresponsive_for" => duration("How long an instance may not answer before it has failed. Default: 5m."),
        "before" => json!({
            "description": "The component that runs once before a version is launched, and ends.",
            "oneOf": [
                { "type": "string" },
                object(&keys::BEFORE, |key| match key {
                    "component" => json!({ "description": "The component.", "type": "string" }),
                    _ => duration("How long it may take. Default: 1h."),
                }),
            ],
        }),
        "hooks" => object(&keys::RELEASE_HOOKS, |key| match key {
            "serving" => hook("What runs within an instance when it begins to get new sessions."),
            _ => hook("What runs within an instance when it gets no new sessions any more."),
        }),
        other => unreachable!("`{other}` is in the list of keys"),
    })
}

fn share() -> Value {
    json!({ "type": "string", "pattern": "^(100(\\.0{1,2})?|[0-9]{1,2}(\\.[0-9]{1,2})?)%$|\\$" })
}

fn stage() -> Value {
    let mut stage = object(&keys::STAGE, |key| match key {
        "share" => share(),
        "every" => duration("How long it is held. Default: as `every` next to `ramp`."),
        "after" => sessions(),
        "gate" => gate(),
        other => unreachable!("`{other}` is in the list of keys"),
    });
    stage["required"] = json!(["share"]);
    stage
}

fn gate() -> Value {
    let mut asked = object(&keys::GATE, |key| match key {
        "command" => json!({
            "description": "What runs on the controller's machine: exit code 0 is go, 75 is wait, any other is stop.",
            "oneOf": command(),
        }),
        "call" => json!({
            "description": "The name of a function that the program around the controller has given to it.",
            "type": "string",
        }),
        "every" => duration("How long after it has said wait it is asked again. Default: 1m."),
        _ => duration("How long an answer may take. Default: 5m."),
    });
    asked["oneOf"] = json!([{ "required": ["command"] }, { "required": ["call"] }]);
    json!({
        "description": "It lasts until somebody says `haddock advance`, or until what is asked says go.",
        "oneOf": [{ "const": "hold" }, asked],
    })
}

fn command() -> Value {
    json!([
        { "description": "For the shell.", "type": "string" },
        { "description": "The program and its arguments.", "type": "array", "items": { "type": "string" } },
    ])
}

fn sessions() -> Value {
    json!({
        "description": "A stage lasts until this many sessions have begun on the candidate. Default: it waits for none.",
        "oneOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": "^[0-9]+( ?sessions?)?$|\\$" },
        ],
    })
}

fn guard() -> Value {
    object(&keys::GUARD, |key| match key {
        "acts" => json!({
            "description": "Whether a harmful candidate is stopped. If not, it is only told. Default: true.",
            "type": ["boolean", "string"],
        }),
        "false_alarm" => {
            rate("The probability that a good candidate is ever found harmful, in one release. Default: 1%.")
        }
        "tolerate" => rate("The extra share of failed sessions that is not yet harm. Default: 1%."),
        "at_most" => rate(
            "The share of failed sessions that is not yet harm if nothing is compared at the same time: after the full share \
             above what was usual before, in a first release by itself. Default: 5%.",
        ),
        "failed" => failed(),
        "slow" => json!({
            "description": "A request is slow if its answer begins later than this. Default: none is.",
            "oneOf": [duration("The time."), slow()],
        }),
        other => unreachable!("`{other}` is in the list of keys"),
    })
}

fn failed() -> Value {
    let list = |description: &str, item: &Value| json!({ "description": description, "type": "array", "items": item });
    let status = json!({
        "oneOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5]([0-9]{2}|[xX]{2})$|^[1-5][0-9]{2}-[1-5][0-9]{2}$|\\$" },
        ],
    });
    let below = path("A path, without query. What is below it counts with it.");
    object(&keys::FAILED, |key| match key {
        "status" => list("Answers with these status codes have failed. Default: [5xx].", &status),
        "except" => list("Answers with these have not.", &status),
        "paths" => list("Only requests for these paths count. Default: all.", &below),
        "except_paths" => list("Requests for these paths do not count.", &below),
        "header" => json!({
            "description": "An answer with this header has failed.",
            "type": "string",
            "pattern": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        }),
        other => unreachable!("`{other}` is in the list of keys"),
    })
}

fn slow() -> Value {
    let mut slow = object(&keys::SLOW, |key| match key {
        "after" => duration("A request is slow if its answer begins later than this."),
        "tolerate" => rate("The extra share of slow sessions that is not yet harm. Default: 5%."),
        other => unreachable!("`{other}` is in the list of keys"),
    });
    slow["required"] = json!(["after"]);
    slow
}

fn rate(description: &str) -> Value {
    json!({
        "description": description,
        "oneOf": [
            { "type": "number", "minimum": 0, "exclusiveMaximum": 1 },
            { "type": "string", "pattern": "^[0-9]*(\\.[0-9]+)?%?$|\\$" },
        ],
    })
}

fn hook(description: &str) -> Value {
    let command = json!([
        { "description": "For the shell within.", "type": "string" },
        { "description": "The program and its arguments.", "type": "array", "items": { "type": "string" } },
    ]);
    let long = object(&keys::HOOK, |key| match key {
        "component" => json!({ "description": "In which component. Default: the entry.", "type": "string" }),
        "command" => json!({ "description": "The command.", "oneOf": command }),
        _ => duration("How long it may take. Default: 30s."),
    });
    json!({ "description": description, "oneOf": [command[0], command[1], long] })
}
