//! Webhooks over https: which web servers are trusted.

use std::sync::mpsc::TryRecvError;

use rustls::ServerConfig;
use serde_json::json;
use yamabiko_pusher::{Webhook, WebhookKind};
use yamabiko_testing::tls::{Authority, Issued};
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::harness::{SECRET, Service, app, sign};
use crate::web_server::{field, https_web_server, next};

/// A service with a webhook that trusts this authority alone.
fn service(url: &str, authority: &Authority) -> Service {
    let webhook = Webhook::new(url).expect("a URL");
    let webhook = webhook.authorities(authority.pem().as_bytes());
    let webhook = webhook.expect("a certificate");
    let kinds = [WebhookKind::ChannelOccupied];
    Service::with(1, [app().webhook(webhook.kinds(kinds))])
}

#[test]
fn web_server_of_the_own_authority_gets_signed_requests_over_one_connection() {
    for versions in [rustls::ALL_VERSIONS, &[&rustls::version::TLS12][..]] {
        let authority = Authority::new();
        let (url, requests) = https_web_server(authority.rustls_server(&["localhost"], versions));
        let service = service(&url, &authority);
        let _client = service.subscribed_to(&["a", "b"]);
        for channel in ["a", "b"] {
            let request = next(&requests);
            let expected = json!([{"name": "channel_occupied", "channel": channel}]);
            assert_eq!(json!(request.events()), expected);
            let signature = field(&request.head, "X-Pusher-Signature");
            assert_eq!(signature, Some(sign(SECRET, &[&request.body])));
            assert_eq!(request.connection, 0);
        }
        eventually("both are counted", TIMEOUT, || {
            service.counts().webhook_events_sent == 2
        });
        assert_eq!(service.counts().webhook_requests_failed, 0);
    }
}

#[test]
fn web_server_whose_certificate_is_not_trusted_gets_no_request() {
    let (authority, other) = (Authority::new(), Authority::new());
    let of_another_name = authority.rustls_server(&["example.org"], rustls::ALL_VERSIONS);
    let expired = server_with(&authority.issue_expired(&["localhost"]));
    let of_another_authority = other.rustls_server(&["localhost"], rustls::ALL_VERSIONS);
    for config in [of_another_name, expired, of_another_authority] {
        let (url, requests) = https_web_server(config);
        let service = service(&url, &authority);
        let _client = service.subscribed_to(&["a"]);
        eventually("the request has failed", TIMEOUT, || {
            service.counts().webhook_requests_failed > 0
        });
        assert_eq!(requests.try_recv().err(), Some(TryRecvError::Empty));
        assert_eq!(service.counts().webhook_events_sent, 0);
    }
}

fn server_with(issued: &Issued) -> ServerConfig {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes());
    let provider = rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(provider.into());
    let config = config.with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth();
    let certificates = vec![certificate.expect("a certificate")];
    let config = config.with_single_cert(certificates, key.expect("a key"));
    config.expect("a pair")
}
