//! Commands as bytes, written into the buffer that is sent: an argument is copied once.
//!
//! ```text
//!   *3␍␊ $7␍␊ PUBLISH␍␊ $1␍␊ c␍␊ $2␍␊ hi␍␊       an array of texts, each with its length in front (RESP)
//! ```

/// A command that is being written. Its arguments are as many as were announced.
pub(crate) struct Command<'b> {
    bytes: &'b mut Vec<u8>,
    left: usize,
}

impl<'b> Command<'b> {
    /// Begins a command of so many arguments, its name included.
    pub(crate) fn new(bytes: &'b mut Vec<u8>, arguments: usize) -> Command<'b> {
        head(bytes, b'*', arguments);
        Command {
            bytes,
            left: arguments,
        }
    }

    pub(crate) fn arg(self, argument: impl AsRef<[u8]>) -> Command<'b> {
        let argument = argument.as_ref();
        self.arg_of(argument.len(), |bytes| bytes.extend_from_slice(argument))
    }

    /// A number in decimal digits.
    pub(crate) fn number(self, number: u64) -> Command<'b> {
        self.arg(Digits::of(number).as_bytes())
    }

    /// An argument of this length, which `write` appends.
    pub(crate) fn arg_of(mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Command<'b> {
        head(self.bytes, b'$', length);
        let before = self.bytes.len();
        write(self.bytes);
        debug_assert_eq!(self.bytes.len() - before, length);
        self.bytes.extend_from_slice(b"\r\n");
        self.left = self.left.saturating_sub(1);
        self
    }

    /// All arguments are there.
    pub(crate) fn end(self) {
        debug_assert_eq!(self.left, 0, "a command has as many arguments as it says");
    }
}

fn head(bytes: &mut Vec<u8>, kind: u8, number: usize) {
    bytes.push(kind);
    bytes.extend_from_slice(Digits::of(number as u64).as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

/// A number in decimal digits, without an allocation: each argument has one in front.
struct Digits {
    digits: [u8; DIGITS_MAX],
    /// The first digit.
    begin: usize,
}

impl Digits {
    fn of(mut number: u64) -> Digits {
        let mut digits = [b'0'; DIGITS_MAX];
        let mut begin = DIGITS_MAX;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            begin -= 1;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        Digits { digits, begin }
    }

    fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.begin..).unwrap_or_default()
    }
}

/// Of the largest number.
const DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_what_the_crate_of_redis_writes() {
        let mut bytes = Vec::new();
        Command::new(&mut bytes, 6)
            .arg("PUBLISH")
            .arg(b"\r\n\0")
            .number(u64::MAX)
            .arg("x".repeat(10_000))
            .number(0)
            .arg("")
            .end();
        let mut expected = redis::cmd("PUBLISH");
        expected.arg(b"\r\n\0").arg(u64::MAX);
        expected.arg("x".repeat(10_000)).arg(0).arg("");
        assert_eq!(bytes, expected.get_packed_command());
    }
}
