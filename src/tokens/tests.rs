//! Tokens as an attacker writes them.

use super::*;
use crate::http::{HttpVersion, OwnedRequest, Refusal, Status};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::UNIX_EPOCH;

const SECRET: &[u8] = b"a secret of at least 32 random bytes";
const SHARED: &str = "Tr6vZ1q8yXw0sB4k";
/// Seconds.
const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn tokens() -> Tokens {
    let tokens = Tokens::new().leeway(Duration::ZERO);
    tokens.hs256_secret(SECRET).expect("a long secret")
}

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn message(header: &str, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}", encode(header), encode(claims))
}

fn hmac(secret: &[u8], message: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    let mac = mac.chain_update(message).finalize().into_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
}

fn hs256(header: &str, claims: &str) -> String {
    hmac(SECRET, &message(header, claims))
}

fn eddsa(header: &str, claims: &str) -> String {
    let message = message(header, claims);
    let signature = signing_key().sign(message.as_bytes()).to_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The token with these claims beside `exp`.
fn with_claims(claims: &str) -> String {
    hs256(HS256, &format!("{{\"exp\":{}{claims}}}", NOW + 1))
}

fn verify(tokens: &Tokens, token: &str) -> Result<Grant, TokenError> {
    tokens.verify(token.as_bytes(), at(NOW))
}

const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const EDDSA: &str = r#"{"alg":"EdDSA"}"#;
const VALID: &str = r#"{"exp":1800000001}"#;

/// The JWK set of the secret and of the public key.
fn jwk_set() -> String {
    let secret = URL_SAFE_NO_PAD.encode(SECRET);
    let public = URL_SAFE_NO_PAD.encode(signing_key().verifying_key());
    format!(
        r#"{{"keys":[
            {{"kty":"oct","k":"{secret}","kid":"old","alg":"HS256","use":"sig"}},
            {{"kty":"OKP","crv":"Ed25519","x":"{public}","kid":"new"}},
            {{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"other"}},
            {{"kty":"oct","k":"{secret}","alg":"HS512","kid":"long"}},
            {{"kty":"oct","k":"{secret}","use":"enc","kid":"enc"}}
        ]}}"#
    )
}

// RFC 7515, appendix A.1, with its own key.
#[test]
fn token_of_the_rfc_is_verified_and_has_expired_in_2011() {
    let key = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let tokens = Tokens::new().jwt_keys(key).expect("a key").issuer("joe");
    assert_eq!(
        tokens.verify(token.as_bytes(), at(1_300_819_379)),
        Ok(Grant::new().until(Some(at(1_300_819_410))))
    );
    assert_eq!(verify(&tokens, token), Err(TokenError::Expired));
}

// RFC 8037, appendix A.4: the payload is a text, and no claims.
#[test]
fn signature_of_the_rfc_by_ed25519_is_verified() {
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let tokens = Tokens::new().jwt_keys(key).expect("a key");
    assert_eq!(verify(&tokens, token), Err(TokenError::Claims));
    let changed = token.replacen(".hg", ".hh", 1);
    assert_eq!(verify(&tokens, &changed), Err(TokenError::Unknown));
}

#[test]
fn both_algorithms_and_each_form_of_a_key_verify_a_token() {
    let der = [
        &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..],
        signing_key().verifying_key().as_bytes(),
    ]
    .concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der)
    );
    for (keys, token) in [
        (tokens(), hs256(HS256, VALID)),
        (
            Tokens::new().jwt_keys(&jwk_set()).unwrap(),
            hs256(HS256, VALID),
        ),
        (
            Tokens::new().jwt_keys(&jwk_set()).unwrap(),
            eddsa(EDDSA, VALID),
        ),
        (Tokens::new().jwt_keys(&pem).unwrap(), eddsa(EDDSA, VALID)),
    ] {
        assert!(verify(&keys, &token).is_ok(), "{keys:?}");
    }
}

