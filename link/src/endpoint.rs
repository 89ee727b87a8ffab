//! Where a daemon listens: a unix socket on this host, or a WebSocket URL.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// `ws://host:port` or `wss://host:port`, without a path and without a trailing slash.
    Url(String),
}

/// What is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not an endpoint: expected ws://HOST:PORT, wss://HOST:PORT, unix:/PATH or /PATH"
)]
pub struct BadEndpoint {
    /// The text that was given.
    pub given: String,
}

impl Endpoint {
    /// The URL of a route on this endpoint. A unix socket gets a name that only fills the `Host` header.
    pub(crate) fn url(&self, route: &str) -> String {
        match self {
            Self::Unix(_) => format!("ws://localhost{route}"),
            Self::Url(base) => format!("{base}{route}"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let bad = || BadEndpoint {
            given: given.to_owned(),
        };
        if let Some(path) = given.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(bad())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if given.starts_with('/') {
            return Ok(Self::Unix(given.into()));
        }
        let (scheme, rest) = given.split_once("://").ok_or_else(bad)?;
        let scheme = match scheme {
            "ws" | "http" => "ws",
            "wss" | "https" => "wss",
            _ => return Err(bad()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let url = format!("{scheme}://{authority}");
        let parsed: http::Uri = url.parse().map_err(|_| bad())?;
        let bare = parsed.host().is_some_and(|host| !host.is_empty())
            && parsed.path() == "/"
            && parsed.query().is_none()
            && !authority.contains('@')
            && !authority.ends_with('/');
        if bare { Ok(Self::Url(url)) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sockets_and_urls() {
        let read = |text: &str| {
            text.parse::<Endpoint>()
                .map(|endpoint| endpoint.to_string())
                .ok()
        };
        assert_eq!(read("/run/o.sock").as_deref(), Some("unix:/run/o.sock"));
        assert_eq!(
            read("unix:///run/o.sock").as_deref(),
            Some("unix:/run/o.sock")
        );
        assert_eq!(
            read("wss://ops.example:7600/").as_deref(),
            Some("wss://ops.example:7600")
        );
        assert_eq!(
            read("http://[::1]:7600").as_deref(),
            Some("ws://[::1]:7600")
        );
        for bad in [
            "",
            "ops.example",
            "ftp://x",
            "ws://",
            "ws://x/path",
            "ws://u:p@x",
            "unix:",
            "ws://x?y",
            "ws://x//",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
