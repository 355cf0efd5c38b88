//! `--takeover PATH`: a server takes over from the one that runs, and no connection is refused.
//!
//! ```text
//!   successor                                      predecessor
//!   connects to the Unix socket at PATH ─────────▶ is asked on a thread of its own
//!   ◀── copies of its listening sockets (SCM_RIGHTS)
//!   binds, with these copies                       accepts
//!   "ready" ─────────────────────────────────────▶
//!   ◀── "drains"                                   stops accepting, drains with 1012
//!   accepts; its own socket takes the place of PATH
//! ```
//!
//! Both have the same sockets, so the kernel keeps one backlog: what the predecessor does not accept, the successor does.
//! If the successor fails before it is ready, the predecessor serves on as if nothing had happened.
//!
//! Only the user of the predecessor, and the superuser, get the sockets: the kernel tells who has connected (`SO_PEERCRED`).
//!
//! The file at PATH is made under another name and renamed, so there is never a moment without one, and the file of a killed
//! server is replaced. A server removes the file at its end, if it is still its own.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::geteuid;
use yamabiko::server::{Handler, ListeningSocket, Server};

use super::monitoring::Administration;
use super::output::{in_sentence, report_error};

/// A server's part in this, as its successor and as its predecessor.
pub(super) struct Takeover {
    /// `None`: the server does neither.
    path: Option<PathBuf>,
    predecessor: Option<Predecessor>,
    /// The files of Unix sockets are those of the predecessor, and not of a service manager.
    owns_files: bool,
}

impl Takeover {
    /// Asks the server at this path for its sockets. Those of the service manager, if there are any, take their place.
    ///
    /// # Errors
    /// There is a server that does not hand over its sockets; the reason, as text.
    pub(super) fn begin(
        path: Option<PathBuf>,
        managed: Vec<ListeningSocket>,
    ) -> Result<(Takeover, Vec<ListeningSocket>), String> {
        let found = path.as_deref().map(Predecessor::find).transpose()?;
        let (predecessor, sockets) = match found.flatten() {
            Some((predecessor, sockets)) => (Some(predecessor), sockets),
            None => (None, Vec::new()),
        };
        let owns_files = managed.is_empty();
        let sockets = match owns_files {
            true => sockets,
            false => managed,
        };
        let takeover = Takeover {
            path,
            predecessor,
            owns_files,
        };
        Ok((takeover, sockets))
    }

    /// Copies of the sockets for a successor, if the server may have one.
    ///
    /// # Errors
    /// The system has no more descriptors; as text.
    pub(super) fn copies(
        &self,
        server: &Server<impl Handler>,
        administration: Option<&mut Administration>,
    ) -> Result<Copies, String> {
        let for_operators = administration.map_or_else(Vec::new, Administration::take_copies);
        let Some(path) = &self.path else {
            return Ok(Copies::default());
        };
        let sockets = server.listening_sockets();
        let mut sockets = sockets.map_err(|error| cannot_take_over(path, &error))?;
        sockets.extend(for_operators);
        Ok(Copies(Arc::new(Mutex::new(Some(sockets)))))
    }

    /// The server is bound and is about to accept: its predecessor drains, and its successor can ask. `drain` is called when a
    /// successor takes over.
    ///
    /// # Errors
    /// No successor can ask; the reason, as text.
    pub(super) fn ready(
        self,
        server: &mut Server<impl Handler>,
        copies: Copies,
        drain: impl Fn() + Send + 'static,
    ) -> Result<Option<TakeoverSocket>, String> {
        match self.predecessor.map(Predecessor::ask_to_drain) {
            None => {}
            Some(Err(warning)) => report_error(&warning),
            Some(Ok(())) if self.owns_files => server.own_files(),
            Some(Ok(())) => {}
        }
        let listen = |path: PathBuf| TakeoverSocket::listen(&path, copies, drain);
        self.path.map(listen).transpose()
    }
}

/// The server that runs, after it has handed over copies of its sockets.
struct Predecessor {
    stream: UnixStream,
}

