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

/// One side of a connection. Add the fields that you need.
#[derive(Debug, Default)]
pub struct Closing {}

impl Closing {
    /// The application closes. Returns the payload of the Close frame: two bytes of code, and
    /// the reason. `None`: a Close was sent before, and must not be sent again.
    pub fn close(&mut self, code: u16, reason: &str) -> Option<Vec<u8>> {
        let _ = (code, reason);
        unimplemented!("exercise 4")
    }

    /// A Close has arrived. Our answer has its code and no reason, or no payload if it had
    /// none. 1002: one byte, or a code that must not be sent. 1007: a reason that is not UTF-8.
    ///
    /// Codes that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999.
    pub fn received(&mut self, payload: &[u8]) -> Answer {
        let _ = payload;
        unimplemented!("exercise 4")
    }

    /// TCP has ended. The code for the application: that of the Close that was received;
    /// 1005 if it had none; 1006 if there was no Close.
    pub fn code(&self) -> u16 {
        unimplemented!("exercise 4")
    }
}
