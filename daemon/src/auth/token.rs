//! Issuing and checking tokens.
//!
//! The algorithm is pinned by the key and never taken from the token's header, and every claim that matters must be
//! there: the library would pass a token without `aud` even though an audience is expected.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use opsctl_protocol::message::{ErrorCode, Rights, Role};
use opsctl_protocol::{AgentId, Timestamp};
use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// `iss` of every token.
const ISSUER: &str = "opsctl";

/// `aud` of every token.
const AUDIENCE: &str = "opsctl";

/// How far the clocks of who issued and who checks may differ. Both are usually the same host.
const LEEWAY: Duration = Duration::from_secs(5);

/// No token is longer than this; checked before anything is decoded.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// What a token is to permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose token it is; shown in history and logs.
    pub subject: String,
    /// What its bearer may do.
    pub role: Role,
    /// The only agent name that its bearer may connect as; any, when absent.
    pub agent: Option<AgentId>,
    /// How long it is valid, in whole seconds.
    pub ttl: Duration,
}

/// Why a token is refused. No message holds any part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JWT with the claims that opsctl puts into one.
    #[error("the token cannot be read; issue one with `opsctl token issue`")]
    Malformed,
    /// Another key signed it, or it was changed.
    #[error(
        "the token was not signed by this daemon; issue one with `opsctl token issue` on the daemon's host"
    )]
    Signature,
    /// The header names another algorithm than HS256.
    #[error("the token's algorithm is not HS256")]
    Algorithm,
    /// A claim is missing or is not what opsctl writes.
    #[error("the token's claim {0:?} is missing or not opsctl's")]
    Claim(&'static str),
    /// It has run out.
    #[error("the token has expired; issue a new one with `opsctl token issue`")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet; compare the clocks of the hosts")]
    NotYetValid,
}

impl TokenError {
    /// The error for programs.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Expired | Self::NotYetValid => ErrorCode::TokenExpired,
            _ => ErrorCode::TokenInvalid,
        }
    }
}

/// Why a token could not be issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// A token needs somebody to speak of.
    #[error("a token needs a subject")]
    NoSubject,
    /// The key or the claims could not be used.
    #[error("cannot sign the token: {0}")]
    Signing(String),
}

/// A token's claims as they are written.
#[derive(Debug, Serialize)]
struct Claims {
    /// Who issued it.
    iss: String,
    /// For whom it is.
    aud: String,
    /// Whose it is.
    sub: String,
    /// When it runs out, in seconds since the epoch.
    exp: u64,
    /// From when on it is valid, in seconds since the epoch.
    nbf: u64,
    /// When it was issued, in seconds since the epoch.
    iat: u64,
    /// What its bearer may do.
    role: Role,
    /// The only agent name that its bearer may connect as.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentId>,
}

/// The claims that are read; the library looks after the others. What is missing or unknown is found afterwards, so that
/// the answer can name it.
#[derive(Debug, Deserialize)]
struct Bearer {
    /// Whose it is.
    #[serde(default)]
    sub: String,
    /// What its bearer may do.
    #[serde(default)]
    role: String,
    /// The only agent name that its bearer may connect as.
    #[serde(default)]
    agent: Option<AgentId>,
}

/// A signed token for a grant.
pub fn issue(secret: &Secret, grant: &Grant) -> Result<String, IssueError> {
    if grant.subject.is_empty() {
        return Err(IssueError::NoSubject);
    }
    let now = Timestamp::now().0 / 1000;
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: grant.subject.clone(),
        exp: now.saturating_add(grant.ttl.as_secs()),
        nbf: now,
        iat: now,
        role: grant.role,
        agent: grant.agent.clone(),
    };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret.encoding)
        .map_err(|error| IssueError::Signing(error.to_string()))
}

/// What a token permits, by this host's clock.
pub fn verify(secret: &Secret, token: &str) -> Result<Rights, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed);
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY.as_secs();
    let claims = jsonwebtoken::decode::<Bearer>(token, &secret.decoding, &validation)
        .map_err(|error| refusal(error.kind()))?
        .claims;
    if claims.sub.is_empty() {
        return Err(TokenError::Claim("sub"));
    }
    let role = [Role::Agent, Role::Viewer, Role::Operator, Role::Admin]
        .into_iter()
        .find(|role| role.as_str() == claims.role)
        .ok_or(TokenError::Claim("role"))?;
    Ok(Rights {
        role,
        subject: claims.sub,
        agent: claims.agent,
    })
}

fn refusal(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYetValid,
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenError::Algorithm,
        ErrorKind::InvalidIssuer => TokenError::Claim("iss"),
        ErrorKind::InvalidAudience => TokenError::Claim("aud"),
        ErrorKind::InvalidSubject => TokenError::Claim("sub"),
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
            let known = ["exp", "nbf", "iss", "aud", "sub"]
                .into_iter()
                .find(|known| known == claim);
            known.map_or(TokenError::Malformed, TokenError::Claim)
        }
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests;
