//! System calls on one socket: above all the two that a message costs, one that reads and
//! one that writes.
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
use std::time::Duration;

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

/// Whether the kernel holds bytes that it has not sent: the peer, or the path to it, takes
/// no more for now. `TCP_NOTSENT_LOWAT` makes "writable" mean that there are none.
#[cfg(target_os = "linux")]
pub(super) fn has_unsent(stream: &TcpStream) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    const SYSTEM_DEFAULT: u32 = 0;
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_notsent_lowat(1)?;
    let mut polled = [PollFd::new(stream, PollFlags::OUT)];
    let count = poll(&mut polled, Some(&Timespec::default()));
    socket.set_tcp_notsent_lowat(SYSTEM_DEFAULT)?;
    Ok(count? == 0)
}

/// The kernel ends the connection when nothing of what it holds is acknowledged for so
/// long; with `None`, after the system's own time. False: there is no such thing here.
#[cfg(target_os = "linux")]
pub(super) fn set_acknowledgement_timeout(stream: &TcpStream, timeout: Option<Duration>) -> bool {
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_user_timeout(timeout).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn has_unsent(_stream: &TcpStream) -> io::Result<bool> {
    Ok(false)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn set_acknowledgement_timeout(_: &TcpStream, _: Option<Duration>) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(super) fn receive(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    io::Read::read(&mut stream, buffer)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut stream, bytes)
}
