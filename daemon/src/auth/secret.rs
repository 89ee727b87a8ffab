//! The key that signs tokens.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{DecodingKey, EncodingKey};

/// The key's length in bytes: as long as HS256's hash, the least that RFC 7518 §3.2 permits.
const KEY_BYTES: usize = 32;

/// No key is longer than this in its file; whatever is, is another kind of file.
const MAX_FILE_BYTES: u64 = 4096;

/// The key that signs and checks tokens. It shows itself nowhere.
pub struct Secret {
    /// For signing.
    pub(super) encoding: EncodingKey,
    /// For checking.
    pub(super) decoding: DecodingKey,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or written.
    #[error("cannot {action} the secret {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may read or write the file.
    #[error(
        "the secret {path} can be read by others (mode {mode:03o}); whoever read it can make tokens: remove it to get a new one, or chmod 600 it when that is no worry"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Neither this user nor root owns the file.
    #[error(
        "the secret {path} belongs to user {owner}; chown it to the daemon's user or remove it to get a new one"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The file has no key of enough length.
    #[error(
        "the secret {path} is not the base64 of at least {KEY_BYTES} bytes; remove it to get a new one"
    )]
    Weak {
        /// The file.
        path: PathBuf,
    },
    /// The system has no randomness to give.
    #[error("the system gives no random bytes for a new secret: {0}")]
    Random(String),
}

impl Secret {
    /// Reads the key, or makes one (32 random bytes, base64, mode 0600) where there is none. Two processes that do so
    /// at once end up with the same key.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        match Self::load(path) {
            Err(SecretError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// Reads the key.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let io = |source| SecretError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        let mode = meta.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let owner = meta.uid();
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(SecretError::Foreign {
                path: path.to_owned(),
                owner,
            });
        }
        let mut text = String::new();
        let read = file.take(MAX_FILE_BYTES).read_to_string(&mut text);
        match read {
            Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(io(error)),
            _ => match STANDARD.decode(text.trim()) {
                Ok(key) if key.len() >= KEY_BYTES => Ok(Self::from_bytes(&key)),
                _ => Err(SecretError::Weak {
                    path: path.to_owned(),
                }),
            },
        }
    }

    /// A key from its bytes.
    pub(super) fn from_bytes(key: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Writes a new key beside its place and links it there: the name never shows a file that is not whole, and a key that
/// came first stays.
fn create(path: &Path) -> Result<(), SecretError> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| SecretError::Random(error.to_string()))?;
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let io = |source| SecretError::Io {
        action: "create",
        path: path.to_owned(),
        source,
    };
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let linked = write_key(&fresh, &key).and_then(|()| match std::fs::hard_link(&fresh, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = std::fs::remove_file(&fresh);
    linked.and(removed).map_err(io)?;
    path.parent()
        .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        .map_err(io)
}

fn write_key(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{}", STANDARD.encode(key))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        Secret::load_or_create(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(STANDARD.decode(text.trim()).unwrap().len(), KEY_BYTES);
        Secret::load_or_create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(
            dir.path().read_dir().unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_key_that_came_first_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        Secret::load_or_create(&path).unwrap();
        for mode in [0o644, 0o640, 0o602] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = Secret::load_or_create(&path).unwrap_err();
            assert!(
                matches!(error, SecretError::Exposed { mode: seen, .. } if seen == mode),
                "{error}"
            );
        }
    }

    #[test]
    fn a_weak_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("short", STANDARD.encode([7; 31])),
            ("garbage", "not base64!".to_owned()),
            ("empty", String::new()),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let error = Secret::load_or_create(&path).unwrap_err();
            assert!(matches!(error, SecretError::Weak { .. }), "{name}: {error}");
        }
    }
}
