//! The tables of a data file, and their versions.
//!
//! ```text
//!   run        one row: how the last run ended, and which file and machine it was on   (last_run.rs)
//!   rooms      a row for each room: epoch, offset of its newest message, counts and limits of what is kept
//!   messages   a row for each kept message: room, offset, time, and the message as TEXT or BLOB
//!   records    a row for each record of the application, numbered in the order in which they were put   (records.rs)
//! ```
//!
//! `PRAGMA application_id` marks the file as one of yamabiko, and `PRAGMA user_version` is the version of the tables. A later version
//! of this crate appends a step to [`STEPS`]: opening an older file runs the steps that it lacks, in one transaction. A file
//! of a newer version is refused.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::OpenErrorReason;

/// Makes the tables what this version of the crate expects.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), OpenErrorReason> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let application: i32 =
        transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if application != APPLICATION && (application, version, tables) != (0, 0, 0) {
        return Err(OpenErrorReason::OtherProgram);
    }
    let Some(steps) = STEPS.get(version as usize..) else {
        return Err(OpenErrorReason::Newer(version));
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

/// "yama" in ASCII.
const APPLICATION: i32 = 0x79_61_6d_61;

/// The version of the tables.
const VERSION: u32 = 2;

/// From each version to the next one, beginning at an empty file.
const STEPS: [&str; VERSION as usize] = [
    "
    CREATE TABLE run (
      id         INTEGER PRIMARY KEY CHECK (id = 1),
      is_clean   INTEGER NOT NULL,
      durability TEXT NOT NULL,
      boot       TEXT NOT NULL,
      file       TEXT NOT NULL
    ) STRICT;

    CREATE TABLE rooms (
      id           INTEGER PRIMARY KEY,
      name         TEXT NOT NULL UNIQUE,
      epoch        INTEGER NOT NULL,
      head         INTEGER NOT NULL,
      messages     INTEGER NOT NULL,
      bytes        INTEGER NOT NULL,
      oldest_at    INTEGER,
      expires_at   INTEGER,
      used_at      INTEGER NOT NULL,
      messages_max INTEGER,
      bytes_max    INTEGER,
      age_max      INTEGER
    ) STRICT;
    CREATE INDEX rooms_by_oldest ON rooms (oldest_at) WHERE oldest_at IS NOT NULL;
    CREATE INDEX rooms_by_expiry ON rooms (expires_at) WHERE expires_at IS NOT NULL;
    CREATE INDEX rooms_without_messages ON rooms (used_at) WHERE messages = 0;

    CREATE TABLE messages (
      room    INTEGER NOT NULL,
      offset INTEGER NOT NULL,
      at      INTEGER NOT NULL,
      message ANY NOT NULL,
      PRIMARY KEY (room, offset)
    ) STRICT, WITHOUT ROWID;
    ",
    "
    CREATE TABLE records (
      id   INTEGER PRIMARY KEY,
      name TEXT NOT NULL UNIQUE,
      text TEXT NOT NULL
    ) STRICT;
    ",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_file_gets_new_tables_and_one_of_a_newer_version_or_another_program_is_refused() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection).expect("new tables");
        migrate(&mut connection).expect("the same tables again");
        connection
            .pragma_update(None, "user_version", VERSION + 1)
            .expect("a version");
        let newer = migrate(&mut connection);
        assert!(
            matches!(newer, Err(OpenErrorReason::Newer(version)) if version == VERSION + 1),
            "{newer:?}"
        );

        // Only the steps that a file lacks are run.
        let mut older = Connection::open_in_memory().expect("a database");
        older.execute_batch(STEPS[0]).expect("tables of version 1");
        for (name, value) in [("application_id", APPLICATION), ("user_version", 1)] {
            older.pragma_update(None, name, value).expect("a version");
        }
        migrate(&mut older).expect("one step");
        older
            .execute("INSERT INTO records (name, text) VALUES ('a', 'b')", ())
            .expect("the new table");

        let mut other = Connection::open_in_memory().expect("a database");
        other
            .execute_batch("CREATE TABLE songs (title TEXT)")
            .expect("a table");
        let refused = migrate(&mut other);
        assert!(
            matches!(refused, Err(OpenErrorReason::OtherProgram)),
            "{refused:?}"
        );
    }
}
