//! One read of an opening handshake: [`read_more`].

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// One read, appended to `bytes`. Returns the number of bytes; 0: the end.
pub(crate) async fn read_more<T: AsyncRead + Unpin>(
    stream: &mut T,
    bytes: &mut Vec<u8>,
) -> io::Result<usize> {
    let mut read = [0; READ_BYTES];
    let count = stream.read(&mut read).await?;
    bytes.extend_from_slice(&read[..count]);
    Ok(count)
}

/// Less than a read buffer has room for: the bytes behind the head have come in one read.
const READ_BYTES: usize = 4 << 10;
