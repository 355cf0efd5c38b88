//! Listening on a Unix socket: a file that other programs of this machine connect to.
//!
//! ```text
//!   lock the directory ─▶ bind ─▶ permissions, owner ─▶ listen ─▶ unlock
//!                          │ the file exists
//!                          ├─ is no socket, or accepts a connection ─▶ an error
//!                          └─ refuses a connection: no program has it any more ─▶ remove it, bind again
//! ```
//!
//! The permissions are set before `listen`, so nobody can connect under other permissions. The
//! file is removed when the listener is closed, if it is still the same file. Removing happens
//! under the lock of the directory, so that two servers that start at the same time cannot remove
//! each other's socket. The lock is advisory (`flock`), leaves no file behind, and needs the
//! permission to read the directory.
//!
//! A process that is killed leaves its file. The next start removes it.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf, absolute};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::calls::BACKLOG;

/// Who may connect to a Unix socket: a client needs the permission to write to the file.
///
/// ```
/// use yamabiko::reactor::UnixSocketPermissions;
///
/// // A proxy whose group has the number 33.
/// let permissions = UnixSocketPermissions {
///     mode: Some(0o660),
///     group: Some(33),
///     ..UnixSocketPermissions::default()
/// };
/// assert_eq!(permissions.owner, None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnixSocketPermissions {
    /// The mode of the file, such as `0o660`. Default `None`: what the umask of the process
    /// leaves, mostly `0o755`, so that only its own user may connect.
    pub mode: Option<u32>,
    /// The number of the user that the file belongs to. Default `None`: the user of the process.
    pub owner: Option<u32>,
    /// The number of the group that the file belongs to. Default `None`: the group of the process,
    /// or of the directory.
    pub group: Option<u32>,
}

/// A listening Unix socket, for [`ReactorConfig`](super::ReactorConfig). Dropping it, or the reactor
/// that it is given to, removes its file.
#[derive(Debug)]
pub struct UnixSocket {
    /// Dropped before the listener: as long as that is open, no other file can have the number of
    /// this one.
    file: SocketFile,
    listener: UnixListener,
}

impl UnixSocket {
    /// The path of the file, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// A socket that another program has created, which listens already. Its file belongs to that program: dropping the socket
    /// leaves it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`]: it has no file.
    pub fn inherited(listener: UnixListener) -> io::Result<UnixSocket> {
        let address = listener.local_addr()?;
        let path = address.as_pathname().ok_or(ErrorKind::InvalidInput)?;
        let mut file = SocketFile::new(path)?;
        file.leave();
        Ok(UnixSocket { file, listener })
    }

    pub(super) fn into_parts(self) -> (SocketFile, UnixListener) {
        (self.file, self.listener)
    }
}

impl AsFd for UnixSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Creates a Unix socket and listens on it, non-blocking, with a backlog of 4096 connections (the
/// kernel may reduce it). A file that a killed process has left is replaced.
///
/// # Errors
///
/// - [`ErrorKind::AddrInUse`]: another program listens on this path.
/// - [`ErrorKind::AlreadyExists`]: there is a file on this path that is no socket.
/// - [`ErrorKind::InvalidInput`]: the path is longer than a socket's name may be, 107 bytes on Linux.
/// - The directory cannot be read or written, or stays locked by another program for a second.
/// - The owner cannot be changed; mostly only the superuser may do that.
///
/// ```
/// use yamabiko::reactor::{UnixSocketPermissions, listen_unix};
///
/// let path = std::env::temp_dir().join(format!("yamabiko-doc-{}.sock", std::process::id()));
/// let socket = listen_unix(&path, UnixSocketPermissions::default())?;
/// assert!(path.exists());
/// drop(socket);
/// assert!(!path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn listen_unix(path: &Path, permissions: UnixSocketPermissions) -> io::Result<UnixSocket> {
    let _lock = lock_directory(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    bind(&socket, path)?;
    // From here on an error removes the file.
    let file = SocketFile::new(path)?;
    set_permissions(path, permissions)?;
    socket.listen(BACKLOG)?;
    let listener = UnixListener::from(OwnedFd::from(socket));
    Ok(UnixSocket { file, listener })
}

fn bind(socket: &Socket, path: &Path) -> io::Result<()> {
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_if_unused(path, &address)?;
            socket.bind(&address)
        }
        result => result,
    }
}

/// Removes the file if it is a socket that no program listens on.
fn remove_if_unused(path: &Path, address: &SockAddr) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server whose backlog is full must not make this one wait.
    client.set_nonblocking(true)?;
    match client.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

fn set_permissions(path: &Path, permissions: UnixSocketPermissions) -> io::Result<()> {
    let UnixSocketPermissions { mode, owner, group } = permissions;
    if owner.is_some() || group.is_some() {
        chown(path, owner, group)?;
    }
    match mode {
        Some(mode) => fs::set_permissions(path, Permissions::from_mode(mode)),
        None => Ok(()),
    }
}

