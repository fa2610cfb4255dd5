//! What the environment variables say.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How the application behaves; see the crate's page for the variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The address to listen on.
    pub address: IpAddr,
    /// The TCP port to listen on; 0 takes a free one.
    pub port: u16,
    /// The version that the answers name.
    pub version: String,
    /// The instance that the answers name.
    pub instance: String,
    /// How long every path answers 503 after the start.
    pub start_delay: Duration,
    /// Part of the sessions' requests that is answered 500, from 0 to 1.
    pub error_rate: f64,
    /// Ends at once with this exit code.
    pub exit_at_start: Option<u8>,
    /// How long a session may be idle.
    pub session_idle: Duration,
    /// Whom to ask for `/call`, as `host:port`.
    pub calls: Vec<String>,
    /// Whom to ask for rows, as `host:port`; `None`: they are its own.
    pub store: Option<String>,
    /// The file of its own rows.
    pub rows: PathBuf,
    /// The only host that it answers.
    pub only_host: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: 8080,
            version: "dev".into(),
            instance: format!("{:08x}", rand::random::<u32>()),
            start_delay: Duration::ZERO,
            error_rate: 0.0,
            exit_at_start: None,
            session_idle: Duration::from_secs(1800),
            calls: Vec::new(),
            store: None,
            rows: PathBuf::from("/rows"),
            only_host: None,
        }
    }
}

impl Config {
    /// Reads the variables through `get`. One that is empty counts as not there.
    ///
    /// # Errors
    /// With a message that names the variable that cannot be read.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let mut config = Self::default();
        read(&get, "ADDRESS", &mut config.address)?;
        read(&get, "PORT", &mut config.port)?;
        read(&get, "VERSION", &mut config.version)?;
        read(&get, "INSTANCE", &mut config.instance)?;
        let mut delay = 0_u64;
        read(&get, "START_DELAY_MS", &mut delay)?;
        config.start_delay = Duration::from_millis(delay);
        read(&get, "ERROR_RATE", &mut config.error_rate)?;
        if !(0.0..=1.0).contains(&config.error_rate) {
            return Err("`ERROR_RATE` is not between 0 and 1".into());
        }
        let mut code = 0_u8;
        if get("EXIT_AT_START").is_some() {
            read(&get, "EXIT_AT_START", &mut code)?;
            config.exit_at_start = Some(code);
        }
        let mut idle = config.session_idle.as_secs_f64();
        read(&get, "SESSION_IDLE_SECONDS", &mut idle)?;
        config.session_idle = Duration::try_from_secs_f64(idle)
            .ok()
            .filter(|idle| !idle.is_zero())
            .ok_or("`SESSION_IDLE_SECONDS` is not a number of seconds above 0")?;
        config.calls = get("CALLS").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        config.store = get("STORE");
        read(&get, "ROWS", &mut config.rows)?;
        config.only_host = get("ONLY_HOST");
        Ok(config)
    }
}

fn read<T: FromStr>(get: &impl Fn(&str) -> Option<String>, name: &str, into: &mut T) -> Result<(), String> {
    if let Some(value) = get(name) {
        *into = value.parse().map_err(|_| format!("`{name}` cannot be read"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(values: &[(&str, &str)]) -> Result<Config, String> {
        Config::from_env(|name| values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
    }

    #[test]
    fn variables_are_read() {
        let config = read_from(&[
            ("PORT", "9000"),
            ("VERSION", "v7"),
            ("START_DELAY_MS", "250"),
            ("ERROR_RATE", "0.25"),
            ("EXIT_AT_START", "3"),
            ("SESSION_IDLE_SECONDS", "1.5"),
            ("INSTANCE", ""),
        ])
        .unwrap();
        assert_eq!((config.port, config.version.as_str()), (9000, "v7"));
        assert_eq!(config.start_delay, Duration::from_millis(250));
        assert_eq!((config.error_rate, config.exit_at_start), (0.25, Some(3)));
        assert_eq!(config.session_idle, Duration::from_millis(1500));
        assert_eq!(config.instance.len(), 8, "an empty variable counts as not there");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (name, value) in
            [("PORT", "70000"), ("ERROR_RATE", "2"), ("SESSION_IDLE_SECONDS", "-1"), ("EXIT_AT_START", "x")]
        {
            let message = read_from(&[(name, value)]).unwrap_err();
            assert!(message.contains(name), "{message}");
        }
    }
}
