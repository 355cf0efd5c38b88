//! The configuration files of the Autobahn suite: which peers and which cases.

use std::net::{SocketAddr, ToSocketAddrs};

use serde::Deserialize;

use crate::error::Error;
use crate::plan::Plan;
use crate::url::Url;

/// The file of a run of that suite, as client (`servers`) or as server (`url`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Spec {
    /// The folder for `index.json`.
    pub outdir: Option<String>,
    /// The servers to test.
    pub servers: Vec<SpecServer>,
    /// The URL that clients connect to.
    pub url: Option<String>,
    /// Patterns of the cases to run.
    pub cases: Vec<String>,
    /// Patterns of the cases not to run.
    #[serde(rename = "exclude-cases")]
    pub exclude_cases: Vec<String>,
}

/// A server of a [`Spec`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SpecServer {
    /// Its name in the report.
    pub agent: Option<String>,
    /// Its URL.
    pub url: String,
}

impl Spec {
    /// Reads such a file. Keys that are not known are ignored.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Spec, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The address that clients connect to, from the key `url`; `None`: the file has none.
    ///
    /// # Errors
    /// The URL is not `ws://HOST[:PORT]` or `wss`, or its host has no address.
    pub fn listen_address(&self) -> Result<Option<SocketAddr>, Error> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let url = Url::parse(url)?;
        let addresses = (url.host.as_str(), url.port).to_socket_addrs();
        let mut addresses = addresses.map_err(|error| Error::Resolve(url.host.clone(), error))?;
        Ok(addresses.next())
    }

    /// The plan with the cases of this file. Its patterns name cases of the Autobahn suite, or
    /// of this one.
    pub fn apply(&self, plan: Plan) -> Plan {
        let plan = self.cases.iter().fold(plan, Plan::only);
        self.exclude_cases.iter().fold(plan, Plan::except)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_the_autobahn_suite_is_read() {
        let spec = Spec::parse(
            r#"{"options": {"failByDrop": false}, "outdir": "./reports/servers",
                "servers": [{"agent": "A", "url": "ws://127.0.0.1:9001", "options": {"version": 18}}],
                "cases": ["1.*", "2.*"], "exclude-cases": ["2.5"], "exclude-agent-cases": {}}"#,
        );
        let spec = spec.expect("a file");
        assert_eq!(spec.outdir.as_deref(), Some("./reports/servers"));
        assert_eq!(spec.servers[0].agent.as_deref(), Some("A"));
        let plan = Plan::new().only("1.*").only("2.*").except("2.5");
        assert_eq!(spec.apply(Plan::new()), plan);
        assert!(spec.listen_address().is_ok_and(|address| address.is_none()));
        let spec = Spec::parse("{\"url\": \"ws://127.0.0.1:9002\"}").expect("a file");
        let address = spec.listen_address().expect("a URL").expect("an address");
        assert_eq!(address.to_string(), "127.0.0.1:9002");
        assert!(Spec::parse("[").is_err());
    }
}