/// The file of a listening socket. Dropping it removes the file, unless another one has taken its place, or another program
/// removes it.
#[derive(Debug)]
pub(super) struct SocketFile {
    is_owned: bool,
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<SocketFile> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(SocketFile {
            is_owned: true,
            // The working directory may change until the file is removed.
            path: absolute(path)?,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// Another program has left the file to this one.
    pub(super) fn own(&mut self) {
        self.is_owned = true;
    }

    /// Leaves the file to another program.
    pub(super) fn leave(&mut self) {
        self.is_owned = false;
    }

    fn is(&self, metadata: &Metadata) -> bool {
        metadata.dev() == self.device && metadata.ino() == self.inode
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.is_owned {
            return;
        }
        // The lock: no other server can replace the file between the question and the removal.
        let _lock = lock_directory(&self.path);
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| self.is(&metadata)) {
            // If this fails, the next server that starts on this path removes the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Locks the directory of this file until the result is dropped.
fn lock_directory(path: &Path) -> io::Result<File> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(parent.unwrap_or(Path::new(".")))?;
    for _ in 0..LOCK_ATTEMPTS {
        match directory.try_lock() {
            Ok(()) => return Ok(directory),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(ErrorKind::ResourceBusy.into())
}

/// A second in all: another server holds the lock for some system calls.
const LOCK_ATTEMPTS: u32 = 100;
const LOCK_RETRY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// A directory of its own for a test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = std::env::temp_dir().join(format!("yamabiko-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Directory(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("x.sock")
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn listen(path: &Path) -> io::Result<UnixSocket> {
        listen_unix(path, UnixSocketPermissions::default())
    }

    #[test]
    fn file_is_removed_when_the_listener_is_closed() {
        let directory = Directory::new("removed");
        let socket = listen(&directory.socket()).unwrap();
        assert_eq!(socket.path(), directory.socket());
        drop(socket);
        assert!(fs::read_dir(&directory.0).unwrap().next().is_none());
    }

    #[test]
    fn file_that_has_taken_the_place_of_the_socket_is_not_removed() {
        let directory = Directory::new("replaced");
        let socket = listen(&directory.socket()).unwrap();
        fs::remove_file(directory.socket()).unwrap();
        fs::write(directory.socket(), "a file").unwrap();
        drop(socket);
        assert!(directory.socket().exists());
    }

    #[test]
    fn socket_that_no_program_listens_on_is_replaced() {
        let directory = Directory::new("stale");
        // The standard library leaves the file of a listener that is closed.
        drop(UnixListener::bind(directory.socket()).unwrap());
        assert!(directory.socket().exists());
        let _socket = listen(&directory.socket()).unwrap();
        UnixStream::connect(directory.socket()).unwrap();
    }

    #[test]
    fn socket_of_a_running_server_is_kept() {
        let directory = Directory::new("in-use");
        let _socket = listen(&directory.socket()).unwrap();
        let error = listen(&directory.socket()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        UnixStream::connect(directory.socket()).unwrap();
    }

    #[test]
    fn file_of_an_inherited_socket_is_removed_if_it_belongs_to_this_program() {
        let directory = Directory::new("inherited");
        let mut first = listen(&directory.socket()).unwrap();
        for is_owned in [false, true] {
            let copy = first.listener.try_clone().unwrap();
            let mut inherited = UnixSocket::inherited(copy).unwrap();
            assert_eq!(inherited.path(), directory.socket());
            if is_owned {
                inherited.file.own();
            }
            drop(inherited);
            assert_eq!(directory.socket().exists(), !is_owned);
        }
        first.file.leave();
    }

    #[test]
    fn file_that_is_left_to_another_program_is_not_removed() {
        let directory = Directory::new("left");
        let mut socket = listen(&directory.socket()).unwrap();
        socket.file.leave();
        drop(socket);
        assert!(directory.socket().exists());
    }

    #[test]
    fn file_that_is_no_socket_is_kept() {
        let directory = Directory::new("no-socket");
        fs::write(directory.socket(), "a file").unwrap();
        let error = listen(&directory.socket()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(directory.socket()).unwrap(), "a file");
    }

    #[test]
    fn symbolic_link_is_not_followed() {
        let directory = Directory::new("link");
        let target = directory.0.join("target");
        drop(UnixListener::bind(&target).unwrap());
        std::os::unix::fs::symlink(&target, directory.socket()).unwrap();
        let error = listen(&directory.socket()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(target.exists());
    }

    #[test]
    fn mode_of_the_file_is_the_given_one() {
        let directory = Directory::new("mode");
        let own = fs::metadata(&directory.0).unwrap();
        let permissions = UnixSocketPermissions {
            mode: Some(0o666),
            owner: Some(own.uid()),
            group: Some(own.gid()),
        };
        let _socket = listen_unix(&directory.socket(), permissions).unwrap();
        let metadata = fs::metadata(directory.socket()).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o666);
        assert_eq!((metadata.uid(), metadata.gid()), (own.uid(), own.gid()));
    }

    #[test]
    fn path_that_is_too_long_for_a_socket_leaves_no_file() {
        let directory = Directory::new("long");
        let error = listen(&directory.0.join("x".repeat(120))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(fs::read_dir(&directory.0).unwrap().next().is_none());
    }

    #[test]
    fn of_servers_that_start_at_the_same_time_one_gets_the_socket() {
        let directory = Directory::new("race");
        for _ in 0..20 {
            drop(UnixListener::bind(directory.socket()).unwrap());
            let results: Vec<_> = thread::scope(|scope| {
                let start = || scope.spawn(|| listen(&directory.socket()));
                let threads: Vec<_> = (0..4).map(|_| start()).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
            UnixStream::connect(directory.socket()).unwrap();
        }
    }
}