impl Predecessor {
    /// `None`: there is none, or it stops already.
    fn find(path: &Path) -> Result<Option<(Predecessor, Vec<ListeningSocket>)>, String> {
        let stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error) if NONE.contains(&error.kind()) => return Ok(None),
            Err(error) => return Err(cannot_take_over(path, &error)),
        };
        let receive = || -> io::Result<Option<Vec<ListeningSocket>>> {
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
            let Some(descriptors) = receive_descriptors(&stream)? else {
                return Ok(None);
            };
            let sockets = descriptors.into_iter().map(ListeningSocket::of);
            sockets.collect::<io::Result<_>>().map(Some)
        };
        let sockets = receive().map_err(|error| cannot_take_over(path, &error))?;
        Ok(sockets.map(|sockets| (Predecessor { stream }, sockets)))
    }

    /// This server is bound and is about to accept: the predecessor drains.
    ///
    /// # Errors
    /// It has not answered, and maybe serves on.
    fn ask_to_drain(mut self) -> Result<(), String> {
        let mut answer = [0];
        let answered = self
            .stream
            .write_all(&[READY])
            .and_then(|()| self.stream.read_exact(&mut answer));
        match answered {
            Ok(()) if answer == [DRAINS] => Ok(()),
            Ok(()) => Err("the server that runs does not stop".to_owned()),
            Err(error) => {
                let reason = in_sentence(&error);
                Err(format!("the server that runs does not stop: {reason}"))
            }
        }
    }
}

/// Copies of the listening sockets, for a successor. Cheap to clone. Emptied when the server stops, so that the system refuses
/// connections that nobody will accept.
#[derive(Clone, Default)]
pub(super) struct Copies(Arc<Mutex<Option<Vec<ListeningSocket>>>>);

impl Copies {
    /// Closes the copies.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Sends the copies. False: the server stops.
    fn send(&self, stream: &UnixStream) -> io::Result<bool> {
        let sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*sockets {
            None => Ok(false),
            Some(sockets) => {
                let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
                send_descriptors(stream, &descriptors).map(|()| true)
            }
        }
    }
}

/// The Unix socket at which a successor asks. Dropping it removes the file.
pub(super) struct TakeoverSocket {
    path: PathBuf,
    inode: (u64, u64),
}

impl TakeoverSocket {
    /// Waits for a successor on a thread of its own.
    ///
    /// # Errors
    /// The reason, as text.
    fn listen(
        path: &Path,
        copies: Copies,
        drain: impl Fn() + Send + 'static,
    ) -> Result<TakeoverSocket, String> {
        let listen = || -> io::Result<TakeoverSocket> {
            let listener = bind(path)?;
            let metadata = fs::symlink_metadata(path)?;
            thread::Builder::new()
                .name("takeover".to_owned())
                .spawn(move || serve(&listener, &copies, drain))?;
            Ok(TakeoverSocket {
                path: std::path::absolute(path)?,
                inode: (metadata.dev(), metadata.ino()),
            })
        };
        listen().map_err(|error| cannot_take_over(path, &error))
    }
}

impl Drop for TakeoverSocket {
    fn drop(&mut self) {
        let metadata = fs::symlink_metadata(&self.path);
        if metadata.is_ok_and(|found| (found.dev(), found.ino()) == self.inode) {
            // If this fails, the next server replaces the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Puts a socket at this path, in place of any that is there.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|found| !is_socket(&found)) {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", process::id()));
    let temporary = PathBuf::from(name);
    // Of a killed process that had the same number.
    let _ = fs::remove_file(&temporary);
    let listener = UnixListener::bind(&temporary)?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o600))?;
    fs::rename(&temporary, path)?;
    Ok(listener)
}

fn is_socket(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_socket()
}

/// Answers until a successor has taken over.
fn serve(listener: &UnixListener, copies: &Copies, drain: impl Fn()) {
    for stream in listener.incoming() {
        let taken_over = stream.and_then(|stream| hand_over(stream, copies, &drain));
        match taken_over {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                let reason = in_sentence(&error);
                report_error(&format!("no server has taken over: {reason}"));
            }
        }
    }
}

/// Hands the sockets over. True: the successor is ready, and this server drains.
fn hand_over(mut stream: UnixStream, copies: &Copies, drain: impl Fn()) -> io::Result<bool> {
    let user = socket_peercred(&stream)?.uid;
    if user != geteuid() && !user.is_root() {
        return Err(ErrorKind::PermissionDenied.into());
    }
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_read_timeout(Some(READY_TIMEOUT))?;
    if !copies.send(&stream)? {
        return Ok(false);
    }
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer != [READY] {
        return Err(ErrorKind::InvalidData.into());
    }
    // Before it drains: without connections this process may end at once. If it fails, the successor warns, and accepts all the
    // same.
    let _ = stream.write_all(&[DRAINS]);
    drain();
    copies.close();
    Ok(true)
}

