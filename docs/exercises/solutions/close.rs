//! Exercise 4: the closing handshake (RFC 6455 §5.5.1, §7).

/// What to do with a Close frame that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send a Close with this payload, and then end TCP.
    Close(Vec<u8>),
    /// It answers our own Close: end TCP, and send nothing.
    Nothing,
    /// A rule is broken: send a Close with this code, and then end TCP.
    Fail(u16),
}

/// One side of a connection.
#[derive(Debug, Default)]
pub struct Closing {
    sent: bool,
    /// The code of the first Close that was received, if there was one.
    received: Option<u16>,
}

impl Closing {
    /// The application closes. `None`: a Close was sent before.
    pub fn close(&mut self, code: u16, reason: &str) -> Option<Vec<u8>> {
        if self.sent {
            return None;
        }
        self.sent = true;
        Some([&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// A Close has arrived.
    pub fn received(&mut self, payload: &[u8]) -> Answer {
        let code = match payload {
            [] => None,
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    return self.fail(1002);
                }
                if std::str::from_utf8(reason).is_err() {
                    return self.fail(1007);
                }
                Some(code)
            }
            [_] => return self.fail(1002),
        };
        self.received.get_or_insert(code.unwrap_or(1005));
        match std::mem::replace(&mut self.sent, true) {
            true => Answer::Nothing,
            false => Answer::Close(code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec())),
        }
    }

    fn fail(&mut self, code: u16) -> Answer {
        match std::mem::replace(&mut self.sent, true) {
            true => Answer::Nothing,
            false => Answer::Fail(code),
        }
    }

    /// The code for the application.
    pub fn code(&self) -> u16 {
        self.received.unwrap_or(1006)
    }
}
