//! Where things are kept: `<root>/<network>/` for a node, `<root>/devnet/<name>/` for the nodes of a devnet.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tine_chain::params::Network;

use crate::exit::Error;

/// The root when none is given: `~/.tine`.
///
/// # Errors
/// There is no home directory.
pub fn default_root() -> Result<PathBuf, Error> {
    std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .map(|home| home.join(".tine"))
        .ok_or_else(|| Error::Usage("there is no home directory: say --dir".into()))
}

/// The name of a network's directory.
#[must_use]
pub fn network_name(network: Network) -> &'static str {
    match network {
        Network::Main => "main",
        Network::Devnet => "devnet",
        Network::Regtest => "regtest",
        Network::Bitcoin => "bitcoin",
    }
}

/// The directory of a node.
#[must_use]
pub fn node_dir(root: &Path, network: Network, name: &str) -> PathBuf {
    let dir = root.join(network_name(network));
    match network {
        Network::Devnet => dir.join(name),
        Network::Main | Network::Regtest | Network::Bitcoin => dir,
    }
}

/// Names become file names: 1 to 32 letters, digits, `-` or `_`, the first a letter or digit.
///
/// # Errors
/// Anything else, named.
pub fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() <= 32 && name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Error::Usage(format!("{what} {name:?}: a name has 1 to 32 letters, digits, - or _")))
}

/// Makes a directory, and those above it, for the owner alone (mode 0700).
///
/// # Errors
/// What the system says.
pub fn create_private(dir: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Writes a file that its owner alone can read (mode 0600), whole or not at all: a reader never sees half of it.
///
/// # Errors
/// What the system says.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_directory_are_refused() {
        for name in ["alice", "node-1", "a_b", "7"] {
            assert!(check_name("--name", name).is_ok(), "{name}");
        }
        for name in ["", "..", "a/b", "-x", ".hidden", "a b", "ä", &"x".repeat(33)] {
            assert!(matches!(check_name("--name", name), Err(Error::Usage(_))), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn private_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("secret");
        write_private(&path, b"one").expect("written");
        write_private(&path, b"two").expect("written again");
        assert_eq!(std::fs::read(&path).expect("read"), b"two");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
