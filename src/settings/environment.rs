//! The `OPSCTL_*` variables, laid over the file's settings. Their names are fixed: units, scripts and images rely on them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use super::values::{BadValue, Place};
use super::{Secret, Settings};
use crate::exit_code::{ExitCode, Failure};

/// Applies every variable that `lookup` knows.
pub(super) fn apply(
    settings: &mut Settings,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<(), Failure> {
    let text = |name: &str| -> Result<Option<String>, Failure> {
        let readable = |value: OsString| {
            value
                .into_string()
                .map_err(|_| refused(name, "its value is not UTF-8"))
        };
        lookup(name).map(readable).transpose()
    };
    let place = |name: &str| -> Result<Option<Place>, Failure> {
        let Some(value) = lookup(name) else {
            return Ok(None);
        };
        match PathBuf::from(&value) {
            path if path.is_absolute() => Ok(Some(Place(Some(path)))),
            path => parse(name, &path.to_string_lossy()).map(Some),
        }
    };
    if let Some(socket) = place("OPSCTL_SOCKET")? {
        settings.daemon.socket = socket;
    }
    if let Some(state_dir) = place("OPSCTL_STATE_DIR")? {
        settings.daemon.state_dir = state_dir;
    }
    if let Some(token_file) = lookup("OPSCTL_TOKEN_FILE") {
        // Read at once, by this process alone: relative is fine, as it is for a flag.
        settings.client.token_file = Place(std::path::absolute(token_file).ok());
    }
    if let Some(listen) = text("OPSCTL_LISTEN")? {
        settings.daemon.listen = parse("OPSCTL_LISTEN", &listen)?;
    }
    if let Some(url) = text("OPSCTL_URL")? {
        settings.client.url = parse("OPSCTL_URL", &url)?;
    }
    if let Some(level) = text("OPSCTL_LOG")?.filter(|level| !level.is_empty()) {
        settings.log.level = parse("OPSCTL_LOG", &level)?;
    }
    if let Some(token) = text("OPSCTL_TOKEN")?.filter(|token| !token.trim().is_empty()) {
        settings.token = Some(Secret(token.trim().to_owned()));
    }
    Ok(())
}

fn parse<T: FromStr<Err = BadValue>>(name: &str, value: &str) -> Result<T, Failure> {
    value
        .parse()
        .map_err(|error: BadValue| refused(name, &error.to_string()))
}

fn refused(name: &str, why: &str) -> Failure {
    Failure::new(
        ExitCode::Usage,
        format!("the environment variable {name}: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Settings, Failure> {
        let mut settings = Settings::default();
        apply(&mut settings, |wanted| {
            (wanted == name).then(|| value.into())
        })?;
        Ok(settings)
    }

    #[test]
    fn every_variable_reaches_its_setting() {
        assert_eq!(
            with("OPSCTL_SOCKET", "/s").unwrap().socket(),
            PathBuf::from("/s")
        );
        assert_eq!(
            with("OPSCTL_STATE_DIR", "/d").unwrap().state_dir(),
            PathBuf::from("/d")
        );
        assert_eq!(with("OPSCTL_LISTEN", "").unwrap().daemon.listen.0, None);
        assert_eq!(with("OPSCTL_LISTEN", "none").unwrap().daemon.listen.0, None);
        assert_eq!(
            with("OPSCTL_URL", "ws://h:1")
                .unwrap()
                .endpoint()
                .to_string(),
            "ws://h:1"
        );
        assert_eq!(
            with("OPSCTL_TOKEN", " t\n")
                .unwrap()
                .token()
                .unwrap()
                .as_deref(),
            Some("t")
        );
        let file = with("OPSCTL_TOKEN_FILE", "/t").unwrap().client.token_file;
        assert_eq!(file, Place(Some(PathBuf::from("/t"))));
        assert_eq!(
            with("OPSCTL_LOG", "debug").unwrap().log.level.to_string(),
            "debug"
        );
        assert_eq!(
            with("OPSCTL_LOG", "").unwrap().log.level.to_string(),
            "info"
        );
    }

    #[test]
    fn a_bad_value_names_its_variable() {
        for (name, value) in [
            ("OPSCTL_LISTEN", "nonsense"),
            ("OPSCTL_URL", "nonsense"),
            ("OPSCTL_LOG", "loud"),
            ("OPSCTL_SOCKET", "relative"),
        ] {
            let failure = with(name, value).unwrap_err();
            assert_eq!(failure.code, ExitCode::Usage);
            assert!(
                failure.message.contains(name) && failure.message.contains(value),
                "{failure}"
            );
        }
    }
}
