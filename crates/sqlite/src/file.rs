//! Opening and closing a data file.
//!
//! ```text
//!   open    is it a file, and can it be written? ──▶ lock it, for the whole run ──▶ tables of this version
//!           ──▶ has the last run lost messages? ──▶ check the file, and give all rooms another epoch
//!   close   mark the run as ended in order ──▶ bring all to the disk, and remove the write-ahead log
//! ```
//!
//! The lock is SQLite's: `locking_mode = EXCLUSIVE`, held until the process ends. So a second server is refused, and `sqlite3 FILE` too:
//! look into a copy (`cp FILE FILE-wal elsewhere/`), or stop the server.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::{OpenError, OpenErrorReason};
use crate::last_run::Run;
use crate::schema;
use crate::settings::{Durability, SqliteSettings};

/// An open data file.
pub(crate) struct DataFile {
    pub(crate) connection: Connection,
    /// Bytes of the file that are too many.
    pub(crate) bytes_max: u64,
    run: Run,
}

impl DataFile {
    /// Opens the file, or creates it.
    pub(crate) fn open(path: &Path, settings: &SqliteSettings) -> Result<DataFile, OpenError> {
        open(path, settings).map_err(|reason| OpenError::new(path, reason))
    }

    /// The run ends: all is on the disk, in one file.
    pub(crate) fn close(self) -> rusqlite::Result<()> {
        let DataFile {
            connection, run, ..
        } = self;
        set_durability(&connection, Durability::Full)?;
        run.end(&connection)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
        connection.close().map_err(|(_, error)| error)
    }
}

fn open(path: &Path, settings: &SqliteSettings) -> Result<DataFile, OpenErrorReason> {
    check_place(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    if connection.is_readonly("main")? {
        return Err(OpenErrorReason::ReadOnly);
    }
    lock(&connection)?;
    schema::migrate(&mut connection)?;
    let bytes_max = settings.file_bytes_max.max(FILE_BYTES_MIN);
    set_pages_max(&connection, bytes_max)?;
    // What is deleted from a page is overwritten in it, which costs no write of its own.
    connection.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
    // The mark of the run is on the disk before the first message.
    set_durability(&connection, Durability::Full)?;
    let run = begin_run(&mut connection, path, settings.durability)?;
    set_durability(&connection, settings.durability)?;
    Ok(DataFile {
        connection,
        bytes_max,
        run,
    })
}

/// Creates the file if there is none: for its owner alone, as messages are private.
fn check_place(path: &Path) -> Result<(), OpenErrorReason> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            return Err(OpenErrorReason::NoFolder);
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match path.is_file() {
            true => Ok(()),
            false => Err(OpenErrorReason::NoFile),
        },
        Err(error) => Err(error.into()),
    }
}

/// Takes the file for this process. The lock comes before the write-ahead log: so the index of that log is in the memory of this
/// process alone.
fn lock(connection: &Connection) -> Result<(), OpenErrorReason> {
    connection.busy_timeout(Duration::ZERO)?;
    // What the file says cannot make SQLite call a function.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    // Only for a new file.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenErrorReason::ReadOnly);
    }
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_MAX, |_| Ok(()))?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

/// No page is added beyond this size. A file that is larger already keeps its size.
fn set_pages_max(connection: &Connection, bytes_max: u64) -> rusqlite::Result<()> {
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = i64::try_from(bytes_max).unwrap_or(i64::MAX) / page.max(1);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
}

fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", durability.synchronous())
}

/// If messages of the last run may be missing: the file is checked, and all rooms get another epoch.
fn begin_run(
    connection: &mut Connection,
    path: &Path,
    durability: Durability,
) -> Result<Run, OpenErrorReason> {
    let run = Run::now(path, durability);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if run.begin(&transaction)? {
        check(&transaction)?;
        transaction.execute("UPDATE rooms SET epoch = random()", ())?;
    }
    transaction.commit()?;
    Ok(run)
}

fn check(connection: &Connection) -> Result<(), OpenErrorReason> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    match &*found {
        "ok" => Ok(()),
        _ => Err(OpenErrorReason::Damaged(one_line(&found))),
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// What remains of the write-ahead log when it has been written into the file.
const WAL_BYTES_MAX: i64 = 8 << 20;

/// The tables, some rooms and a message of the usual limit.
const FILE_BYTES_MIN: u64 = 1 << 20;
