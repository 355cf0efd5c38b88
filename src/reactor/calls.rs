//! System calls on one socket: the read and the write that each message needs, and options
//! that are rarely set.
//!
//! Returning from a function across a system call seems to be mispredicted: a function that
//! is entered before the call and returns after it costs 0.4 µs. That was measured for the
//! C library's `send` alone, where a small delivery costs 4 µs. Probably entering the kernel
//! discards the processor's prediction of return addresses. So the path from a loop over
//! sockets down to the call follows two rules:
//!
//! - all functions on it are inlined, `#[inline(always)]`;
//! - the call is made in place by `rustix`, not by a function of the C library.
//!
//! They do not change behaviour. On systems other than Linux the standard library makes the
//! calls.

use std::io;
use std::time::Duration;

use mio::net::TcpStream;

/// Connections that a listener holds until they are accepted: the default of `net.core.somaxconn`
/// on Linux.
pub(super) const BACKLOG: i32 = 4096;

/// Reads the available bytes into `buffer`.
#[cfg(target_os = "linux")]
#[inline(always)]
pub(super) fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    use rustix::net::{RecvFlags, recv};
    let (count, _) = recv(stream, buffer, RecvFlags::empty())?;
    Ok(count)
}

/// Appends the available bytes to `buffer`, as many as it has room for.
#[cfg(target_os = "linux")]
pub(super) fn receive_into(stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    use rustix::buffer::spare_capacity;
    use rustix::net::{RecvFlags, recv};
    let (count, _) = recv(stream, spare_capacity(buffer), RecvFlags::empty())?;
    Ok(count)
}

/// Writes as many of `bytes` as the kernel accepts.
#[cfg(target_os = "linux")]
#[inline(always)]
pub(super) fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use rustix::net::{SendFlags, send};
    // Without it a failed connection raises a signal.
    Ok(send(stream, bytes, SendFlags::NOSIGNAL)?)
}

/// Whether the kernel holds bytes that it has not sent, because the peer or the path to it
/// accepts no more at the moment. With `TCP_NOTSENT_LOWAT` = 1, "writable" means that there
/// are none. The option is set for the length of the question.
#[cfg(target_os = "linux")]
pub(super) fn has_unsent(stream: &TcpStream) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let socket = socket2::SockRef::from(stream);
    let unsent_bytes_max = socket.tcp_notsent_lowat()?;
    socket.set_tcp_notsent_lowat(1)?;
    let mut polled = [PollFd::new(stream, PollFlags::OUT)];
    let count = poll(&mut polled, Some(&Timespec::default()));
    socket.set_tcp_notsent_lowat(unsent_bytes_max)?;
    Ok(count? == 0)
}

/// The options of all sockets of a reactor.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SocketOptions {
    pub(super) unsent_bytes_max: Option<u32>,
    pub(super) acknowledgement_timeout: Option<Duration>,
}

/// Limits the bytes that the kernel keeps without having sent them. `None`: no limit but that
/// of the send buffer.
#[cfg(target_os = "linux")]
pub(super) fn set_unsent_bytes_max(
    socket: &impl std::os::fd::AsFd,
    bytes: Option<u32>,
) -> io::Result<()> {
    let set = |bytes| socket2::SockRef::from(socket).set_tcp_notsent_lowat(bytes);
    bytes.map_or(Ok(()), set)
}

/// Makes the kernel end the connection if nothing is acknowledged for `timeout`; `None`: the
/// system's own timeout. Returns false where the system has no such option.
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
pub(super) fn set_unsent_bytes_max(_: &TcpStream, _: Option<u32>) -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn set_acknowledgement_timeout(_: &TcpStream, _: Option<Duration>) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(super) fn receive(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    io::Read::read(&mut stream, buffer)
}

/// The room is written with zeros first.
#[cfg(not(target_os = "linux"))]
pub(super) fn receive_into(stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let before = buffer.len();
    buffer.resize(buffer.capacity(), 0);
    let received = receive(stream, &mut buffer[before..]);
    buffer.truncate(before + received.as_ref().map_or(0, |count| *count));
    received
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut stream, bytes)
}
