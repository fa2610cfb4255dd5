//! The paths.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::others::{self, Rows};
use crate::session::{COOKIE, Sessions, Snapshot, Use, now};

#[derive(Debug, Clone)]
struct App {
    version: String,
    instance: String,
    /// The bits of a number.
    error_rate: Arc<AtomicU64>,
    ready_at: Instant,
    sessions: Sessions,
    calls: Vec<String>,
    store: Option<String>,
    rows: Rows,
}

/// The body of every answer of a session.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    session: Snapshot,
    version: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<&'a str>,
}

pub(crate) fn router(config: Config) -> Router {
    let only_host = config.only_host;
    let app = App {
        version: config.version,
        instance: config.instance,
        error_rate: Arc::new(AtomicU64::new(config.error_rate.to_bits())),
        ready_at: now() + config.start_delay,
        sessions: Sessions::new(config.session_idle),
        calls: config.calls,
        store: config.store,
        rows: Rows::new(config.rows),
    };
    Router::new()
        .route("/", get(count))
        .route("/slow", get(slow))
        .route("/login", get(login))
        .route("/logout", any(logout))
        .route("/ws", get(socket))
        .route("/health", get(health))
        .route("/call", get(call))
        .route("/rows", get(rows).post(add_row))
        .route("/stats", get(stats))
        .route("/fail", get(fail))
        .with_state(app)
        .layer(middleware::from_fn_with_state(only_host, check_host))
}

/// Refuses every host but one, if there is one.
async fn check_host(State(only): State<Option<String>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match only {
        Some(only) if host.split(':').next() != Some(&only) => {
            (StatusCode::BAD_REQUEST, format!("host {host} is not allowed")).into_response()
        }
        _ => next.run(request).await,
    }
}

#[derive(Deserialize)]
struct Fail {
    rate: f64,
}

/// From now on, this part of the sessions' requests fails.
async fn fail(State(app): State<App>, Query(Fail { rate }): Query<Fail>) -> Response {
    if !(0.0..=1.0).contains(&rate) {
        return (StatusCode::BAD_REQUEST, "`rate` is not between 0 and 1").into_response();
    }
    app.error_rate.store(rate.to_bits(), Ordering::Relaxed);
    format!("{rate} of the requests fail").into_response()
}

async fn count(State(app): State<App>, headers: HeaderMap) -> Response {
    match app.request(&headers) {
        Ok((_in_use, session)) => app.answer(session),
        Err(refusal) => refusal,
    }
}

#[derive(Deserialize)]
struct Slow {
    #[serde(default)]
    ms: u64,
}

async fn slow(State(app): State<App>, Query(slow): Query<Slow>, headers: HeaderMap) -> Response {
    match app.request(&headers) {
        Ok((_in_use, session)) => {
            wait(Duration::from_millis(slow.ms)).await;
            app.answer(session)
        }
        Err(refusal) => refusal,
    }
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn login(State(app): State<App>, Query(login): Query<Login>, headers: HeaderMap) -> Response {
    match app.request(&headers) {
        Ok((_in_use, mut session)) => {
            app.sessions.login(&session.session, login.user.clone());
            session.user = Some(login.user);
            app.answer(session)
        }
        Err(refusal) => refusal,
    }
}

async fn logout(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Some(id) = session_of(&headers) {
        app.sessions.end(id);
    }
    ([(header::SET_COOKIE, format!("{COOKIE}=; Path=/; Max-Age=0"))], "ended").into_response()
}

async fn health(State(app): State<App>) -> Response {
    match app.starting() {
        None => "ok".into_response(),
        Some(refusal) => refusal,
    }
}

async fn stats(State(app): State<App>) -> Response {
    Json(serde_json::json!({
        "sessions": app.sessions.live(now()),
        "version": app.version,
        "instance": app.instance,
    }))
    .into_response()
}

async fn call(State(app): State<App>) -> Response {
    match others::call(&app.calls).await {
        Ok(calls) => Json(serde_json::json!({ "version": app.version, "instance": app.instance, "calls": calls }))
            .into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error).into_response(),
    }
}

