//! The cookie file, as in Bitcoin Core.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The user of the cookie file.
pub const COOKIE_USER: &str = "__cookie__";

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
}