/// The header and the descriptors, some in each message.
fn send_descriptors(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let count = u32::try_from(descriptors.len()).map_err(io::Error::other)?;
    let header = [MAGIC, &count.to_be_bytes()].concat();
    let mut bytes = &header[..];
    for some in descriptors.chunks(PER_MESSAGE) {
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(some)) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let sent = sendmsg(
            stream,
            &[IoSlice::new(bytes)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )?;
        if sent != bytes.len() {
            return Err(ErrorKind::WriteZero.into());
        }
        bytes = FURTHER;
    }
    Ok(())
}

/// `None`: the stream ends before the header.
fn receive_descriptors(stream: &UnixStream) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut descriptors = Vec::new();
    let mut header = [0; MAGIC.len() + 4];
    match receive_some(stream, &mut header, &mut descriptors)? {
        0 => return Ok(None),
        received if received == header.len() => {}
        _ => return Err(ErrorKind::InvalidData.into()),
    }
    let count = match header.split_at(MAGIC.len()) {
        (MAGIC, [a, b, c, d]) => u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        _ => return Err(ErrorKind::InvalidData.into()),
    };
    while descriptors.len() < count {
        let before = descriptors.len();
        receive_some(stream, &mut [0; FURTHER.len()], &mut descriptors)?;
        if descriptors.len() == before {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(descriptors))
}

/// Receives one message with its descriptors.
fn receive_some(
    stream: &UnixStream,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(bytes)];
    // Not inherited by programs that this one starts.
    let message = recvmsg(stream, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for received in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = received {
            descriptors.extend(received);
        }
    }
    Ok(message.bytes)
}

fn cannot_take_over(path: &Path, error: &io::Error) -> String {
    let reason = match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            "the server that runs does not hand over its sockets".to_owned()
        }
        // It talks with one successor at a time, for a minute at most.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            "the server that runs does not answer; another one may be taking over".to_owned()
        }
        // Binding a path where a file is that is no socket.
        ErrorKind::AlreadyExists => "a file that is no socket is there".to_owned(),
        ErrorKind::InvalidData => "another version of the program runs".to_owned(),
        _ => in_sentence(error),
    };
    format!("cannot take over by {}: {reason}", path.display())
}

/// The errors of connecting where no server listens.
const NONE: [ErrorKind; 2] = [ErrorKind::NotFound, ErrorKind::ConnectionRefused];

/// The beginning of the header. The count of the descriptors follows. The number is that of the protocol.
const MAGIC: &[u8] = b"yamabiko takeover 1\n";
/// What accompanies further descriptors: a message needs a byte.
const FURTHER: &[u8] = b".";
const READY: u8 = b'r';
const DRAINS: u8 = b'd';

/// Descriptors in one message; Linux takes 253.
const PER_MESSAGE: usize = 64;
const SPACE: usize = rustix::cmsg_space!(ScmRights(PER_MESSAGE));

/// For each message of the other server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// For a successor to read its settings and to bind.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn reason_names_what_the_other_side_did_and_not_the_error_of_the_socket() {
        for (kind, reason) in [
            (
                ErrorKind::WouldBlock,
                "the server that runs does not answer; another one may be taking over",
            ),
            (
                ErrorKind::AlreadyExists,
                "a file that is no socket is there",
            ),
            (
                ErrorKind::InvalidData,
                "another version of the program runs",
            ),
        ] {
            let told = cannot_take_over(Path::new("a.sock"), &kind.into());
            assert_eq!(told, format!("cannot take over by a.sock: {reason}"));
        }
    }

    #[test]
    fn successor_has_its_answer_before_the_predecessor_drains_and_may_end() {
        let (predecessor, mut successor) = UnixStream::pair().expect("a pair");
        successor.write_all(&[READY]).expect("it is open");
        let reader = successor.try_clone().expect("a descriptor");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let socket = ListeningSocket::of(listener.into()).expect("it listens");
        let copies = Copies(Arc::new(Mutex::new(Some(vec![socket]))));
        let drain = move || {
            let descriptors = receive_descriptors(&reader).expect("a header");
            assert_eq!(descriptors.map(|descriptors| descriptors.len()), Some(1));
            reader.set_nonblocking(true).expect("an open socket");
            let mut answer = [0];
            (&reader)
                .read_exact(&mut answer)
                .expect("the answer is there");
            assert_eq!(answer, [DRAINS]);
        };
        let taken_over = hand_over(predecessor, &copies, drain);
        assert!(taken_over.expect("it has answered"));
        assert!(copies.0.lock().expect("no panic").is_none());
    }
}
