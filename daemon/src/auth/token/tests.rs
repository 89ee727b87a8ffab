//! What must never pass, and what must.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const KEY: [u8; 32] = [7; 32];

fn secret() -> Secret {
    Secret::from_bytes(&KEY)
}

fn grant() -> Grant {
    Grant {
        subject: "ada".to_owned(),
        role: Role::Operator,
        agent: None,
        ttl: Duration::from_mins(1),
    }
}

fn now() -> u64 {
    Timestamp::now().0 / 1000
}

/// Good claims, to be spoilt one at a time.
fn claims() -> Value {
    json!({ "iss": "opsctl", "aud": "opsctl", "sub": "ada", "exp": now() + 60, "nbf": now(), "iat": now(), "role": "admin" })
}

fn sign(algorithm: Algorithm, claims: &Value) -> String {
    jsonwebtoken::encode(
        &Header::new(algorithm),
        claims,
        &EncodingKey::from_secret(&KEY),
    )
    .unwrap()
}

/// Good claims with one replaced, or removed where the value is null, signed with the right key.
fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    let map = claims.as_object_mut().unwrap();
    if value.is_null() {
        map.remove(name);
    } else {
        map.insert(name.to_owned(), value);
    }
    sign(Algorithm::HS256, &claims)
}

#[test]
fn a_token_gives_what_was_granted() {
    let grant = Grant {
        role: Role::Agent,
        agent: Some(AgentId::new("web-1").unwrap()),
        ..grant()
    };
    let rights = verify(&secret(), &issue(&secret(), &grant).unwrap()).unwrap();
    assert_eq!(
        rights,
        Rights {
            role: Role::Agent,
            subject: "ada".to_owned(),
            agent: grant.agent
        }
    );
    assert!(
        verify(&secret(), &sign(Algorithm::HS256, &claims())).is_ok(),
        "the tests' own claims are good"
    );
}

#[test]
fn a_grant_needs_a_subject() {
    let nobody = Grant {
        subject: String::new(),
        ..grant()
    };
    assert_eq!(issue(&secret(), &nobody), Err(IssueError::NoSubject));
}

#[test]
fn an_unsigned_token_is_refused() {
    let body = URL_SAFE_NO_PAD.encode(claims().to_string());
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None","typ":"JWT"}"#,
        r#"{"typ":"JWT"}"#,
    ] {
        let head = URL_SAFE_NO_PAD.encode(header);
        for token in [format!("{head}.{body}."), format!("{head}.{body}")] {
            assert_eq!(
                verify(&secret(), &token).unwrap_err().code(),
                ErrorCode::TokenInvalid,
                "{header}"
            );
        }
    }
}

#[test]
fn the_header_does_not_choose_the_algorithm() {
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(
            verify(&secret(), &sign(algorithm, &claims())),
            Err(TokenError::Algorithm)
        );
    }
    // An RS256 header over an HS256 signature, and the other way about: the classic confusion.
    let token = sign(Algorithm::HS256, &claims());
    let (_, rest) = token.split_once('.').unwrap();
    for alg in ["RS256", "ES256", "EdDSA", "PS256"] {
        let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#));
        assert_eq!(
            verify(&secret(), &format!("{head}.{rest}")),
            Err(TokenError::Algorithm),
            "{alg}"
        );
    }
}

#[test]
fn another_key_is_refused() {
    let other = Secret::from_bytes(&[8; 32]);
    assert_eq!(
        verify(&other, &issue(&secret(), &grant()).unwrap()),
        Err(TokenError::Signature)
    );
}

#[test]
fn time_is_checked_on_both_sides() {
    let leeway = LEEWAY.as_secs();
    assert!(leeway <= 5);
    assert_eq!(
        verify(&secret(), &with("exp", json!(now() - leeway - 2))),
        Err(TokenError::Expired)
    );
    assert_eq!(
        verify(&secret(), &with("nbf", json!(now() + leeway + 5))),
        Err(TokenError::NotYetValid)
    );
    assert_eq!(TokenError::Expired.code(), ErrorCode::TokenExpired);
    assert_eq!(TokenError::NotYetValid.code(), ErrorCode::TokenExpired);
    let spent = Grant {
        ttl: Duration::ZERO,
        ..grant()
    };
    assert!(issue(&secret(), &spent).is_ok());
}

#[test]
fn every_claim_must_be_there_and_ours() {
    for claim in ["exp", "iss", "aud", "sub"] {
        assert_eq!(
            verify(&secret(), &with(claim, Value::Null)),
            Err(TokenError::Claim(claim))
        );
    }
    for (claim, value) in [
        ("iss", json!("elsewhere")),
        ("aud", json!("elsewhere")),
        ("aud", json!([])),
        ("sub", json!("")),
        ("exp", json!("tomorrow")),
        ("exp", json!(-1)),
        ("nbf", json!("yesterday")),
        ("role", json!("root")),
        ("role", json!(7)),
        ("role", Value::Null),
        ("agent", json!("not a name")),
    ] {
        let error = verify(&secret(), &with(claim, value.clone())).unwrap_err();
        assert_eq!(error.code(), ErrorCode::TokenInvalid, "{claim} = {value}");
    }
    assert_eq!(
        verify(&secret(), &with("role", json!("root"))),
        Err(TokenError::Claim("role"))
    );
}

#[test]
fn a_giant_is_refused_unread() {
    assert_eq!(
        verify(&secret(), &with("sub", json!("a".repeat(9000)))),
        Err(TokenError::Malformed)
    );
}

proptest! {
    #[test]
    fn garbage_is_refused(token in "[A-Za-z0-9_.-]{0,200}|.{0,60}") {
        let error = verify(&secret(), &token).unwrap_err();
        prop_assert_eq!(error.code(), ErrorCode::TokenInvalid);
    }

    #[test]
    fn a_changed_token_is_refused_and_never_shown(at in 0_usize..1000, to in "[A-Za-z0-9_-]") {
        let token = issue(&secret(), &grant()).unwrap();
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        // The last digit of a base64 text has bits that carry nothing; the decoder refuses or ignores them.
        prop_assume!(changed != token && at + 1 != token.len());
        let error = verify(&secret(), &changed).unwrap_err();
        for part in changed.split('.').filter(|part| part.len() > 3) {
            prop_assert!(!error.to_string().contains(part));
        }
    }
}
