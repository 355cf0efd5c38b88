//! The settings of `serve` that make it a node of a cluster.

use std::path::PathBuf;
use std::sync::Arc;

use yamabiko_redis::{RedisBackplane, RedisSettings, RedisUrl};

use super::access::read;

#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterSettings {
    /// `None`: the server has its rooms for itself.
    pub redis: Option<RedisUrl>,
    pub password_file: Option<PathBuf>,
    pub authority_file: Option<PathBuf>,
    /// `None`: the default of the backplane.
    pub prefix: Option<String>,
    pub node: Option<String>,
}

impl ClusterSettings {
    /// The backplane. `None`: there is no cluster.
    ///
    /// # Errors
    /// A file, and what is wrong with it, in one line; or a setting that has no meaning alone.
    pub(crate) fn build(&self) -> Result<Option<Arc<RedisBackplane>>, String> {
        let Some(url) = &self.redis else {
            return match self.password_file.is_some() || self.authority_file.is_some() {
                true => Err("--cluster-password-file and --cluster-ca need --cluster".to_owned()),
                false => Ok(None),
            };
        };
        let url = match &self.password_file {
            Some(path) => url
                .clone()
                .with_password(read(path)?.trim_end_matches(['\r', '\n'])),
            None => url.clone(),
        };
        let defaults = RedisSettings::new(url);
        let settings = RedisSettings {
            prefix: self.prefix.clone().unwrap_or(defaults.prefix),
            node: self.node.clone(),
            authorities: self.authority_file.as_deref().map(read).transpose()?,
            ..defaults
        };
        let backplane = RedisBackplane::new(settings);
        backplane
            .map(|backplane| Some(Arc::new(backplane)))
            .map_err(|error| error.to_string())
    }
}
