//! Records of the application: texts with a name, beside the messages.
//!
//! The one that was put last has the highest number. All changes that wait are one transaction.

use std::collections::HashMap;

use rusqlite::{Connection, TransactionBehavior, params};

/// Records by their names. `None`: it is to be removed.
pub(crate) type RecordChanges = HashMap<Box<str>, Option<Box<str>>>;

/// All records, the one last that was put last.
pub(crate) fn load(file: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut select = file.prepare("SELECT name, text FROM records ORDER BY id")?;
    let records = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    records.collect()
}

/// Puts and removes these records, all or none.
pub(crate) fn change(file: &mut Connection, changes: &RecordChanges) -> rusqlite::Result<()> {
    let file = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut put = file.prepare("INSERT OR REPLACE INTO records (name, text) VALUES (?, ?)")?;
        let mut remove = file.prepare("DELETE FROM records WHERE name = ?")?;
        for (name, text) in changes {
            match text {
                Some(text) => put.execute(params![name, text])?,
                None => remove.execute([name])?,
            };
        }
    }
    file.commit()
}
