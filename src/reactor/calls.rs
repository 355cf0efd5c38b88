//! The two system calls that a message costs: one that reads, one that writes.
//!
//! A function that was entered before a system call, and returns after it, makes the
//! next one late: 0.4 µs of the 4 that a small delivery costs where that was measured,
//! already for the C library's `send` alone. Presumably the kernel leaves nothing of
//! what the processor had remembered of return addresses. Hence two habits, on the way
//! from a loop over sockets down to the call:
//!
//! - everything is inlined, `#[inline(always)]`;
//! - the call is made in place, by `rustix`, and not by a function of the C library.
//!
//! They make no difference to what happens. Elsewhere than on Linux the standard
//! library is asked.

use std::io;

use mio::net::TcpStream;

/// Reads into `buffer` what there is.
#[cfg(target_os = "linux")]
#[inline(always)]
pub(super) fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    use rustix::net::{RecvFlags, recv};
    let (count, _) = recv(stream, buffer, RecvFlags::empty())?;
    Ok(count)
}

/// Writes as much of `bytes` as the kernel takes.
#[cfg(target_os = "linux")]
#[inline(always)]
pub(super) fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use rustix::net::{SendFlags, send};
    // Or a connection that has failed would be a signal.
    Ok(send(stream, bytes, SendFlags::NOSIGNAL)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn receive(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    io::Read::read(&mut stream, buffer)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut stream, bytes)
}
