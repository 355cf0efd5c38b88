//! The settings of `serve` that say who may use its WebSockets: tokens, their keys, and the paths that need them.
//!
//! Secrets come from files or from environment variables. No option takes one: other users of the machine can see
//! command lines.

use std::env;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use yamabiko::chat::{Access, Chat, SESSION_KEY_BYTES_MIN, SessionKey};
use yamabiko::tokens::{InvalidKeys, Tokens};

use crate::output::in_sentence;

#[derive(Clone, Debug)]
pub(crate) struct AccessSettings {
    /// `None`: with keys a token, otherwise open.
    pub chat: Option<Access>,
    pub broadcast: Option<Access>,
    pub presence: Option<Access>,
    pub publish_per_second: Option<NonZeroU32>,
    /// Of a person, to a room of the chat.
    pub messages_per_second: Option<NonZeroU32>,
    pub jwt_keys_files: Vec<PathBuf>,
    pub jwt_secret_file: Option<PathBuf>,
    pub shared_keys_files: Vec<PathBuf>,
    pub session_key_file: Option<PathBuf>,
    pub token_audience: Option<String>,
    pub token_issuer: Option<String>,
    pub token_leeway: Duration,
}

impl AccessSettings {
    /// The chat, and the tokens that its server has to check.
    ///
    /// # Errors
    /// A file or a variable, and what is wrong in it, in one line.
    pub(crate) fn build(&self) -> Result<(Chat, Option<Tokens>), String> {
        let tokens = self.tokens(|name| env::var(name).ok())?;
        let [chat, broadcast, presence] = self.paths(tokens.is_some());
        if tokens.is_none() && [chat, broadcast, presence].contains(&Access::Token) {
            return Err(format!(
                "'token' needs keys: --jwt-keys-file, --jwt-secret-file or --shared-keys-file, \
                 or the environment variable {JWT_KEYS}, {JWT_SECRET} or {SHARED_KEYS}"
            ));
        }
        let application = Chat::new()
            .chat_access(chat)
            .broadcast_access(broadcast)
            .presence_access(presence)
            .publish_rate(self.publish_per_second)
            .message_rate(self.messages_per_second);
        let application = match self.session_key(|name| env::var(name).ok())? {
            Some(key) => application.session_key(key),
            None => application,
        };
        Ok((application, tokens))
    }

    /// `None`: the chat makes one.
    fn session_key(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<SessionKey>, String> {
        let (source, secret) = match &self.session_key_file {
            Some(path) => (path.display().to_string(), read(path)?),
            None => match variable(SESSION_KEY).filter(|secret| !secret.is_empty()) {
                Some(secret) => (SESSION_KEY.to_owned(), secret),
                None => return Ok(None),
            },
        };
        match SessionKey::new(secret.trim_end_matches(['\r', '\n']).as_bytes()) {
            Some(key) => Ok(Some(key)),
            None => Err(format!(
                "{source}: a key of sessions has at least {SESSION_KEY_BYTES_MIN} bytes"
            )),
        }
    }

    /// Who may use `/chat` and `/broadcast`, and who may see presence. With keys all need a token, if nothing else is set.
    fn paths(&self, has_keys: bool) -> [Access; 3] {
        let default = match has_keys {
            true => Access::Token,
            false => Access::Open,
        };
        [self.chat, self.broadcast, self.presence].map(|access| access.unwrap_or(default))
    }

    /// `None`: there are no keys.
    fn tokens(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Tokens>, String> {
        let files = |add: AddKeys, files: &[PathBuf]| -> Vec<(AddKeys, PathBuf)> {
            files.iter().map(|path| (add, path.clone())).collect()
        };
        let secret: Vec<PathBuf> = self.jwt_secret_file.iter().cloned().collect();
        let files = [
            files(Tokens::jwt_keys, &self.jwt_keys_files),
            files(hs256_line, &secret),
            files(Tokens::shared_keys, &self.shared_keys_files),
        ];
        let mut sources = Vec::new();
        for (add, path) in files.concat() {
            sources.push((add, path.display().to_string(), read(&path)?));
        }
        let variables: [(AddKeys, &str); 3] = [
            (Tokens::jwt_keys, JWT_KEYS),
            (hs256, JWT_SECRET),
            (Tokens::shared_keys, SHARED_KEYS),
        ];
        for (add, name) in variables {
            let text = variable(name).filter(|text| !text.is_empty());
            sources.extend(text.map(|text| (add, name.to_owned(), text)));
        }
        if sources.is_empty() {
            return Ok(None);
        }
        // A path that is open has no tokens: the chat decides.
        let mut tokens = Tokens::new().optional(true);
        for (add, source, text) in sources {
            tokens = add(tokens, &text).map_err(|error| format!("{source}: {error}"))?;
        }
        Ok(Some(self.with_expectations(tokens)))
    }

    fn with_expectations(&self, mut tokens: Tokens) -> Tokens {
        if let Some(audience) = &self.token_audience {
            tokens = tokens.audience(audience.as_str());
        }
        if let Some(issuer) = &self.token_issuer {
            tokens = tokens.issuer(issuer.as_str());
        }
        tokens.leeway(self.token_leeway)
    }

    /// The same, with what the keys decide where nothing is set.
    pub(super) fn resolved(self) -> AccessSettings {
        let variables = [JWT_KEYS, JWT_SECRET, SHARED_KEYS];
        let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let has_keys = self.jwt_secret_file.is_some()
            || !self.jwt_keys_files.is_empty()
            || !self.shared_keys_files.is_empty()
            || variables.iter().any(is_set);
        let [chat, broadcast, presence] = self.paths(has_keys).map(Some);
        AccessSettings {
            chat,
            broadcast,
            presence,
            ..self
        }
    }
}

impl Default for AccessSettings {
    fn default() -> AccessSettings {
        AccessSettings {
            chat: None,
            broadcast: None,
            presence: None,
            publish_per_second: None,
            messages_per_second: NonZeroU32::new(10),
            jwt_keys_files: Vec::new(),
            jwt_secret_file: None,
            shared_keys_files: Vec::new(),
            session_key_file: None,
            token_audience: None,
            token_issuer: None,
            token_leeway: Duration::from_secs(30),
        }
    }
}

/// Adds the keys of a text.
type AddKeys = fn(Tokens, &str) -> Result<Tokens, InvalidKeys>;

fn hs256(tokens: Tokens, secret: &str) -> Result<Tokens, InvalidKeys> {
    tokens.hs256_secret(secret.as_bytes())
}

/// The secret of a file, which may end in a line break.
fn hs256_line(tokens: Tokens, text: &str) -> Result<Tokens, InvalidKeys> {
    hs256(tokens, text.trim_end_matches(['\r', '\n']))
}

/// The text of a file with keys, in at most 1 MiB.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        File::open(path)?
            .take(FILE_BYTES_MAX)
            .read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|error| format!("cannot read {}: {}", path.display(), in_sentence(&error)))
}

