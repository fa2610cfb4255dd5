//! Asking the programs of the suite.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::*;

/// Time enough for a program that ends when it is asked to.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// If programs are real, waits until this one serves. From then on it handles signals as it should.
pub(super) async fn serves(bench: &Bench<'_>, container: &Container) {
    if bench.harness.connects() {
        get(bench, container.addresses[&PORT]).await;
    }
}

/// The body that the program answers with, as soon as it listens.
pub(super) async fn get(bench: &Bench<'_>, address: SocketAddr) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: suite\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let mut last = String::new();
    for _ in 0..LOOKS {
        match ask() {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200") => {
                return answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
            }
            Ok(answer) => last = answer,
            Err(error) => last = error.to_string(),
        }
        bench.harness.pause().await;
    }
    panic!("`GET /` at {address} was not answered with status 200; the last answer was: {last}")
}
