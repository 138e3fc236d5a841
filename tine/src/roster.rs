//! Which nodes run on this machine: each writes a small `node.json` into its directory while it runs, so that commands
//! find it by name. It holds no secret; the cookie that it points at does.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tine_chain::params::Network;

use crate::dirs;
use crate::exit::Error;

/// The file's name.
const FILE: &str = "node.json";
/// The largest file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 64 * 1024;

/// What a running node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its place in the devnet, from 0; lone nodes have 0.
    pub place: u32,
    /// Which chain.
    pub network: Network,
    /// Its process.
    pub pid: u32,
    /// Its libp2p identity.
    pub identity: String,
    /// Where it answers JSON-RPC: `http://host:port/`.
    pub rpc: String,
    /// Where it answers gRPC, as `host:port`, if it does.
    #[serde(default)]
    pub grpc: Option<String>,
    /// Its cookie.
    pub cookie: PathBuf,
    /// Where peers reach it, ready to be given to `--connect`.
    pub listen: Vec<String>,
    /// Where its page is, if it has one.
    pub explorer: Option<String>,
}

/// An entry that is written as long as this lives.
#[derive(Debug)]
pub struct Listed {
    path: PathBuf,
}

impl Entry {
    /// Writes the entry into the node's directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn list(&self, dir: &Path) -> std::io::Result<Listed> {
        let path = dir.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?;
        dirs::write_private(&path, &text)?;
        Ok(Listed { path })
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        // a file left behind is harmless: a command that follows it finds nobody
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Every entry below `root`, whether or not its node still answers: devnet nodes by their place, then the others.
#[must_use]
pub fn entries(root: &Path) -> Vec<Entry> {
    let mut entries: Vec<Entry> = [Network::Devnet, Network::Regtest, Network::Main]
        .into_iter()
        .flat_map(|network| {
            let dir = root.join(dirs::network_name(network));
            let mut found: Vec<Entry> = read(&dir.join(FILE)).into_iter().collect();
            for child in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                found.extend(read(&child.path().join(FILE)));
            }
            found.retain(|entry| entry.network == network);
            found.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.name.cmp(&b.name)));
            found
        })
        .collect();
    entries.dedup_by(|a, b| a.rpc == b.rpc);
    entries
}

/// The entry of the node called `name`.
///
/// # Errors
/// Nobody is called so: exit 3, with those who are.
pub fn find(root: &Path, name: &str) -> Result<Entry, Error> {
    let entries = entries(root);
    if let Some(entry) = entries.iter().find(|entry| entry.name == name) {
        return Ok(entry.clone());
    }
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    Err(Error::Unreachable(if names.is_empty() {
        format!("no node runs in {}: start some with `tine devnet`", root.display())
    } else {
        format!("no node is called {name:?}; there are {}", names.join(", "))
    }))
}

fn read(path: &Path) -> Option<Entry> {
    let size = std::fs::metadata(path).ok()?.len();
    if size > MAX_FILE_SIZE {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, place: u32) -> Entry {
        Entry {
            name: name.into(),
            place,
            network: Network::Devnet,
            pid: 1,
            identity: format!("id-{name}"),
            rpc: format!("http://127.0.0.1:{}/", 18_443 + 10 * place),
            grpc: None,
            cookie: PathBuf::from("/nowhere/.cookie"),
            listen: Vec::new(),
            explorer: None,
        }
    }

    #[test]
    fn nodes_are_found_by_name_in_their_order_as_long_as_they_are_listed() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut listed = Vec::new();
        for (place, name) in [(1, "bob"), (0, "zoe"), (2, "alice")] {
            let dir = dirs::node_dir(root.path(), Network::Devnet, name);
            dirs::create_private(&dir).expect("made");
            listed.push(entry(name, place).list(&dir).expect("written"));
        }
        let names: Vec<String> = entries(root.path()).into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["zoe", "bob", "alice"]);
        assert_eq!(find(root.path(), "bob").expect("there"), entry("bob", 1));
        assert!(
            matches!(find(root.path(), "eve"), Err(Error::Unreachable(why)) if why.contains("zoe, bob, alice"))
        );
        drop(listed);
        assert!(
            matches!(find(root.path(), "bob"), Err(Error::Unreachable(why)) if why.contains("tine devnet"))
        );
    }
}
