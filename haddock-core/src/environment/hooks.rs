//! The commands that run within an instance during a release, and who is notified.

use std::fmt;
use std::time::Duration;

use crate::container::Sensitive;
use crate::name::ComponentName;

/// A command that runs within an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    /// The component in whose container it runs. `None`: the one that takes the traffic.
    pub component: Option<ComponentName>,
    /// The program and its arguments.
    pub command: Vec<Sensitive>,
    /// How long it may take.
    pub within: Duration,
}

impl HookCommand {
    /// How long it may take by default.
    pub const DEFAULT_WITHIN: Duration = Duration::from_secs(30);
}

/// Who is told about releases. Neither `Debug` nor `Display` shows secrets.
///
/// ```
/// use haddock_core::environment::Receiver;
///
/// let receiver = Receiver::new("https://chat.example.com/hooks/t0ken");
/// assert!(matches!(receiver, Receiver::Url(_)));
/// assert_eq!(receiver.to_string(), "`https://chat.example.com/…`");
/// assert!(matches!(Receiver::new("logger -t release"), Receiver::Command(_)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Receiver {
    /// Gets a POST request with JSON.
    Url(Sensitive),
    /// Gets the same JSON on its standard input. A shell on the controller's machine runs it.
    Command(Sensitive),
}

impl Receiver {
    /// Reads the text of the file: a URL, or else a command.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let is_url = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
        if is_url { Self::Url(Sensitive::new(text)) } else { Self::Command(Sensitive::new(text)) }
    }

    /// The text as it stands in the file.
    #[must_use]
    pub fn text(&self) -> &Sensitive {
        let (Self::Url(text) | Self::Command(text)) = self;
        text
    }
}

impl fmt::Display for Receiver {
    /// Shows only the host, or the program. The rest may hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => {
                let (scheme, rest) = url.expose().split_once("://").unwrap_or_default();
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let host = authority.rsplit('@').next().unwrap_or_default();
                write!(f, "`{scheme}://{host}/…`")
            }
            Self::Command(command) => {
                let mut words = command.expose().split_whitespace().filter(|word| !word.contains('='));
                write!(f, "the command `{} …`", words.next().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_do_not_show_their_tokens() {
        for (text, shown) in [
            ("https://me:pw@hooks.example.com/T00/secret?token=s", "`https://hooks.example.com/…`"),
            ("http://127.0.0.1:9000", "`http://127.0.0.1:9000/…`"),
            ("TOKEN=secret /usr/bin/tell --token secret", "the command `/usr/bin/tell …`"),
        ] {
            let receiver = Receiver::new(text);
            assert_eq!(receiver.to_string(), shown);
            assert!(!format!("{receiver:?}").contains("secret"));
            assert_eq!(receiver.text().expose(), text);
        }
    }
}
