//! The header of the PROXY protocol in front of a connection's first request, as it comes.

use crate::proxy::{InvalidHeader, ProxyHeader};

/// What has come of a header.
#[derive(Debug, Default)]
pub(super) struct Preface {
    /// Fewer than [`ProxyHeader::BYTES_MAX`]; nothing where the header comes in one read.
    bytes: Vec<u8>,
}

impl Preface {
    /// Takes bytes of the header off the input. `None`: more are needed, and all are taken.
    ///
    /// # Errors
    /// They are of no header.
    pub(super) fn receive(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<ProxyHeader>, InvalidHeader> {
        let before = self.bytes.len();
        let parsed = match before {
            0 => ProxyHeader::parse(input)?,
            _ => {
                let taken = input.len().min(ProxyHeader::BYTES_MAX - before);
                self.bytes.extend_from_slice(&input[..taken]);
                ProxyHeader::parse(&self.bytes)?
            }
        };
        match parsed {
            Some((header, header_bytes)) => {
                *input = &input[header_bytes - before..];
                self.bytes = Vec::new();
                Ok(Some(header))
            }
            None => {
                if before == 0 {
                    self.bytes.extend_from_slice(input);
                }
                *input = &[];
                Ok(None)
            }
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_read_however_it_is_cut_and_what_follows_it_is_left() {
        let header = b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\n";
        let bytes = [&header[..], b"GET / HTTP/1.1"].concat();
        for cut in 0..bytes.len() {
            let mut preface = Preface::default();
            let (first, second) = bytes.split_at(cut);
            let mut found = None;
            let mut left = Vec::new();
            for mut input in [first, second] {
                if found.is_none() {
                    found = preface.receive(&mut input).expect("a header");
                }
                left.extend_from_slice(input);
            }
            let source = found.expect("it is whole").source;
            assert_eq!(source, Some("198.51.100.7:4711".parse().unwrap()), "{cut}");
            assert_eq!(left, b"GET / HTTP/1.1", "{cut}");
            assert_eq!(preface.held_bytes(), 0);
        }
    }

    #[test]
    fn unfinished_header_holds_less_than_its_maximum() {
        let mut preface = Preface::default();
        let mut longest = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\x00".to_vec();
        longest.resize(ProxyHeader::BYTES_MAX - 1, 0);
        for piece in longest.chunks(100) {
            let mut input = piece;
            assert_eq!(preface.receive(&mut input), Ok(None));
            assert!(input.is_empty());
        }
        assert_eq!(preface.bytes.len(), ProxyHeader::BYTES_MAX - 1);
    }
}
