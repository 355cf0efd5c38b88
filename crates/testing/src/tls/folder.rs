//! Files with certificates and keys, for tests of the program.

use super::Authority;
use std::fs;
use std::path::PathBuf;

/// A folder with certificates of an authority of its own. It is removed at the end of a test.
pub struct Folder {
    path: PathBuf,
    pub authority: Authority,
}

impl Folder {
    /// With a certificate for `localhost`.
    pub fn new(name: &str) -> Folder {
        let name = format!("yamabiko-tls-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a temporary folder");
        let folder = Folder {
            path,
            authority: Authority::new(),
        };
        folder.issue("localhost");
        folder
    }

    /// A certificate for this name, in `NAME.pem` and `NAME.key`.
    pub fn issue(&self, name: &str) {
        let issued = self.authority.issue(&[name]);
        self.write(&format!("{name}.pem"), &issued.certificate);
        self.write(&format!("{name}.key"), &issued.key);
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path.join(name), text).expect("a temporary file");
    }

    pub fn file(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// These arguments, where each word that ends in `.pem`, `.key` or `.toml` is a file of the folder.
    pub fn arguments(&self, line: &str) -> Vec<String> {
        let is_file = |word: &str| {
            [".pem", ".key", ".toml"]
                .iter()
                .any(|end| word.ends_with(end))
        };
        let argument = |word: &str| match is_file(word) {
            true => self.file(word),
            false => word.to_owned(),
        };
        line.split(' ').map(argument).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
