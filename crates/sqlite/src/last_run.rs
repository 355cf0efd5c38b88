//! How the last run with a file has ended: whether messages that it has delivered may be missing in the file.
//!
//! A message is committed before it is delivered. What can undo a commit is the end of the operating system (power, a crash), unless
//! each commit was brought to the disk ([`Durability::Full`]), and an older copy of the file that has been put in its
//! place. In both cases an offset could be given out twice. So all rooms get another epoch then.
//!
//! | since the last run | commits that may be missing |
//! |---|---|
//! | the run ended in order | none |
//! | the process was killed; the operating system is the same (its boot identifier) | none |
//! | the operating system has ended; durability `full` | none |
//! | the operating system has ended, or its boot identifier is not known; durability `normal` or `off` | the last ones |
//! | the file is another one (its number and the time of its creation): a copy | any |
//!
//! Copying an old content into the same file is not noticed: restore a copy under another name, and rename it.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::UNIX_EPOCH;

use rusqlite::{Connection, OptionalExtension, params};

use crate::settings::Durability;

/// A run of a server with a file: what its row in the table `run` says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// It has ended in order.
    is_clean: bool,
    durability: String,
    /// Identifies the run of the operating system; empty if that is not known.
    boot: String,
    /// Identifies the file; another one for a copy.
    file: String,
}

impl Run {
    /// The run that begins now, with the file at this path.
    pub(crate) fn now(path: &Path, durability: Durability) -> Run {
        Run {
            is_clean: false,
            durability: durability.synchronous().to_owned(),
            boot: boot(),
            file: fs::metadata(path)
                .map(|file| identity(&file))
                .unwrap_or_default(),
        }
    }

    /// Begins this run in the file, and returns whether messages of the last one may be missing.
    pub(crate) fn begin(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let last = Run::last(connection)?;
        self.write(connection)?;
        Ok(last.is_some_and(|last| !self.follows_without_a_loss(&last)))
    }

    /// The run has ended in order: all is in the file.
    pub(crate) fn end(self, connection: &Connection) -> rusqlite::Result<()> {
        let ended = Run {
            is_clean: true,
            ..self
        };
        ended.write(connection)
    }

    fn follows_without_a_loss(&self, last: &Run) -> bool {
        let all_on_disk = last.is_clean || last.durability == Durability::Full.synchronous();
        let same_system = !self.boot.is_empty() && self.boot == last.boot;
        self.file == last.file && (all_on_disk || same_system)
    }

    fn last(connection: &Connection) -> rusqlite::Result<Option<Run>> {
        let select = "SELECT is_clean, durability, boot, file FROM run WHERE id = 1";
        let row = connection.query_row(select, (), |row| {
            Ok(Run {
                is_clean: row.get(0)?,
                durability: row.get(1)?,
                boot: row.get(2)?,
                file: row.get(3)?,
            })
        });
        row.optional()
    }

    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute(
            "INSERT OR REPLACE INTO run (id, is_clean, durability, boot, file) VALUES (1, ?, ?, ?, ?)",
            params![self.is_clean, self.durability, self.boot, self.file],
        )?;
        Ok(())
    }
}

/// Linux draws it anew at each start.
fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    boot.map(|boot| boot.trim().to_owned()).unwrap_or_default()
}

/// The number of the file and the time of its creation, as far as the system has them.
fn identity(file: &Metadata) -> String {
    let created = file.created().ok();
    let since = created.and_then(|created| created.duration_since(UNIX_EPOCH).ok());
    let nanoseconds = since.map_or(0, |since| since.as_nanos());
    format!("{}/{nanoseconds}", number(file))
}

#[cfg(unix)]
fn number(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(is_clean: bool, durability: Durability, boot: &str, file: &str) -> Run {
        Run {
            is_clean,
            durability: durability.synchronous().to_owned(),
            boot: boot.to_owned(),
            file: file.to_owned(),
        }
    }

    #[test]
    fn messages_may_be_missing_after_the_end_of_the_system_or_in_a_copy() {
        let now = run(false, Durability::Normal, "today", "f");
        let unknown = run(false, Durability::Normal, "", "f");
        for (last, now, expected) in [
            (run(true, Durability::Off, "before", "f"), &now, true),
            (run(false, Durability::Off, "today", "f"), &now, true),
            (run(false, Durability::Full, "before", "f"), &now, true),
            (run(false, Durability::Normal, "before", "f"), &now, false),
            (run(false, Durability::Off, "before", "f"), &now, false),
            (run(false, Durability::Normal, "", "f"), &unknown, false),
            (run(true, Durability::Full, "today", "a copy"), &now, false),
        ] {
            assert_eq!(now.follows_without_a_loss(&last), expected, "{last:?}");
        }
    }
}
