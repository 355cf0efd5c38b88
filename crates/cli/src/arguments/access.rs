//! The settings of `serve` that say who may use its WebSockets: tokens, their keys, and the paths that need them.
//!
//! Secrets come from files or from environment variables. No option takes one: other users of the machine can see
//! command lines.

use std::env;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use yamabiko::chat::{Access, Chat};
use yamabiko::tokens::{InvalidKeys, Tokens};

use super::values::{Interval, NONE, Optional, interval, optional, per_second};
use crate::output::in_sentence;

#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct AccessSettings {
    /// Who may use the WebSockets of /chat/ROOM
    #[arg(long, value_name = "WHO", value_parser = access(), help_heading = ACCESS)]
    pub chat: Option<Access>,
    /// Who may use the WebSockets of /broadcast/ROOM
    #[arg(long, value_name = "WHO", value_parser = access(), help_heading = ACCESS)]
    pub broadcast: Option<Access>,
    /// Who may ask who is in the rooms: GET /rooms
    #[arg(long, value_name = "WHO", value_parser = access(), help_heading = ACCESS)]
    pub presence: Option<Access>,
    /// Messages that may be published by HTTP per second; further ones get 429
    #[arg(long, value_name = "N", value_parser = optional(per_second), help_heading = ACCESS)]
    pub publish_per_second: Option<Optional<NonZeroU32>>,
    /// File with keys of JSON Web Tokens: a JWK set, or a public key in PEM; may be repeated
    #[arg(long = "jwt-keys-file", value_name = "FILE", help_heading = ACCESS)]
    pub jwt_keys_files: Vec<PathBuf>,
    /// File with the secret of JSON Web Tokens with HS256
    #[arg(long, value_name = "FILE", value_parser = optional(path), help_heading = ACCESS)]
    pub jwt_secret_file: Option<Optional<PathBuf>>,
    /// File with shared keys, one on each line; may be repeated
    #[arg(long = "shared-keys-file", value_name = "FILE", help_heading = ACCESS)]
    pub shared_keys_files: Vec<PathBuf>,
    /// Audience that a JSON Web Token must be for (aud)
    #[arg(long, value_name = "NAME", value_parser = optional(text), help_heading = ACCESS)]
    pub token_audience: Option<Optional<String>>,
    /// Issuer that a JSON Web Token must be from (iss)
    #[arg(long, value_name = "NAME", value_parser = optional(text), help_heading = ACCESS)]
    pub token_issuer: Option<Optional<String>>,
    /// Seconds by which the clocks of issuer and server may differ
    #[arg(long, value_name = "SECONDS", value_parser = interval, help_heading = ACCESS)]
    pub token_leeway: Option<Interval>,
}

