//! The settings of `serve` that name apps of Pusher clients.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use yamabiko_pusher::{App, Pusher};

use super::access::read;
use super::values::AppText;

#[derive(Clone, Debug, Default)]
pub(crate) struct AppSettings {
    pub apps: Vec<AppText>,
    pub files: Vec<PathBuf>,
}

impl AppSettings {
    /// The server of the apps. `None`: there are none.
    ///
    /// # Errors
    /// A file or an app, and what is wrong in it, in one line.
    pub(crate) fn build(&self) -> Result<Option<Pusher>, String> {
        let named = self.apps.iter().map(|app| app.0.parse::<App>());
        let named: Result<Vec<App>, _> = named.collect();
        let mut apps = named.map_err(|error| error.to_string())?;
        for path in &self.files {
            apps.extend(apps_in(path)?);
        }
        if apps.is_empty() {
            return Ok(None);
        }
        Pusher::new(apps)
            .map(Some)
            .map_err(|error| error.to_string())
    }
}

fn apps_in(path: &Path) -> Result<Vec<App>, String> {
    let in_file = |reason: String| format!("{}: {reason}", path.display());
    let text = read(path)?;
    let tables: BTreeMap<String, Vec<App>> = toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.get(..start).unwrap_or(&text).matches('\n').count();
        let reason = error.message().lines().collect::<Vec<_>>().join(", ");
        format!("{}:{line}: {reason}", path.display())
    })?;
    let mut apps = Vec::new();
    for (key, tables) in tables {
        match &*key {
            "apps" => apps = tables,
            key => {
                return Err(in_file(format!(
                    "there is no setting '{key}'; apps are tables [[apps]]"
                )));
            }
        }
    }
    match apps.is_empty() {
        true => Err(in_file("the file has no table [[apps]]".to_owned())),
        false => Ok(apps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What is wrong in a file with this text, or the number of its apps.
    fn apps_of(name: &str, text: &str) -> Result<usize, String> {
        let path = std::env::temp_dir().join(format!("yamabiko-{}-{name}", std::process::id()));
        fs::write(&path, text).expect("a temporary file");
        let apps = apps_in(&path);
        fs::remove_file(&path).expect("a temporary file");
        apps.map(|apps| apps.len())
            .map_err(|error| error.replace(&*path.to_string_lossy(), "F"))
    }

    #[test]
    fn file_has_a_table_for_each_app() {
        let text = "# two\n[[apps]]\nid = \"1\"\nkey = \"k\"\nsecret = \"a,b\"\nconnections-max = 5\n\
                    [[apps]]\nid = \"2\"\nkey = \"l\"\nsecret = \"s\"\nclient-events = false\n";
        assert_eq!(apps_of("two", text), Ok(2));
    }

    #[test]
    fn wrong_file_is_an_error_of_one_line_that_names_what_is_wrong_and_no_secret() {
        for (name, text, expected) in [
            ("empty", "", "F: the file has no table [[apps]]"),
            (
                "key",
                "[[app]]\nid=\"1\"\nkey=\"k\"\nsecret=\"hidden\"",
                "F: there is no setting 'app'; apps are tables [[apps]]",
            ),
            (
                "missing",
                "[[apps]]\nid=\"1\"\nsecret=\"hidden\"",
                "missing field `key`",
            ),
            (
                "unknown",
                "[[apps]]\nid=\"1\"\nkey=\"k\"\nsecret=\"hidden\"\nkeys=1",
                "F:5: unknown field `keys`",
            ),
            (
                "name",
                "[[apps]]\nid=\"1\"\nkey=\"a/b\"\nsecret=\"hidden\"",
                "letters, digits",
            ),
            ("syntax", "[[apps]\n", "F:1: "),
        ] {
            let error = apps_of(name, text).expect_err("it is wrong");
            assert!(error.contains(expected), "{name}: {error}");
            assert!(
                !error.contains('\n') && !error.contains("hidden"),
                "{error}"
            );
        }
        let missing = apps_in(Path::new("/nowhere/apps.toml")).expect_err("no file");
        assert!(
            missing.starts_with("cannot read /nowhere/apps.toml: "),
            "{missing}"
        );
    }

    #[test]
    fn two_apps_with_one_key_are_an_error() {
        let apps = ["1:k:s", "2:k:s"]
            .map(|app| AppText(app.to_owned()))
            .to_vec();
        let settings = AppSettings {
            apps,
            files: Vec::new(),
        };
        let error = settings.build().expect_err("a duplicate");
        assert_eq!(error, "two apps have the same id or key: k");
        assert!(
            AppSettings::default()
                .build()
                .is_ok_and(|pusher| pusher.is_none())
        );
    }
}
