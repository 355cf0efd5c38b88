//! Why a data file cannot be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A data file cannot be opened. The text names the file and the reason in one line.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    reason: OpenErrorReason,
}

/// Why a data file cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenErrorReason {
    /// The folder of the file does not exist.
    NoFolder,
    /// There is a folder, or something else that is no file, in its place.
    NoFile,
    /// Another process uses the file. A data file belongs to one server.
    InUse,
    /// The file is no SQLite database.
    NotADatabase,
    /// The file is a database of another program.
    OtherProgram,
    /// A newer version of this crate has written the file: the version of its tables.
    Newer(u32),
    /// A part of the file is damaged. Use a copy, or another file.
    Damaged(String),
    /// The file, or its folder, must not be written to.
    ReadOnly,
    /// The operating system's reason.
    System(io::Error),
    /// SQLite's reason.
    Sqlite(rusqlite::Error),
}

impl OpenError {
    pub(crate) fn new(path: &Path, reason: impl Into<OpenErrorReason>) -> OpenError {
        OpenError {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The reason.
    pub fn reason(&self) -> &OpenErrorReason {
        &self.reason
    }
}

impl From<io::Error> for OpenErrorReason {
    fn from(error: io::Error) -> OpenErrorReason {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                OpenErrorReason::ReadOnly
            }
            _ => OpenErrorReason::System(error),
        }
    }
}

impl From<rusqlite::Error> for OpenErrorReason {
    fn from(error: rusqlite::Error) -> OpenErrorReason {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenErrorReason::InUse,
            Some(ErrorCode::NotADatabase) => OpenErrorReason::NotADatabase,
            Some(ErrorCode::DatabaseCorrupt) => OpenErrorReason::Damaged(error.to_string()),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                OpenErrorReason::ReadOnly
            }
            _ => OpenErrorReason::Sqlite(error),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl fmt::Display for OpenErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenErrorReason::NoFolder => f.write_str("its folder does not exist"),
            OpenErrorReason::NoFile => f.write_str("it is no regular file"),
            OpenErrorReason::InUse => f.write_str("another process uses the file"),
            OpenErrorReason::NotADatabase => f.write_str("the file is no SQLite database"),
            OpenErrorReason::OtherProgram => {
                f.write_str("the file is a database of another program")
            }
            OpenErrorReason::Newer(version) => write!(
                f,
                "a newer version of yamabiko has written the file (its tables have version {version})"
            ),
            OpenErrorReason::Damaged(detail) => write!(f, "the file is damaged: {detail}"),
            OpenErrorReason::ReadOnly => f.write_str("the file or its folder cannot be written to"),
            OpenErrorReason::System(error) => error.fmt(f),
            OpenErrorReason::Sqlite(error) => error.fmt(f),
        }
    }
}

/// The cause that `Display` does not tell.
impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            OpenErrorReason::System(error) => error.source(),
            OpenErrorReason::Sqlite(error) => error.source(),
            _ => None,
        }
    }
}