#[derive(Deserialize)]
struct Row {
    row: String,
}

async fn rows(State(app): State<App>) -> Response {
    app.rows("GET", None).await
}

async fn add_row(State(app): State<App>, Query(Row { row }): Query<Row>) -> Response {
    app.rows("POST", Some(&row)).await
}

async fn socket(State(app): State<App>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    match app.request(&headers) {
        Ok((in_use, session)) => {
            let cookie = cookie(&session.session);
            let mut response = upgrade.on_upgrade(move |socket| echo(app, in_use, session, socket));
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        Err(refusal) => refusal,
    }
}

/// Greets, then echoes until the client or the session ends. The session is in use all the while.
async fn echo(app: App, _in_use: Use, session: Snapshot, mut socket: WebSocket) {
    let id = session.session.clone();
    if socket.send(app.text(session, None)).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let Some(session) = app.sessions.get(&id) else {
            // The session has ended: close in an orderly way.
            let _ = socket.send(Message::Close(None)).await;
            return;
        };
        if socket.send(app.text(session, Some(&text))).await.is_err() {
            return;
        }
    }
}

impl App {
    fn starting(&self) -> Option<Response> {
        (now() < self.ready_at).then(|| (StatusCode::SERVICE_UNAVAILABLE, "starting").into_response())
    }

    /// Counts a request, unless the application is still starting or this request is one of those that fail.
    #[allow(clippy::result_large_err, reason = "a refusal is as rare as it is large")]
    fn request(&self, headers: &HeaderMap) -> Result<(Use, Snapshot), Response> {
        if let Some(refusal) = self.starting() {
            return Err(refusal);
        }
        let error_rate = f64::from_bits(self.error_rate.load(Ordering::Relaxed));
        if error_rate > 0.0 && rand::random::<f64>() < error_rate {
            return Err((StatusCode::INTERNAL_SERVER_ERROR, "this one fails, as it was told to").into_response());
        }
        Ok(self.sessions.request(session_of(headers), now()))
    }

    /// The rows of its database, after one was added to them.
    async fn rows(&self, method: &str, add: Option<&str>) -> Response {
        let path = add.map_or_else(|| "/rows".to_owned(), |row| format!("/rows?row={row}"));
        let rows = match &self.store {
            Some(store) => match others::ask(method, store, &path).await {
                Ok(answer) => answer["rows"].clone(),
                Err(error) => return (StatusCode::BAD_GATEWAY, error).into_response(),
            },
            None => match add.map_or(Ok(()), |row| self.rows.add(row)).and_then(|()| self.rows.all()) {
                Ok(rows) => serde_json::json!(rows),
                Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
            },
        };
        Json(serde_json::json!({ "rows": rows, "version": self.version })).into_response()
    }

    fn answer(&self, session: Snapshot) -> Response {
        let cookie = cookie(&session.session);
        let answer = Answer { session, version: &self.version, instance: &self.instance, echo: None };
        ([(header::SET_COOKIE, cookie)], Json(answer)).into_response()
    }

    fn text(&self, session: Snapshot, echo: Option<&str>) -> Message {
        let answer = Answer { session, version: &self.version, instance: &self.instance, echo };
        Message::text(serde_json::to_string(&answer).unwrap_or_default())
    }
}

fn cookie(session: &str) -> header::HeaderValue {
    header::HeaderValue::try_from(format!("{COOKIE}={session}; Path=/; HttpOnly"))
        .unwrap_or_else(|_| header::HeaderValue::from_static(""))
}

fn session_of(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// Takes that long on purpose: it is the work of a slow request.
async fn wait(duration: Duration) {
    let _ = tokio::time::timeout(duration, std::future::pending::<()>()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; b=2".parse().unwrap());
        assert_eq!(session_of(&headers), None);
        headers.append(header::COOKIE, "haddock=x; DEMOSESSION=00ff; c=3".parse().unwrap());
        assert_eq!(session_of(&headers), Some("00ff"));
    }
}
