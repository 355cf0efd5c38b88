//! How a connection has ended, and what follows: the user is told, or another connection is opened.

use yamabiko::client::{ClientError, Ended, Step};

use super::errors::explain;

/// What follows the end of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The user left, or the server ended the connection normally.
    Done,
    /// An error that another attempt would meet again.
    Failed(String),
    /// An error that another attempt may not meet.
    Lost(String),
}

/// `waits`: a temporary condition is worth waiting for.
pub(super) fn outcome(
    end: Result<Option<Ended>, ClientError>,
    leaving: bool,
    waits: bool,
) -> Outcome {
    match end {
        // No Close: the user left before the connection was used.
        Ok(None) if leaving => Outcome::Done,
        Ok(ended) => {
            let code = ended.map_or(1006, |ended| ended.code());
            closed_by_server(code, leaving, waits)
        }
        Err(ClientError::TimedOut(Step::Read)) => not_joined(leaving, waits),
        Err(error) if leaving => Outcome::Failed(explain(&error)),
        Err(ClientError::Lost(cause)) => Outcome::Lost(explain(&ClientError::Lost(cause))),
        Err(error) => Outcome::Failed(explain(&error)),
    }
}

/// The deadline of joining has passed. A program that sends gets the error at once, as for a close code
/// that says that the server cannot serve now.
fn not_joined(leaving: bool, waits: bool) -> Outcome {
    let why = "the server does not answer the request to join".to_owned();
    match waits && !leaving {
        true => Outcome::Lost(why),
        false => Outcome::Failed(why),
    }
}

/// Decides by the server's close code whether to connect again. For a person, and for a program that only listens, a temporary
/// condition is worth waiting; a program that sends gets the error at once, because a message that it sent may be lost.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# As the data is not guaranteed to be human readable, clients MUST NOT show it to end users.
fn closed_by_server(code: u16, leaving: bool, waits: bool) -> Outcome {
    let why = format!(
        "the server closed the connection: {} ({code})",
        meaning(code)
    );
    match code {
        1000 | 1005 => Outcome::Done,
        1001 if leaving => Outcome::Done,
        1001 => Outcome::Lost(why),
        // 1008: also of a server that has had no sign of life, because the network or this machine was away.
        1008 | 1011..=1013 if waits && !leaving => Outcome::Lost(why),
        _ => Outcome::Failed(why),
    }
}

/// The meaning of a close code (§7.4.1 and the registry of §11.7), for the user.
fn meaning(code: u16) -> &'static str {
    match code {
        1001 => "it is going away",
        1002 => "this client broke the protocol",
        1003 => "it does not take this type of data",
        1006 => "it sent no close code",
        1007 => "a message did not match its type",
        1008 => "no sign of life came from here, or something is against its rules",
        1009 => "a message was too long for it",
        1010 => "it requires an extension",
        1011 => "it has an internal error",
        1012 => "it is restarting",
        1013 => "it is overloaded, or this client reads too slowly",
        1014 => "a server behind it sent an invalid response",
        3000 => "this client is not authorized",
        4003 => "a moderator has removed you from the room",
        3003 => "this client is forbidden",
        3008 => "this client took too long",
        _ => "its own code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yamabiko::websocket::CloseFrame;
    use yamabiko::websocket::frame::CloseCode;

    fn ended(code: u16) -> Result<Option<Ended>, ClientError> {
        let code_of_close = CloseCode::new(code);
        let close = code_of_close.map(|code| CloseFrame::new(code, "text of the server"));
        let mut ended = Ended::default();
        // A Close without a code is 1005. The other codes that no Close can have stand for none.
        ended.received = match code {
            1005 => Some(CloseFrame::EMPTY),
            _ => close,
        };
        Ok(Some(ended))
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    //= type=test
    //# As the data is not guaranteed to be human readable, clients MUST NOT show it to end users.
    #[test]
    fn close_is_reported_by_its_code_and_not_by_its_reason() {
        let told = |code| outcome(ended(code), false, true);
        assert_eq!(told(1000), Outcome::Done);
        let again = "the server closed the connection: it is restarting (1012)";
        assert_eq!(told(1012), Outcome::Lost(again.to_owned()));
        let never = "the server closed the connection: its own code (4321)";
        assert_eq!(told(4321), Outcome::Failed(never.to_owned()));
    }

    #[test]
    fn every_close_code_except_1000_1001_and_1005_is_a_failure_for_a_program() {
        for code in (1000..=1015).chain([3000, 3003, 3008, 3999, 4000, 4999]) {
            let fails = |leaving, person| {
                matches!(outcome(ended(code), leaving, person), Outcome::Failed(_))
            };
            let is_failure = !matches!(code, 1000 | 1001 | 1005);
            assert_eq!(fails(false, false), is_failure, "{code}");
            assert_eq!(fails(true, false), is_failure, "{code}");
            assert_eq!(fails(true, true), is_failure, "{code}");
            let passes = matches!(code, 1008 | 1011..=1013);
            assert_eq!(fails(false, true), is_failure && !passes, "{code}");
        }
        assert_eq!(outcome(ended(1001), true, false), Outcome::Done);
        assert!(matches!(
            outcome(ended(1001), false, false),
            Outcome::Lost(_)
        ));
    }

    #[test]
    fn lost_connection_is_tried_again_and_a_protocol_error_is_not() {
        let lost = outcome(Err(ClientError::Lost(None)), false, false);
        assert!(matches!(lost, Outcome::Lost(_)));
        let rule = yamabiko::websocket::ProtocolError::TextNotUtf8;
        let failed = outcome(Err(ClientError::Protocol(rule)), false, false);
        assert!(matches!(failed, Outcome::Failed(_)));
        assert_eq!(outcome(Ok(None), true, false), Outcome::Done);
    }
}
