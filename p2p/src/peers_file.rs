//! The peers and bans that outlive a restart: a small JSON file, written whole and then moved into place.
//!
//! A file that can't be read, whatever is wrong with it, is as good as none: discovery starts over.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};
use tine_chain::time::Time;

use crate::bans::{Bans, MAX_BANS, Term};
use crate::book::{MAX_ADDRESSES, MAX_PEERS};
use crate::range::IpRange;

/// The longest file that is read. A full one is about a third of this.
const MAX_FILE: u64 = 2 << 20;
const VERSION: u32 = 1;

/// What the file says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Remembered {
    version: u32,
    pub(crate) peers: Vec<RememberedPeer>,
    identities_banned: Vec<(String, Time)>,
    addresses_banned: Vec<(IpRange, Time)>,
}

/// A peer that was connected once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RememberedPeer {
    pub(crate) identity: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) last_seen: Time,
    /// We were connected to it, having dialled it, when the file was written: the first to try again, so that
    /// whoever makes us restart does not choose our peers (Core: anchors).
    pub(crate) anchor: bool,
}

impl RememberedPeer {
    /// The identity and addresses, if they are any.
    pub(crate) fn parse(&self) -> Option<(PeerId, Vec<Multiaddr>)> {
        let identity = self.identity.parse().ok()?;
        let addresses: Vec<_> =
            self.addresses.iter().take(MAX_ADDRESSES).filter_map(|address| address.parse().ok()).collect();
        (!addresses.is_empty()).then_some((identity, addresses))
    }
}

impl Remembered {
    pub(crate) fn new(peers: Vec<RememberedPeer>, bans: &Bans) -> Self {
        Self {
            version: VERSION,
            peers,
            identities_banned: bans.identities().map(|(id, term)| (id.to_string(), term.until)).collect(),
            addresses_banned: bans.addresses().map(|(range, term)| (range, term.until)).collect(),
        }
    }

    /// The bans that are not over.
    pub(crate) fn bans(&self, now: Time) -> Bans {
        let mut bans = Bans::default();
        for (identity, until) in
            self.identities_banned.iter().take(MAX_BANS).filter(|(_, until)| now < *until)
        {
            if let Ok(identity) = identity.parse() {
                bans.ban_identity(identity, Term { since: now, until: *until });
            }
        }
        for (range, until) in self.addresses_banned.iter().take(MAX_BANS).filter(|(_, until)| now < *until) {
            bans.ban_addresses(*range, Term { since: now, until: *until });
        }
        bans
    }
}

/// Reads the file. `Err` says what is wrong with it; a file that is not there is an empty one.
pub(crate) fn read(path: &Path) -> Result<Remembered, String> {
    let mut bytes = Vec::new();
    match fs::File::open(path) {
        Ok(file) => file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Remembered::default()),
        Err(error) => return Err(error.to_string()),
    };
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("over {MAX_FILE} bytes long"));
    }
    let mut remembered: Remembered = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if remembered.version != VERSION {
        return Err(format!("version {} is not {VERSION}", remembered.version));
    }
    remembered.peers.truncate(MAX_PEERS);
    Ok(remembered)
}

/// Writes the file so that a crash leaves the old one or the new one.
pub(crate) fn write(path: &Path, remembered: &Remembered) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let unfinished = path.with_extension("new");
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(&serde_json::to_vec_pretty(remembered)?)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Remembered {
        let peer = RememberedPeer {
            identity: PeerId::random().to_string(),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            last_seen: Time(5),
            anchor: true,
        };
        let mut bans = Bans::default();
        bans.ban_identity(PeerId::random(), Term { since: Time(0), until: Time(100) });
        bans.ban_addresses(
            "1.2.0.0/16".parse().expect("an address"),
            Term { since: Time(0), until: Time(50) },
        );
        Remembered::new(vec![peer], &bans)
    }

    #[test]
    fn what_is_written_is_read_and_expired_bans_are_dropped() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("new").join("peers.json");
        assert!(read(&path).expect("not there is empty").peers.is_empty());
        let written = sample();
        write(&path, &written).expect("writable");
        let found = read(&path).expect("readable");
        assert_eq!(found.peers, written.peers);
        let bans = found.bans(Time(60));
        assert_eq!((bans.identities().count(), bans.addresses().count()), (1, 0));
    }

    #[test]
    fn p2p_24_a_broken_file_is_refused_at_every_cut_and_every_flip_without_harm() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("peers.json");
        let whole = serde_json::to_vec(&sample()).expect("serialisable");
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).expect("writable");
            assert!(read(&path).is_err(), "cut at {end}");
        }
        for index in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[index] ^= 0x80;
            fs::write(&path, &flipped).expect("writable");
            assert!(read(&path).is_err(), "every byte above 7f breaks the UTF-8, at {index}");
        }
        fs::write(&path, vec![b' '; MAX_FILE as usize + 1]).expect("writable");
        assert!(read(&path).is_err());
        fs::write(&path, br#"{"version":9,"peers":[],"identities_banned":[],"addresses_banned":[]}"#)
            .expect("writable");
        assert!(read(&path).is_err());
    }
}
