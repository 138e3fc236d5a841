//! Who may call: the cookie file and Basic authentication, as in Bitcoin Core.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::{Choice, ConstantTimeEq};
use tine_chain::hash::sha256;

/// The user of the cookie file.
pub const COOKIE_USER: &str = "__cookie__";

/// How long a wrong password waits for its answer (Core: 250 ms, "deter brute-forcing").
pub(crate) const FAILURE_DELAY: Duration = Duration::from_millis(250);

/// `<datadir>/<network>/.cookie`: a password that is new at each start, readable by its owner only.
///
/// Removed when dropped, if it is still the one that was written.
#[derive(Debug)]
pub struct Cookie {
    path: PathBuf,
    credentials: String,
}

impl Cookie {
    /// Makes a password and writes it, mode 0600.
    ///
    /// # Errors
    /// When the path is a symbolic link or anything else that is not a plain file, or can't be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let credentials = format!("{COOKIE_USER}:{}", hex::encode(secret));
        remove_plain_file(path)?;
        // written aside and renamed: who reads it sees all of it or none
        let aside = path.with_extension("cookie.new");
        remove_plain_file(&aside)?;
        // create_new neither follows a link nor opens what someone else has put there meanwhile
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(credentials.as_bytes())?;
        fs::rename(&aside, path)?;
        Ok(Self { path: path.to_owned(), credentials })
    }

    /// `user:password`.
    #[must_use]
    pub fn credentials(&self) -> &str {
        &self.credentials
    }
}

impl Drop for Cookie {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|found| found == self.credentials) {
            // nothing is lost when this fails: the password is worthless after the stop
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn remove_plain_file(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_file() => fs::remove_file(path),
        Ok(_) => {
            let message = format!("{} is not a plain file: refusing to put a password there", path.display());
            Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Everyone who may call, as digests of `user:password`.
#[derive(Clone)]
pub(crate) struct Credentials(Vec<[u8; 32]>);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} users)", self.0.len())
    }
}

impl Credentials {
    /// Those whose `user:password` is in the list.
    pub(crate) fn new<'a>(list: impl IntoIterator<Item = &'a str>) -> Self {
        Self(list.into_iter().map(|credentials| sha256(credentials.as_bytes())).collect())
    }

    /// Whether an `Authorization` header is that of one of them; the time taken says nothing about how close it was.
    pub(crate) fn allow(&self, header: &str) -> bool {
        let Some(encoded) = header.strip_prefix("Basic ") else { return false };
        let Ok(given) = BASE64_STANDARD.decode(encoded.trim()) else { return false };
        let given = sha256(&given);
        self.0.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&given)).into()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn rpc_02_a_cookie_is_private_and_goes_with_its_node() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".cookie");
        fs::write(&path, "left behind by a crash").unwrap();
        let cookie = Cookie::create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, cookie.credentials());
        assert_eq!(text.len(), COOKIE_USER.len() + 1 + 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(cookie);
        assert!(!path.exists());
        let cookie = Cookie::create(&path).unwrap();
        assert_ne!(cookie.credentials(), text, "a new password at each start");
        fs::write(&path, "another node's").unwrap();
        drop(cookie);
        assert!(path.exists(), "another node's cookie stays");
    }

    #[test]
    fn rpc_02_a_link_or_a_bad_directory_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".cookie");
        let target = dir.path().join("precious");
        fs::write(&target, "kept").unwrap();
        symlink(&target, &path).unwrap();
        assert!(Cookie::create(&path).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
        assert!(Cookie::create(&dir.path().join("nowhere/.cookie")).is_err());
        fs::create_dir(dir.path().join("directory")).unwrap();
        assert!(Cookie::create(&dir.path().join("directory")).is_err());
    }

    #[test]
    fn rpc_01_only_the_right_words_open() {
        let known = Credentials::new(["alice:secret", "bob:pass:word"]);
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert!(known.allow(&basic("alice:secret")));
        assert!(known.allow(&basic("bob:pass:word")));
        for wrong in ["alice:secreT", "alice:", ":", "", "alice:secret ", "bob:secret", "alice:secret\0"] {
            assert!(!known.allow(&basic(wrong)), "{wrong}");
        }
        assert!(!known.allow("Bearer x") && !known.allow("Basic !!!") && !known.allow("basic"));
        assert!(!Credentials::new([]).allow(&basic("")));
    }
}
