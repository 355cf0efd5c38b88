//! `--data FILE`: the messages of rooms are in a file, and survive a restart.

use std::path::{Path, PathBuf};

pub(super) use yamabiko_sqlite::Durability;
use yamabiko_sqlite::{SqliteBackplane, SqliteSettings};

use crate::output::Failure;

/// The file that keeps the messages of rooms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DataSettings {
    /// `None`: they are in memory.
    pub file: Option<PathBuf>,
    pub durability: Durability,
    pub file_bytes_max: usize,
}

impl Default for DataSettings {
    fn default() -> DataSettings {
        let default = SqliteSettings::default();
        DataSettings {
            file: None,
            durability: default.durability,
            file_bytes_max: usize::try_from(default.file_bytes_max).unwrap_or(usize::MAX),
        }
    }
}

impl DataSettings {
    /// # Errors
    /// Settings that exclude each other, or a file whose folder does not exist.
    pub(crate) fn check(&self, has_takeover: bool, is_in_cluster: bool) -> Result<(), Failure> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if has_takeover {
            return Err(Failure::Usage(BOTH_TAKEOVER_AND_DATA.to_owned()));
        }
        if is_in_cluster {
            return Err(Failure::Usage(BOTH_CLUSTER_AND_DATA.to_owned()));
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        match folder.as_os_str().is_empty() || folder.is_dir() {
            true => Ok(()),
            false => Err(cannot_use(&format!(
                "{}: its folder does not exist",
                file.display()
            ))),
        }
    }

    /// Opens the file, if there is to be one.
    ///
    /// # Errors
    /// It cannot be used; the reason, as text.
    pub(crate) fn open(&self) -> Result<Option<SqliteBackplane>, Failure> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let settings = SqliteSettings {
            durability: self.durability,
            file_bytes_max: self.file_bytes_max as u64,
            ..SqliteSettings::default()
        };
        match SqliteBackplane::open(file, settings) {
            Ok(data) => Ok(Some(data)),
            Err(error) => Err(cannot_use(&error.to_string())),
        }
    }
}

fn cannot_use(reason: &str) -> Failure {
    Failure::Failed(format!("cannot use the data file {reason}"))
}

const BOTH_TAKEOVER_AND_DATA: &str =
    "--data and --takeover cannot be used together: a data file belongs to one server at a time";

const BOTH_CLUSTER_AND_DATA: &str =
    "--data and --cluster cannot be used together: the messages of a cluster are in its Redis";
