//! Socket ids: the names of connections in the protocol. An authorisation is signed for one of them.

use std::fmt;
use std::str::FromStr;

use yamabiko::server::NodeId;

/// Two numbers with a dot between them. 106 bits are random, so that nobody can guess one. In a cluster the first number is that of the
/// node, and 53 bits are random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SocketId {
    first: u64,
    second: u64,
}

/// The text is not `digits.digits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidSocketId;

impl SocketId {
    /// # Errors
    /// The operating system has no random numbers.
    pub(crate) fn random(node: Option<NodeId>) -> Result<SocketId, getrandom::Error> {
        let first = match node {
            Some(node) => number_of(node),
            None => getrandom::u64()? >> UNUSED_BITS,
        };
        Ok(SocketId {
            first,
            second: getrandom::u64()? >> UNUSED_BITS,
        })
    }

    /// Whether a connection of this node may have the id.
    pub(crate) fn is_of(self, node: NodeId) -> bool {
        self.first == number_of(node)
    }
}

fn number_of(node: NodeId) -> u64 {
    node.get() >> UNUSED_BITS
}

/// 53 bits are the integers of a JavaScript number.
const UNUSED_BITS: u32 = 11;

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.first, self.second)
    }
}

/// An id of this form that no connection has is valid, also one with numbers that we never give.
impl FromStr for SocketId {
    type Err = InvalidSocketId;

    fn from_str(text: &str) -> Result<SocketId, InvalidSocketId> {
        let (first, second) = text.split_once('.').ok_or(InvalidSocketId)?;
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let has_other_form = digits.len() > 1 && digits.starts_with('0');
            match is_number {
                // No connection has such an id.
                true if has_other_form => Ok(u64::MAX),
                true => Ok(digits.parse().unwrap_or(u64::MAX)),
                false => Err(InvalidSocketId),
            }
        };
        Ok(SocketId {
            first: number(first)?,
            second: number(second)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_id_is_read_back() {
        let id = SocketId::random(None).expect("random numbers");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(SocketId::random(None), Ok(id));
    }

    #[test]
    fn id_is_two_numbers_with_a_dot() {
        for text in ["1.2", "0.0", "99999999999999999999999.1", "01.2"] {
            assert!(text.parse::<SocketId>().is_ok(), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".2",
            "1",
            "1.2.3",
            "1,2",
            "-1.2",
            "+1.2",
            " 1.2",
            "1.2\n",
            "a.b",
            "\u{661}.2",
        ] {
            assert_eq!(text.parse::<SocketId>(), Err(InvalidSocketId), "{text}");
        }
        assert_ne!("01.2".parse::<SocketId>(), "1.2".parse());
    }
}
