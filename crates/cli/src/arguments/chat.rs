//! The arguments of `chat`.

use std::env;
use std::path::{Path, PathBuf};

use clap::Args;

use super::access::read;
use super::trace::field;
use crate::tls::TrustSettings;

/// The room, and how the client comes in and shows it.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct ChatSettings {
    /// The room: ws://HOST:PORT/chat/ROOM, HOST:PORT/ROOM, or the address of its page
    // The client reads the URI: its errors are better than any of ours.
    pub url: String,
    /// The user's name in the room
    #[arg(long)]
    pub name: Option<String>,
    /// Do not read standard input: show the messages of the room
    #[arg(long)]
    pub listen_only: bool,
    /// Show each message as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// File with the password of a private room
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// File with a token for the server; or the environment variable YAMABIKO_TOKEN
    #[arg(long, value_name = "FILE", help_heading = REQUEST)]
    pub token_file: Option<PathBuf>,
    /// Header field of the request, NAME:VALUE; may be repeated
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = field, help_heading = REQUEST)]
    pub headers: Vec<(String, String)>,
    /// Origin of the request, as a browser sends it
    #[arg(long, value_name = "ORIGIN", help_heading = REQUEST)]
    pub origin: Option<String>,
    /// Subprotocol to offer instead of those of the chat; may be repeated
    #[arg(long = "subprotocol", value_name = "NAME", help_heading = REQUEST)]
    pub subprotocols: Vec<String>,
    /// Do not offer compression (permessage-deflate)
    #[arg(long, help_heading = REQUEST)]
    pub no_compress: bool,
    #[command(flatten)]
    pub trust: TrustSettings,
}

const REQUEST: &str = "Request";

impl ChatSettings {
    /// The token, from its file or from the environment. No option takes it: other users of the machine can see command lines.
    ///
    /// # Errors
    /// The file cannot be read, or has no token, in one line.
    pub(crate) fn token(&self) -> Result<Option<String>, String> {
        match &self.token_file {
            None => Ok(env::var(TOKEN).ok().filter(|token| !token.is_empty())),
            Some(file) => secret(file, "token").map(Some),
        }
    }

    /// The password of the room, from its file.
    ///
    /// # Errors
    /// As [`ChatSettings::token`].
    pub(crate) fn password(&self) -> Result<Option<String>, String> {
        let file = self.password_file.as_deref();
        file.map(|file| secret(file, "password")).transpose()
    }
}

fn secret(file: &Path, what: &str) -> Result<String, String> {
    let text = read(file)?;
    match text.trim() {
        "" => Err(format!("{} has no {what}", file.display())),
        secret => Ok(secret.to_owned()),
    }
}

/// The environment variable with a token.
pub(super) const TOKEN: &str = "YAMABIKO_TOKEN";