const FILE_BYTES_MAX: u64 = 1 << 20;

/// The environment variables with keys.
const JWT_KEYS: &str = "YAMABIKO_JWT_KEYS";
const JWT_SECRET: &str = "YAMABIKO_JWT_SECRET";
const SHARED_KEYS: &str = "YAMABIKO_SHARED_KEYS";
const SESSION_KEY: &str = "YAMABIKO_SESSION_KEY";
/// All of them; they are no options.
pub(super) const SECRETS: [&str; 4] = [JWT_KEYS, JWT_SECRET, SHARED_KEYS, SESSION_KEY];

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    const SECRET: &str = "a secret of at least 32 random bytes";

    fn tokens(variables: &[(&str, &str)]) -> Result<Option<Tokens>, String> {
        AccessSettings::default().tokens(|name| {
            let mut variables = variables.iter();
            let found = variables.find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn keys_come_from_environment_variables_and_an_empty_one_is_none() {
        assert!(tokens(&[]).is_ok_and(|tokens| tokens.is_none()));
        assert!(tokens(&[(JWT_SECRET, "")]).is_ok_and(|tokens| tokens.is_none()));
        let shared = tokens(&[(SHARED_KEYS, "0123456789abcdef")]);
        let shared = shared.expect("a key").expect("a key");
        assert!(shared.is_optional());
        assert!(
            shared
                .verify(b"0123456789abcdef", SystemTime::now())
                .is_ok()
        );
        assert!(tokens(&[(JWT_SECRET, SECRET)]).is_ok_and(|tokens| tokens.is_some()));
    }

    #[test]
    fn wrong_key_is_an_error_that_names_its_source_and_not_the_key() {
        for (name, value) in [
            (JWT_SECRET, "short-secret"),
            (SHARED_KEYS, "short-secret"),
            (JWT_KEYS, "short-secret"),
        ] {
            let error = tokens(&[(name, value)]).expect_err("a wrong key");
            assert!(error.starts_with(name), "{error}");
            assert!(!error.contains("short-secret"), "{error}");
        }
    }

    #[test]
    fn session_key_comes_from_an_environment_variable_and_a_short_one_is_an_error_without_it() {
        let key = |value: &str| {
            AccessSettings::default().session_key(|name| {
                assert_eq!(name, SESSION_KEY);
                Some(value.to_owned())
            })
        };
        assert!(key("").is_ok_and(|key| key.is_none()));
        assert!(key(SECRET).is_ok_and(|key| key.is_some()));
        assert!(key(&"x".repeat(SESSION_KEY_BYTES_MIN)).is_ok_and(|key| key.is_some()));
        let error = key(&"x".repeat(SESSION_KEY_BYTES_MIN - 1)).expect_err("it is short");
        assert!(
            error.starts_with(SESSION_KEY) && !error.contains("xxx"),
            "{error}"
        );
    }

    #[test]
    fn paths_need_a_token_if_there_are_keys_and_nothing_else_is_set() {
        let settings = AccessSettings::default();
        assert_eq!(settings.paths(false), [Access::Open; 3]);
        assert_eq!(settings.paths(true), [Access::Token; 3]);
        let settings = AccessSettings {
            chat: Some(Access::Open),
            broadcast: Some(Access::Off),
            ..settings
        };
        let expected = [Access::Open, Access::Off, Access::Token];
        assert_eq!(settings.paths(true), expected);
    }

    #[test]
    fn path_that_needs_a_token_without_keys_is_an_error() {
        let settings = AccessSettings {
            broadcast: Some(Access::Token),
            ..AccessSettings::default()
        };
        let error = settings.build().expect_err("there are no keys");
        assert!(error.contains("--shared-keys-file"), "{error}");
    }
}