/// The heading of options about who may connect.
pub(super) const ACCESS: &str = "Who may connect";

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
            .publish_rate(self.publish_per_second.and_then(|rate| rate.0));
        Ok((application, tokens))
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
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let named = |name: &str, error: InvalidKeys| format!("{name}: {error}");
        let in_file = |path: &Path, error: InvalidKeys| format!("{}: {error}", path.display());
        let mut tokens = None;
        let mut add = |add: &dyn Fn(Tokens) -> Result<Tokens, String>| -> Result<(), String> {
            // A path that is open has no tokens: the chat decides.
            let before = tokens
                .take()
                .unwrap_or_else(|| Tokens::new().optional(true));
            tokens = Some(add(before)?);
            Ok(())
        };
        for path in &self.jwt_keys_files {
            let text = read(path)?;
            add(&|tokens| tokens.jwt_keys(&text).map_err(|error| in_file(path, error)))?;
        }
        if let Some(path) = given(&self.jwt_secret_file) {
            let secret = read(path)?;
            let secret = secret.trim_end_matches(['\r', '\n']).as_bytes();
            add(&|tokens| {
                tokens
                    .hs256_secret(secret)
                    .map_err(|error| in_file(path, error))
            })?;
        }
        for path in &self.shared_keys_files {
            let text = read(path)?;
            add(&|tokens| {
                tokens
                    .shared_keys(&text)
                    .map_err(|error| in_file(path, error))
            })?;
        }
        if let Some(text) = variable(JWT_KEYS) {
            add(&|tokens| {
                tokens
                    .jwt_keys(&text)
                    .map_err(|error| named(JWT_KEYS, error))
            })?;
        }
        if let Some(text) = variable(JWT_SECRET) {
            let secret = text.as_bytes();
            add(&|tokens| {
                tokens
                    .hs256_secret(secret)
                    .map_err(|error| named(JWT_SECRET, error))
            })?;
        }
        if let Some(text) = variable(SHARED_KEYS) {
            add(&|tokens| {
                tokens
                    .shared_keys(&text)
                    .map_err(|error| named(SHARED_KEYS, error))
            })?;
        }
        Ok(tokens.map(|tokens| self.with_expectations(tokens)))
    }

    fn with_expectations(&self, mut tokens: Tokens) -> Tokens {
        if let Some(audience) = given(&self.token_audience) {
            tokens = tokens.audience(audience.as_str());
        }
        if let Some(issuer) = given(&self.token_issuer) {
            tokens = tokens.issuer(issuer.as_str());
        }
        if let Some(leeway) = self.token_leeway {
            tokens = tokens.leeway(leeway.or_zero());
        }
        tokens
    }

    /// Each option with its value, as it is written in a settings file.
    pub(super) fn values(&self) -> Vec<(&'static str, String)> {
        let variables = [JWT_KEYS, JWT_SECRET, SHARED_KEYS];
        let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let has_keys = given(&self.jwt_secret_file).is_some()
            || !self.jwt_keys_files.is_empty()
            || !self.shared_keys_files.is_empty()
            || variables.iter().any(is_set);
        let [chat, broadcast, presence] =
            self.paths(has_keys).map(|access| name(access).to_owned());
        let rate = self.publish_per_second.and_then(|rate| rate.0);
        let leeway = self
            .token_leeway
            .map_or("30".to_owned(), |leeway| leeway.to_string());
        let text = |text: &Option<Optional<String>>| {
            given(text).map_or(NONE.to_owned(), |text| quoted(text))
        };
        let path = |path: &PathBuf| quoted(&path.to_string_lossy());
        let paths = |paths: &[PathBuf]| {
            format!(
                "[{}]",
                paths.iter().map(path).collect::<Vec<_>>().join(", ")
            )
        };
        vec![
            ("chat", chat),
            ("broadcast", broadcast),
            ("presence", presence),
            (
                "publish_per_second",
                rate.map_or(NONE.to_owned(), |rate| rate.to_string()),
            ),
            ("jwt_keys_files", paths(&self.jwt_keys_files)),
            (
                "jwt_secret_file",
                given(&self.jwt_secret_file).map_or(NONE.to_owned(), path),
            ),
            ("shared_keys_files", paths(&self.shared_keys_files)),
            ("token_audience", text(&self.token_audience)),
            ("token_issuer", text(&self.token_issuer)),
            ("token_leeway", leeway),
        ]
    }

    /// The defaults that the help names.
    pub(super) fn defaults() -> [(&'static str, String); 10] {
        [
            ("chat", "token if there are keys, otherwise open"),
            ("broadcast", "token if there are keys, otherwise open"),
            ("presence", "token if there are keys, otherwise open"),
            ("publish_per_second", NONE),
            ("jwt_keys_files", NONE),
            ("jwt_secret_file", NONE),
            ("shared_keys_files", NONE),
            ("token_audience", NONE),
            ("token_issuer", NONE),
            ("token_leeway", "30"),
        ]
        .map(|(id, text)| (id, text.to_owned()))
    }
}

/// The value of a setting that can be switched off.
fn given<T>(setting: &Option<Optional<T>>) -> Option<&T> {
    setting.as_ref().and_then(|setting| setting.0.as_ref())
}

fn path(value: &str) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

fn text(value: &str) -> Result<String, String> {
    match value {
        "" => Err("expected a text".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// The text of a file with keys, in at most 1 MiB.
fn read(path: &Path) -> Result<String, String> {
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

/// A text in the quotation marks of TOML.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The environment variables with keys.
const JWT_KEYS: &str = "YAMABIKO_JWT_KEYS";
const JWT_SECRET: &str = "YAMABIKO_JWT_SECRET";
const SHARED_KEYS: &str = "YAMABIKO_SHARED_KEYS";
/// All of them; they are no options.
pub(super) const SECRETS: [&str; 3] = [JWT_KEYS, JWT_SECRET, SHARED_KEYS];

fn access() -> impl TypedValueParser<Value = Access> {
    let named = |name, help| PossibleValue::new(name).help(help);
    PossibleValuesParser::new([
        named("open", "every client"),
        named("token", "clients whose token grants the room"),
        named("off", "nobody: the path does not exist"),
    ])
    .map(|name| match name.as_str() {
        "token" => Access::Token,
        "off" => Access::Off,
        _ => Access::Open,
    })
}

fn name(access: Access) -> &'static str {
    match access {
        Access::Token => "token",
        Access::Off => "off",
        _ => "open",
    }
}

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
