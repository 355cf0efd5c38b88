//! A session as a channel of the event loop.

use super::session::{Session, State};
use crate::reactor::{Channel, ChannelInput, ChannelState};
use std::io::{self, ErrorKind};

impl Channel for Session {
    fn receive(
        &mut self,
        input: &mut [u8],
        opened: &mut dyn FnMut(&[u8]),
        output: &mut Vec<u8>,
    ) -> ChannelInput {
        let received = Session::receive(self, input, opened, output);
        ChannelInput {
            consumed_bytes: received.consumed_bytes,
            state: match received.state {
                State::Open => ChannelState::Open,
                State::PeerClosed => ChannelState::Ended,
                State::PlainHttp => ChannelState::NotSecured,
                State::Failed(error) => {
                    ChannelState::Failed(io::Error::new(ErrorKind::InvalidData, error))
                }
            },
        }
    }

    fn seal(&mut self, input: &mut [u8], bytes: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        let sealed = Session::seal(self, input, bytes, output);
        sealed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    fn close(&mut self, input: &mut [u8], output: &mut Vec<u8>) {
        Session::close(self, input, output);
    }

    #[inline]
    fn is_established(&self) -> bool {
        Session::is_established(self)
    }
}
