//! Compresses messages within a window: a copy of the last occurrence of the next three bytes,
//! or a literal. Good enough for data that the peer can compress well, too.

use super::{Blocks, Token, WINDOW_BYTES_MAX};

/// The messages of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Compressor {
    window_bytes: usize,
    takes_over: bool,
    /// The end of earlier messages; at most the window.
    history: Vec<u8>,
}

impl Compressor {
    /// A window of so many bits, and whether a message may refer to the ones before it.
    pub(crate) fn new(window_bits: u8, takes_over: bool) -> Compressor {
        Compressor {
            window_bytes: 1 << window_bits.min(15),
            takes_over,
            history: Vec::new(),
        }
    }

    /// The payload of the compressed message.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        let history = std::mem::take(&mut self.history);
        let all = [history.as_slice(), payload].concat();
        let tokens = tokens(&all, history.len(), self.window_bytes);
        if self.takes_over {
            self.history = all[all.len().saturating_sub(self.window_bytes)..].to_vec();
        }
        match tokens.len() {
            0 => Blocks::new().message(),
            1..=FIXED_TOKENS_MAX => Blocks::new().fixed(false, &tokens).message(),
            _ => Blocks::new().dynamic(false, &tokens).message(),
        }
    }
}

/// The tokens of `bytes` from `start` on.
fn tokens(bytes: &[u8], start: usize, window_bytes: usize) -> Vec<Token> {
    let mut last = vec![usize::MAX; HASHES];
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let seen = note(bytes, at, &mut last);
        if at < start {
            at += 1;
            continue;
        }
        let length = seen.map_or(0, |from| match at - from {
            distance if distance > window_bytes => 0,
            _ => common(&bytes[from..], &bytes[at..]),
        });
        let distance = at - seen.unwrap_or(at);
        if length < 3 {
            tokens.push(Token::Literal(bytes[at]));
            at += 1;
            continue;
        }
        tokens.push(Token::Copy {
            length: length as u16,
            distance: distance as u16,
        });
        for passed in at + 1..at + length {
            note(bytes, passed, &mut last);
        }
        at += length;
    }
    tokens
}

/// Notes the three bytes here, and returns where they were last.
fn note(bytes: &[u8], at: usize, last: &mut [usize]) -> Option<usize> {
    let three = bytes.get(at..at + 3)?;
    let hash = three
        .iter()
        .fold(0, |hash: usize, &byte| hash * 37 + usize::from(byte))
        % HASHES;
    let seen = std::mem::replace(&mut last[hash], at);
    (seen != usize::MAX && at - seen <= WINDOW_BYTES_MAX).then_some(seen)
}

fn common(left: &[u8], right: &[u8]) -> usize {
    let pairs = left.iter().zip(right).take(258);
    pairs.take_while(|(left, right)| left == right).count()
}

const HASHES: usize = 1 << 15;
/// A longer block has codes of its own.
const FIXED_TOKENS_MAX: usize = 300;
