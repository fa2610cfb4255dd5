//! What the application asks of others, and the rows that it keeps.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long another may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The rows of a database in a file: one a line, each on disk before the answer.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    path: PathBuf,
    turn: Arc<Mutex<()>>,
}

impl Rows {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, turn: Arc::default() }
    }

    pub(crate) fn add(&self, row: &str) -> std::io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path)?;
        writeln!(file, "{row}")?;
        file.sync_data()
    }

    pub(crate) fn all(&self) -> std::io::Result<Vec<String>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// Asks each of these, `host:port`, for `/call`; by its host, what it answers.
pub(crate) async fn call(others: &[String]) -> Result<Map<String, Value>, String> {
    let mut answers = Map::new();
    for other in others {
        let host = other.split(':').next().unwrap_or(other);
        answers.insert(host.to_owned(), ask("GET", other, "/call").await?);
    }
    Ok(answers)
}

/// Asks another for a path, and reads its JSON.
pub(crate) async fn ask(method: &str, other: &str, path: &str) -> Result<Value, String> {
    let asked = async {
        let mut stream = TcpStream::connect(other).await?;
        let request = format!("{method} {path} HTTP/1.0\r\nHost: {other}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(format!("`{other}` cannot be asked: {error}")),
        Err(_) => return Err(format!("`{other}` does not answer")),
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.lines().next().is_some_and(|status| status.contains(" 200 ")) {
        return Err(format!("`{other}` answered `{}`", head.lines().next().unwrap_or_default()));
    }
    Ok(serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
}
