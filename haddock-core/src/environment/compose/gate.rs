//! `gate`: what a stage of the ramp waits for at its end.

use super::hooks::read_command;
use super::keys;
use super::reader::{Cursor, Reader};
use super::settings_values::more_than_zero;
use super::tree::Value;
use crate::environment::{Asks, GateSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::settings::StageGate;

const ONE_OF_BOTH: &str = "write `{ command: [./smoke-test] }`, or `{ call: smoke }` for a function of the program";

/// `hold`, or `{ command or call, every, within }`.
pub(super) fn read<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<(StageGate, Option<GateSpec>)> {
    if !matches!(cursor.node.value, Value::Map(_)) {
        reader.value(cursor, hold)?;
        return Some((StageGate::Hold, None));
    }
    let errors = reader.error_count();
    let (mut command, mut call) = (None, None);
    let (mut every, mut within) = (GateSpec::DEFAULT_EVERY, GateSpec::DEFAULT_WITHIN);
    for entry in reader.known_entries(cursor, &keys::GATE)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "command" => command = Some(read_command(reader, at)),
            "call" => call = reader.value(at, name),
            "every" => every = reader.value(at, more_than_zero).unwrap_or(every),
            "within" => within = reader.value(at, more_than_zero).unwrap_or(within),
            other => keys::unread(other),
        }
    }
    if reader.error_count() > errors {
        return None;
    }
    let asks = match (command, call) {
        (Some(words), None) if !words.is_empty() => Asks::Command(words),
        (None, Some(name)) => Asks::Call(name),
        (Some(_), Some(_)) => {
            reader.wrong(cursor, "a gate has either a `command` or a `call`, not both", ONE_OF_BOTH);
            return None;
        }
        _ => {
            reader.wrong(cursor, "the gate does not say what is asked", ONE_OF_BOTH);
            return None;
        }
    };
    Some((StageGate::Asked { every }, Some(GateSpec { asks, within })))
}

fn hold(text: &str) -> Result<()> {
    match text {
        "hold" => Ok(()),
        _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a value of `gate`")).with_hint(
            "write `hold`: the stage lasts until somebody says `haddock advance`; or `{ command: [./smoke-test] }`",
        )),
    }
}

/// The name of a function: what it is called in a program, or in words.
fn name(text: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || !text.chars().all(plain) {
        let error = Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a name that a function can be given"));
        return Err(error.with_hint("write letters, digits, `_`, `-` and `.` alone, such as `smoke`"));
    }
    Ok(text.to_owned())
}
