//! The node's key: read from a file that only its owner may read, or derived from a seed.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use libp2p::PeerId;
use libp2p::identity::Keypair;

use crate::config::Identity;
use crate::network::Error;

/// The identity that a node with this key has on the network: its libp2p peer id, base58.
///
/// # Errors
/// [`Error::IdentityFile`].
pub fn identity_of(identity: &Identity) -> Result<String, Error> {
    Ok(peer_id(&keypair(identity)?).to_string())
}

pub(crate) fn peer_id(keypair: &Keypair) -> PeerId {
    keypair.public().to_peer_id()
}

pub(crate) fn keypair(identity: &Identity) -> Result<Keypair, Error> {
    match identity {
        Identity::Seed(seed) => Ok(from_seed(*seed)),
        Identity::File(path) => read_or_make(path)
            .map_err(|reason| Error::IdentityFile { path: path.display().to_string(), reason }),
    }
}

fn from_seed(mut seed: [u8; 32]) -> Keypair {
    Keypair::ed25519_from_bytes(&mut seed).expect("any 32 bytes are an ed25519 secret key")
}

fn read_or_make(path: &Path) -> Result<Keypair, String> {
    match read(path) {
        Ok(keypair) => keypair,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The longest key file that is read: libp2p's protobuf of an ed25519 key is 68 bytes.
const MAX_KEY_FILE: u64 = 1_024;

fn read(path: &Path) -> io::Result<Result<Keypair, String>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_KEY_FILE).read_to_end(&mut bytes)?;
    restrict(path)?;
    Ok(Keypair::from_protobuf_encoding(&bytes).map_err(|error| error.to_string()))
}

fn make(path: &Path) -> io::Result<Keypair> {
    let keypair = Keypair::generate_ed25519();
    let bytes = keypair.to_protobuf_encoding().expect("an ed25519 key has a protobuf encoding");
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // Under another name first, so that a crash never leaves half a key behind.
    let unfinished = path.with_extension("new");
    let mut file = private().write(true).create(true).truncate(true).open(&unfinished)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    restrict(&unfinished)?;
    fs::rename(&unfinished, path)?;
    Ok(keypair)
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    OpenOptions::new()
}

/// Takes away what others may do with the file, should someone have given it to them.
#[cfg(unix)]
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn restrict(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_identity() {
        let one = identity_of(&Identity::Seed([7; 32])).expect("seeds can't fail");
        assert_eq!(one, identity_of(&Identity::Seed([7; 32])).expect("seeds can't fail"));
        assert_ne!(one, identity_of(&Identity::Seed([8; 32])).expect("seeds can't fail"));
    }

    #[test]
    #[cfg(unix)]
    fn the_key_file_is_kept_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("deep").join("p2p.key");
        let mode = || fs::metadata(&path).expect("the file is there").permissions().mode() & 0o777;

        let first = identity_of(&Identity::File(path.clone())).expect("made");
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("our own file");
        assert_eq!(identity_of(&Identity::File(path.clone())).expect("read"), first);
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("p2p.key");
        fs::write(&path, b"not a key").expect("writable");
        assert!(matches!(identity_of(&Identity::File(path.clone())), Err(Error::IdentityFile { .. })));
        assert_eq!(fs::read(&path).expect("still there"), b"not a key");
    }
}
