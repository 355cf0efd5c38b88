//! The arguments of `trace`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{SHOWN_BYTES, SHOWN_BYTES_MAX, bytes, seconds};
use crate::tls::TrustSettings;

/// A connection to be shown.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_help = NOTES)]
pub(crate) struct TraceArguments {
    /// The server: ws://HOST[:PORT]/PATH, or wss://
    #[arg(conflicts_with = "replay")]
    pub url: Option<String>,
    /// Send this text when the connection is open; may be repeated
    #[arg(long = "send", value_name = "TEXT")]
    pub messages: Vec<String>,
    /// Close after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Bytes of each payload that are shown [default: 64]
    #[arg(long = "bytes", value_name = "BYTES", value_parser = bytes)]
    pub shown_bytes: Option<usize>,
    /// Also record the connection to this file
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Show a recorded connection instead of a new one
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Header field of the request, NAME:VALUE; may be repeated
    #[arg(long = "header", alias = "field", value_name = "NAME:VALUE", value_parser = field, help_heading = "Request")]
    pub fields: Vec<(String, String)>,
    /// Origin of the request, as a browser sends it
    #[arg(long, value_name = "ORIGIN", help_heading = "Request")]
    pub origin: Option<String>,
    /// Subprotocol to offer; may be repeated
    #[arg(long = "subprotocol", value_name = "NAME", help_heading = "Request")]
    pub subprotocols: Vec<String>,
    /// Offer compression (permessage-deflate)
    #[arg(long, help_heading = "Request")]
    pub compress: bool,
    #[command(flatten)]
    pub trust: TrustSettings,
}

impl TraceArguments {
    /// How much of a payload is shown.
    pub(crate) fn bytes(&self) -> usize {
        self.shown_bytes.unwrap_or(SHOWN_BYTES).min(SHOWN_BYTES_MAX)
    }
}

/// A header field: its name and its value.
pub(super) fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME:VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || text.contains(char::is_control) {
        return Err("expected NAME:VALUE in one line".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

const NOTES: &str = "\
The handshake and each frame are shown in words beside their bytes, in both directions, until the \
server closes or Ctrl-C does; of wss what is inside TLS. The payload of a masked frame is shown unmasked, and that of a \
compressed message also inflated. Credentials, \
cookies and the values of the query are hidden, on the screen and in a recording; the payload of \
frames is not.

Examples:
  yamabiko trace ws://127.0.0.1:8080/broadcast/x --send hello --seconds 1
  yamabiko trace ws://127.0.0.1:9001/ --record echo.jsonl
  yamabiko trace --replay echo.jsonl
  yamabiko trace wss://example.org/socket --header 'Authorization: Bearer TOKEN'

'yamabiko serve --trace' shows the connections of a running server in the same way.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::tests::parse_line;
    use crate::arguments::{Command, Stop};

    #[test]
    fn recording_is_replayed_without_a_url() {
        let Ok(Command::Trace(arguments)) = parse_line("trace --replay x.jsonl --bytes 1KiB")
        else {
            panic!("a command");
        };
        assert_eq!((arguments.url.as_deref(), arguments.bytes()), (None, 1024));
        let both = parse_line("trace ws://a/ --replay x.jsonl");
        assert!(matches!(both, Err(Stop::Usage(_))), "{both:?}");
    }

    #[test]
    fn field_has_a_name_and_a_value() {
        assert_eq!(field("A: b:c"), Ok(("A".to_owned(), "b:c".to_owned())));
        for wrong in ["A", ": b", "A: b\r\nC: d", "A: b\0"] {
            assert!(field(wrong).is_err(), "{wrong:?}");
        }
    }
}