#[test]
fn algorithm_none_is_refused_with_and_without_a_signature() {
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let message = message(&format!(r#"{{"alg":"{name}"}}"#), VALID);
        let signed = hmac(SECRET, &message);
        for token in [format!("{message}."), signed] {
            assert_eq!(verify(&tokens(), &token), Err(TokenError::Algorithm));
        }
    }
    let without = message(r#"{"typ":"JWT"}"#, VALID);
    let token = format!("{without}.");
    assert_eq!(verify(&tokens(), &token), Err(TokenError::Malformed));
}

#[test]
fn public_key_is_never_the_secret_of_an_hmac() {
    let public = signing_key().verifying_key();
    let tokens = Tokens::new().jwt_keys(&jwk_set()).expect("keys");
    let jwk_x = URL_SAFE_NO_PAD.encode(public);
    for secret in [&public.as_bytes()[..], jwk_x.as_bytes()] {
        for header in [HS256, r#"{"alg":"HS256","kid":"new"}"#] {
            let token = hmac(secret, &message(header, VALID));
            assert_eq!(verify(&tokens, &token), Err(TokenError::Unknown));
        }
    }
    // A signature of the right key under the name of the other algorithm.
    let as_eddsa = hmac(SECRET, &message(EDDSA, VALID));
    assert_eq!(verify(&tokens, &as_eddsa), Err(TokenError::Unknown));
}

#[test]
fn other_algorithms_are_refused_also_with_a_signature_by_the_secret() {
    for name in [
        "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
        "ES512", "ES256K", "Ed25519", "hs256",
    ] {
        let token = hs256(&format!(r#"{{"alg":"{name}"}}"#), VALID);
        assert_eq!(
            verify(&tokens(), &token),
            Err(TokenError::Algorithm),
            "{name}"
        );
    }
}

#[test]
fn key_is_found_by_its_name_and_no_name_reaches_anything_else() {
    let tokens = Tokens::new().jwt_keys(&jwk_set()).expect("keys");
    let named = |kid: &str| format!(r#"{{"alg":"HS256","kid":{kid}}}"#);
    assert!(verify(&tokens, &hs256(&named("\"old\""), VALID)).is_ok());
    assert!(verify(&tokens, &hs256(&named("null"), VALID)).is_ok());
    for kid in [
        "new",
        "other",
        "long",
        "enc",
        "",
        "OLD",
        "../../../../dev/null",
        "/etc/passwd",
        "old\\u0000",
        "' or 1=1 --",
        "https://evil.example/jwks.json",
    ] {
        let token = hs256(&named(&format!("\"{kid}\"")), VALID);
        assert_eq!(verify(&tokens, &token), Err(TokenError::Unknown), "{kid}");
    }
    for kid in ["1", "[\"old\"]", "{\"a\":1}"] {
        let token = hs256(&named(kid), VALID);
        assert_eq!(verify(&tokens, &token), Err(TokenError::Malformed), "{kid}");
    }
    // A key without a name is meant by every name.
    assert!(verify(&self::tokens(), &hs256(&named("\"any\""), VALID)).is_ok());
}

#[test]
fn keys_that_a_token_brings_along_are_not_used() {
    let evil = [9; 32];
    let k = URL_SAFE_NO_PAD.encode(evil);
    for header in [
        format!(r#"{{"alg":"HS256","jwk":{{"kty":"oct","k":"{k}"}}}}"#),
        r#"{"alg":"HS256","jku":"http://127.0.0.1/keys"}"#.to_owned(),
        r#"{"alg":"HS256","x5u":"file:///etc/passwd"}"#.to_owned(),
    ] {
        let token = hmac(&evil, &message(&header, VALID));
        assert_eq!(verify(&tokens(), &token), Err(TokenError::Unknown));
    }
}

#[test]
fn extension_that_must_be_understood_is_refused() {
    let token = hs256(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, VALID);
    assert_eq!(verify(&tokens(), &token), Err(TokenError::Malformed));
    let token = hs256(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, VALID);
    assert_eq!(verify(&tokens(), &token), Err(TokenError::Malformed));
}

#[test]
fn duplicate_of_a_claim_or_of_a_field_of_the_header_is_refused() {
    for claims in [
        r#"{"exp":1,"exp":1900000000}"#,
        r#"{"exp":1900000000,"exp":1900000000}"#,
        r#"{"exp":1900000000,"sub":"a","sub":"b"}"#,
        r#"{"exp":1900000000,"publish":"a","publish":"*"}"#,
        r#"{"exp":1900000000,"\u0065xp":1900000000}"#,
    ] {
        let token = hs256(HS256, claims);
        assert_eq!(
            verify(&tokens(), &token),
            Err(TokenError::Claims),
            "{claims}"
        );
    }
    for header in [
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
    ] {
        let token = hs256(header, VALID);
        let result = verify(&tokens(), &token);
        assert!(
            matches!(result, Err(TokenError::Malformed | TokenError::Algorithm)),
            "{header}: {result:?}"
        );
    }
}

#[test]
fn expiry_is_required_and_is_a_number() {
    for claims in [
        "{}",
        r#"{"exp":null}"#,
        r#"{"exp":"1900000000"}"#,
        r#"{"exp":[1900000000]}"#,
        r#"{"exp":true}"#,
        r#"{"exp":1e999}"#,
        r#"{"exp":{"$gt":0}}"#,
        r#"{"Exp":1900000000}"#,
        "[]",
        "null",
        "1900000000",
        "",
        "{\"exp\":1900000000",
        "{\"exp\":1900000000} x",
    ] {
        let token = hs256(HS256, claims);
        assert_eq!(
            verify(&tokens(), &token),
            Err(TokenError::Claims),
            "{claims}"
        );
    }
}

#[test]
fn token_is_valid_from_nbf_to_exp_with_the_leeway() {
    let token = hs256(HS256, r#"{"nbf":1000,"exp":2000}"#);
    for (leeway, second, expected) in [
        (0, 999, Err(TokenError::NotYetValid)),
        (0, 1000, Ok(2000)),
        (0, 1999, Ok(2000)),
        (0, 2000, Err(TokenError::Expired)),
        (30, 969, Err(TokenError::NotYetValid)),
        (30, 970, Ok(2030)),
        (30, 2029, Ok(2030)),
        (30, 2030, Err(TokenError::Expired)),
    ] {
        let tokens = tokens().leeway(Duration::from_secs(leeway));
        let grant = tokens.verify(token.as_bytes(), at(second));
        let ends = grant.map(|grant| grant.expires_at());
        let expected = expected.map(|end| Some(at(end)));
        assert_eq!(ends, expected, "{leeway}, {second}");
    }
}

#[test]
fn times_that_no_clock_can_show_are_before_or_after_all_others() {
    for (claims, expected) in [
        (r#"{"exp":-1}"#, Err(TokenError::Expired)),
        (r#"{"exp":-1.5}"#, Err(TokenError::Expired)),
        (r#"{"exp":0}"#, Err(TokenError::Expired)),
        (r#"{"exp":1800000000.5}"#, Ok(())),
        (r#"{"exp":18446744073709551615}"#, Ok(())),
        (r#"{"exp":18446744073709551616}"#, Ok(())),
        (r#"{"exp":1e300}"#, Ok(())),
        (r#"{"exp":1e300,"nbf":1e300}"#, Err(TokenError::NotYetValid)),
        (r#"{"exp":1e300,"nbf":-5}"#, Ok(())),
        (r#"{"exp":1e300,"nbf":"0"}"#, Err(TokenError::Claims)),
    ] {
        let verified = verify(&tokens(), &hs256(HS256, claims)).map(|_| ());
        assert_eq!(verified, expected, "{claims}");
    }
    let before_1970 = UNIX_EPOCH - Duration::from_secs(9);
    let token = hs256(HS256, r#"{"exp":1}"#);
    assert!(tokens().verify(token.as_bytes(), before_1970).is_ok());
    let grant = verify(&tokens(), &hs256(HS256, r#"{"exp":18446744073709551615}"#));
    assert_eq!(grant.map(|grant| grant.expires_at()), Ok(None));
}

#[test]
fn audience_and_issuer_must_be_ours() {
    let named = tokens().audience("chat").issuer("login");
    let anonymous = tokens();
    for (claims, of_named, of_anonymous) in [
        ("", Err(TokenError::Audience), Ok(())),
        (
            r#","aud":"chat","iss":"login""#,
            Ok(()),
            Err(TokenError::Audience),
        ),
        (
            r#","aud":["a","chat"],"iss":"login""#,
            Ok(()),
            Err(TokenError::Audience),
        ),
        (
            r#","aud":[],"iss":"login""#,
            Err(TokenError::Audience),
            Err(TokenError::Audience),
        ),
        (
            r#","aud":"Chat","iss":"login""#,
            Err(TokenError::Audience),
            Err(TokenError::Audience),
        ),
        (
            r#","aud":"chat""#,
            Err(TokenError::Issuer),
            Err(TokenError::Audience),
        ),
        (
            r#","aud":"chat","iss":"login2""#,
            Err(TokenError::Issuer),
            Err(TokenError::Audience),
        ),
        (
            r#","aud":"chat","iss":["login"]"#,
            Err(TokenError::Claims),
            Err(TokenError::Claims),
        ),
        (
            r#","aud":{"chat":1},"iss":"login""#,
            Err(TokenError::Claims),
            Err(TokenError::Claims),
        ),
        (r#","iss":"anybody""#, Err(TokenError::Audience), Ok(())),
    ] {
        let token = with_claims(claims);
        assert_eq!(verify(&named, &token).map(|_| ()), of_named, "{claims}");
        assert_eq!(
            verify(&anonymous, &token).map(|_| ()),
            of_anonymous,
            "{claims}"
        );
    }
}

#[test]
fn rooms_are_those_of_the_claims_and_none_without_them() {
    let grant = verify(
        &tokens(),
        &with_claims(r#","sub":"aki","publish":["/chat/a"],"subscribe":"/chat/*""#),
    )
    .expect("a valid token");
    assert_eq!(grant.subject(), Some("aki"));
    assert!(grant.may_publish("/chat/a") && !grant.may_publish("/chat/ab"));
    assert!(!grant.may_publish("/chat/A") && !grant.may_publish("/chat/"));
    assert!(grant.may_subscribe("/chat/") && grant.may_subscribe("/chat/a/b"));
    assert!(!grant.may_subscribe("/chat") && !grant.may_subscribe("/broadcast/a"));
    let nothing = verify(&tokens(), &with_claims("")).expect("a valid token");
    assert!(!nothing.may_subscribe("") && !nothing.may_publish("/chat/a"));
    for claim in [
        r#","publish":"""#,
        r#","publish":["/chat/*/a"]"#,
        r#","publish":["**"]"#,
        r#","publish":[1]"#,
        r#","publish":{"*":true}"#,
        r#","publish":true"#,
    ] {
        let token = with_claims(claim);
        assert_eq!(
            verify(&tokens(), &token),
            Err(TokenError::Claims),
            "{claim}"
        );
    }
}

#[test]
fn pattern_has_at_most_256_bytes() {
    let longest = "x".repeat(256);
    assert!(
        longest
            .parse::<RoomPattern>()
            .is_ok_and(|room| room.matches(&longest))
    );
    let longer = "x".repeat(257);
    assert_eq!(longer.parse::<RoomPattern>(), Err(InvalidPattern::TooLong));
    let text = "/chat/*"
        .parse::<RoomPattern>()
        .map(|room| room.to_string());
    assert_eq!(text, Ok("/chat/*".to_owned()));
}

#[test]
fn token_of_4096_bytes_is_read_and_a_longer_one_is_refused_before_it_is_decoded() {
    let padded = |bytes: usize| {
        let mut fill = 0;
        loop {
            let token = with_claims(&format!(",\"a\":\"{}\"", "x".repeat(fill)));
            if token.len() >= bytes {
                return token;
            }
            fill += 1;
        }
    };
    let longest = padded(4096);
    assert_eq!(longest.len(), 4096);
    assert!(verify(&tokens(), &longest).is_ok());
    assert_eq!(verify(&tokens(), &padded(4097)), Err(TokenError::TooLong));
    let huge = "x".repeat(1 << 20);
    assert_eq!(verify(&tokens(), &huge), Err(TokenError::TooLong));
}

#[test]
fn changed_token_is_refused_whatever_byte_was_changed() {
    // A check of Ed25519 takes a millisecond without optimization.
    for (token, step) in [(hs256(HS256, VALID), 1), (eddsa(EDDSA, VALID), 5)] {
        let tokens = Tokens::new().jwt_keys(&jwk_set()).expect("keys");
        assert!(verify(&tokens, &token).is_ok());
        for at in (0..token.len()).step_by(step) {
            for byte in [b'A', b'.', 0xff] {
                let mut changed = token.clone().into_bytes();
                if changed[at] == byte {
                    continue;
                }
                changed[at] = byte;
                assert!(
                    tokens.verify(&changed, self::at(NOW)).is_err(),
                    "{at}, {byte}"
                );
            }
            assert!(verify(&tokens, &token[..at]).is_err(), "{at}");
        }
        for tail in ["=", ".", "A", " ", "\n", ".e30"] {
            assert!(
                verify(&tokens, &format!("{token}{tail}")).is_err(),
                "{tail:?}"
            );
        }
    }
}

#[test]
fn text_that_is_no_token_is_refused_and_nothing_panics() {
    let deep = format!("{{\"exp\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    let deep = hs256(HS256, &deep);
    for token in ["", ".", "..", "...", "a.b.c", "a.b.c.d.e", "{}", &deep] {
        assert!(verify(&tokens(), token).is_err(), "{token}");
        assert!(verify(&Tokens::new(), token).is_err(), "{token}");
    }
    // An encrypted token (RFC 7516) has five parts.
    let encrypted = format!("{}.a.b.c.d", URL_SAFE_NO_PAD.encode(r#"{"alg":"dir"}"#));
    assert!(verify(&tokens(), &encrypted).is_err());
}

#[test]
fn weak_public_key_and_short_secret_are_no_keys() {
    let jwk = |x: &[u8]| {
        let x = URL_SAFE_NO_PAD.encode(x);
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
    };
    let mut neutral = [0; 32];
    neutral[0] = 1;
    for (text, expected) in [
        (jwk(&[0; 32]), InvalidKeys::Ed25519),
        (jwk(&neutral), InvalidKeys::Ed25519),
        (jwk(&[7; 31]), InvalidKeys::Ed25519),
        (jwk(&[7; 33]), InvalidKeys::Ed25519),
        (
            r#"{"kty":"oct","k":"c2hvcnQ"}"#.into(),
            InvalidKeys::SecretTooShort,
        ),
        (
            r#"{"kty":"oct","k":"!"}"#.into(),
            InvalidKeys::SecretTooShort,
        ),
        (
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.into(),
            InvalidKeys::NoKey,
        ),
        (r#"{"keys":[]}"#.into(), InvalidKeys::NoKey),
        ("".into(), InvalidKeys::Format),
        ("[]".into(), InvalidKeys::Format),
        (
            "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----".into(),
            InvalidKeys::Ed25519,
        ),
        (
            "-----BEGIN PUBLIC KEY-----\n?\n-----END PUBLIC KEY-----".into(),
            InvalidKeys::Format,
        ),
        (
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----".into(),
            InvalidKeys::Format,
        ),
    ] {
        let error = Tokens::new().jwt_keys(&text).expect_err(&text);
        assert_eq!(error, expected, "{text}");
    }
    assert!(Tokens::new().hs256_secret(&[1; 32]).is_ok());
    assert!(Tokens::new().hs256_secret(&[1; 31]).is_err());
}

#[test]
fn keys_have_a_maximum_and_one_more_is_an_error() {
    let key = |number: u8| {
        format!(
            r#"{{"kty":"oct","k":"{}"}}"#,
            URL_SAFE_NO_PAD.encode([number; 32])
        )
    };
    let set = |count: u8| {
        let keys: Vec<String> = (0..count).map(key).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    };
    let full = Tokens::new().jwt_keys(&set(16)).expect("16 keys");
    let last = hmac(&[15; 32], &message(HS256, VALID));
    assert!(verify(&full, &last).is_ok());
    assert!(
        full.jwt_keys(&key(16))
            .is_err_and(|error| error == InvalidKeys::TooMany)
    );
    let lines = |count: usize| -> String { (0..count).map(|n| format!("{n:016}\n")).collect() };
    let full = Tokens::new().shared_keys(&lines(1024)).expect("1024 keys");
    assert!(verify(&full, "0000000000001023").is_ok());
    assert!(
        full.shared_keys(&lines(1))
            .is_err_and(|error| error == InvalidKeys::TooMany)
    );
}

#[test]
fn shared_key_grants_the_rooms_of_its_line() {
    let text = format!(
        "# scripts\n\n{SHARED}\n  0123456789abcdef publish=/broadcast/a,/broadcast/b-* \n\
         fedcba9876543210 subscribe=* publish=/chat/a\n"
    );
    let tokens = Tokens::new().shared_keys(&text).expect("three keys");
    assert_eq!(verify(&tokens, SHARED), Ok(Grant::every_room()));
    let script = verify(&tokens, "0123456789abcdef").expect("a key");
    assert!(script.may_publish("/broadcast/b-1") && !script.may_publish("/broadcast/c"));
    assert!(!script.may_subscribe("/broadcast/a"));
    assert_eq!(script.expires_at(), None);
    let reader = verify(&tokens, "fedcba9876543210").expect("a key");
    assert!(reader.may_subscribe("/chat/b") && !reader.may_publish("/chat/b"));
    for guess in [
        "",
        "Tr6vZ1q8yXw0sB4",
        "Tr6vZ1q8yXw0sB4kk",
        "tr6vZ1q8yXw0sB4k",
        "# scripts",
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        assert_eq!(verify(&tokens, guess), Err(TokenError::Unknown), "{guess}");
    }
}

#[test]
fn wrong_line_of_shared_keys_is_named_by_its_number_and_not_by_its_text() {
    for (text, expected) in [
        ("short", InvalidKeys::SharedKey { line: 1 }),
        (
            "\n#\n\u{e9}0123456789abcdef",
            InvalidKeys::SharedKey { line: 3 },
        ),
        ("0123456789abcdef write=a", InvalidKeys::Rooms { line: 1 }),
        ("0123456789abcdef publish=", InvalidKeys::Rooms { line: 1 }),
        (
            "0123456789abcdef publish=a*b",
            InvalidKeys::Rooms { line: 1 },
        ),
        ("0123456789abcdef more", InvalidKeys::Rooms { line: 1 }),
        ("# nothing\n", InvalidKeys::NoKey),
    ] {
        let error = Tokens::new().shared_keys(text).expect_err(text);
        assert_eq!(error, expected, "{text}");
        assert!(!error.to_string().contains("0123"), "{error}");
    }
    let longest = "x".repeat(256);
    assert!(Tokens::new().shared_keys(&longest).is_ok());
    assert!(Tokens::new().shared_keys(&format!("{longest}x")).is_err());
}

#[test]
fn keys_and_tokens_are_in_no_debug_output_and_in_no_error() {
    let tokens = Tokens::new()
        .jwt_keys(&jwk_set())
        .and_then(|tokens| tokens.shared_keys(SHARED))
        .expect("keys");
    let shown = format!("{tokens:?} {tokens:#?}");
    let digits = |bytes: &[u8]| format!("{bytes:?}");
    for secret in [
        String::from_utf8(SECRET.to_vec()).expect("ASCII"),
        URL_SAFE_NO_PAD.encode(SECRET),
        SHARED.to_owned(),
        digits(SECRET).trim_matches(['[', ']']).to_owned(),
    ] {
        assert!(!shown.contains(&secret), "{shown}");
    }
    assert!(shown.contains("\"old\""), "{shown}");
}

/// The tokens of this request.
fn authenticate(target: &str, fields: &[(&str, &[u8])]) -> Result<Option<Grant>, TokenError> {
    let host = [("Host", &b"localhost"[..])];
    let fields = host.into_iter().chain(fields.iter().copied());
    let request = OwnedRequest::new("GET", target, HttpVersion::Http11, fields).expect("fields");
    let tokens = Tokens::new().shared_keys(SHARED).expect("a key");
    tokens.authenticate(&request.head().expect("a request"), at(NOW))
}

#[test]
fn token_is_found_in_each_of_the_four_places() {
    let granted = Ok(Some(Grant::every_room()));
    for (name, value) in [
        ("Authorization", "Bearer Tr6vZ1q8yXw0sB4k"),
        ("authorization", "bearer  Tr6vZ1q8yXw0sB4k"),
        ("Cookie", "yamabiko_token=Tr6vZ1q8yXw0sB4k"),
        ("Cookie", "a=b; yamabiko_token=\"Tr6vZ1q8yXw0sB4k\";c=\"d;"),
        (
            "Sec-WebSocket-Protocol",
            "chat, yamabiko.token.Tr6vZ1q8yXw0sB4k",
        ),
    ] {
        let found = authenticate("/", &[(name, value.as_bytes())]);
        assert_eq!(found, granted, "{name}: {value}");
    }
    for target in [
        "/?access_token=Tr6vZ1q8yXw0sB4k",
        "/?a=b&access%5Ftoken=Tr6vZ1q8yXw0sB4%6B",
    ] {
        assert_eq!(authenticate(target, &[]), granted, "{target}");
    }
}

#[test]
fn request_without_a_token_has_none() {
    for (name, value) in [
        ("Authorization", &b"Basic dXNlcjpwYXNz"[..]),
        ("Authorization", b"BearerTr6vZ1q8yXw0sB4k"),
        (
            "Cookie",
            b"Yamabiko_token=Tr6vZ1q8yXw0sB4k; x_yamabiko_token=a",
        ),
        ("Cookie", b"caf\xe9=\xff; yamabiko_token"),
        ("Sec-WebSocket-Protocol", b"chat, yamabiko.token"),
    ] {
        assert_eq!(
            authenticate("/?token=x", &[(name, value)]),
            Ok(None),
            "{name}"
        );
    }
}

#[test]
fn two_tokens_are_refused_wherever_they_are_and_also_if_they_are_the_same() {
    use TokenPlace::*;
    let (field, cookie, subprotocol) = (
        ("Authorization", &b"Bearer Tr6vZ1q8yXw0sB4k"[..]),
        ("Cookie", &b"yamabiko_token=Tr6vZ1q8yXw0sB4k"[..]),
        (
            "Sec-WebSocket-Protocol",
            &b"yamabiko.token.Tr6vZ1q8yXw0sB4k"[..],
        ),
    );
    let query = "/?access_token=Tr6vZ1q8yXw0sB4k";
    let twice = (
        "Cookie",
        &b"yamabiko_token=a;yamabiko_token=Tr6vZ1q8yXw0sB4k"[..],
    );
    let several = |first, second| Err(TokenError::Several { first, second });
    for (target, fields, expected) in [
        ("/", &[field, cookie][..], several(Authorization, Cookie)),
        ("/", &[field, field], several(Authorization, Authorization)),
        ("/", &[cookie, cookie], several(Cookie, Cookie)),
        ("/", &[twice], several(Cookie, Cookie)),
        ("/", &[subprotocol, cookie], several(Cookie, Subprotocol)),
        (query, &[field], several(Authorization, Query)),
        (query, &[subprotocol], several(Subprotocol, Query)),
        (
            "/?access_token=a&access_token=Tr6vZ1q8yXw0sB4k",
            &[],
            several(Query, Query),
        ),
    ] {
        assert_eq!(authenticate(target, fields), expected, "{target}");
    }
}

#[test]
fn place_without_readable_text_is_refused() {
    use TokenPlace::*;
    for (target, name, value, place) in [
        ("/", "Authorization", &b"Bearer"[..], Authorization),
        ("/", "Authorization", b"Bearer \xff\xfe", Authorization),
        ("/", "Authorization", b"Bearer a b", Authorization),
        ("/", "Cookie", b"yamabiko_token=", Cookie),
        ("/", "Cookie", b"yamabiko_token=caf\xc3\xa9", Cookie),
        (
            "/",
            "Sec-WebSocket-Protocol",
            b"yamabiko.token.",
            Subprotocol,
        ),
        ("/?access_token", "A", b"", Query),
        ("/?access_token=%FF", "A", b"", Query),
        ("/?access_token=a%00b", "A", b"", Query),
        ("/?access_token=a+b", "A", b"", Query),
    ] {
        let found = authenticate(target, &[(name, value)]);
        assert_eq!(found, Err(TokenError::Unreadable(place)), "{target} {name}");
    }
}

#[test]
fn refusal_has_the_challenge_of_rfc_6750() {
    for (error, status, challenge) in [
        (TokenError::Missing, Status::Unauthorized, "Bearer"),
        (
            TokenError::Expired,
            Status::Unauthorized,
            "Bearer error=\"invalid_token\", error_description=\"the token has expired\"",
        ),
        (
            TokenError::Unreadable(TokenPlace::Query),
            Status::BadRequest,
            "Bearer error=\"invalid_request\", \
             error_description=\"there is no readable token in the query\"",
        ),
        (
            TokenError::NotAllowed,
            Status::Forbidden,
            "Bearer error=\"insufficient_scope\", \
             error_description=\"the token does not allow this\"",
        ),
    ] {
        let refusal = Refusal::from(error);
        assert_eq!(refusal.status(), status);
        let response = refusal.to_response();
        let field = response
            .fields()
            .find(|(name, _)| *name == "WWW-Authenticate");
        assert_eq!(
            field.map(|(_, value)| value.into_owned()).as_deref(),
            Some(challenge)
        );
    }
}
