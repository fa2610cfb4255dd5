//! What the containers of the tests run. It uses nothing but the standard library, so that `rustc` alone makes the
//! static binary for an image from scratch.
//!
//! ```text
//! fixture serve …          answers every request with the value of GREETING; ends with 0 on SIGTERM
//! fixture stubborn         the same, and ignores SIGTERM
//! fixture exit CODE        prints five lines and ends
//! fixture call ALIAS PORT  asks a linked component, prints what it answered, and ends
//! fixture copy             copies its input to its output, writes `done` to its standard error, and ends with 7
//! fixture check CODE       prints a word about its health and ends
//! ```

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

const SIGTERM: i32 = 15;
const SIG_IGN: usize = 1;

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
}

extern "C" fn end(_signal: i32) {
    // SAFETY: `_exit` is async-signal-safe (signal-safety(7)).
    unsafe { _exit(0) }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", ..] => serve(end as extern "C" fn(i32) as usize),
        ["stubborn"] => serve(SIG_IGN),
        ["exit", code] => {
            say(&(1..=5).map(|line| format!("line {line}\n")).collect::<String>());
            number(code)
        }
        ["copy"] => {
            std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).expect("it can be copied");
            std::io::stdout().flush().expect("standard output takes it");
            std::io::stderr().write_all(b"done").expect("standard error takes it");
            ExitCode::from(7)
        }
        ["check", code] => {
            say(&format!("the check ended with {code}\n"));
            number(code)
        }
        ["call", alias, port] => call(alias, port),
        _ => ExitCode::from(64),
    }
}

fn say(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).expect("standard output takes it");
}

fn number(code: &str) -> ExitCode {
    ExitCode::from(code.parse::<u8>().expect("a code"))
}

fn serve(on_term: usize) -> ExitCode {
    // SAFETY: the handler is `SIG_IGN` or `end`, which does only what is async-signal-safe.
    unsafe { signal(SIGTERM, on_term) };
    // A process is told its loopback port; a container has its own addresses.
    let address = match std::env::var("PORT") {
        Ok(port) => format!("127.0.0.1:{port}"),
        Err(_) => "0.0.0.0:8080".to_owned(),
    };
    let listener = TcpListener::bind(&address).expect("the port is free");
    say("serving\n");
    let greeting = std::env::var("GREETING").unwrap_or_default();
    for stream in listener.incoming().flatten() {
        let greeting = greeting.clone();
        std::thread::spawn(move || answer(stream, &greeting));
    }
    ExitCode::FAILURE
}

fn answer(mut stream: TcpStream, greeting: &str) {
    let mut request = [0; 4096];
    if stream.read(&mut request).is_ok_and(|read| read > 0) {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", greeting.len());
        let _ = stream.write_all(format!("{head}{greeting}").as_bytes());
    }
}

fn call(alias: &str, port: &str) -> ExitCode {
    let variable = format!("{}_ADDRESS_{port}", alias.to_uppercase());
    let address = std::env::var(variable).unwrap_or_else(|_| format!("{alias}:{port}"));
    let asked = TcpStream::connect(&address).and_then(|mut stream| {
        stream.write_all(format!("GET / HTTP/1.1\r\nhost: {alias}\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    match asked {
        Ok(answer) => {
            say(&format!("{}\n", answer.rsplit("\r\n").next().unwrap_or_default()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("{address}: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
