//! The devnet's event log, `<dir>/events.ndjson`: the same lines as a run of the lab writes, so that `tine lab replay`
//! stands at any moment of a devnet too.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tine_node::event::Notice;
use tine_node::record::{Entry, Happening, Recorder};

use super::heard::{self, Heard};
use crate::driver::{self, Stamped};
use crate::fleet::Fleet;

/// The log's length from which on it goes on in a new file, in bytes; the one before is kept as `events.1.ndjson`.
const MAX_LOG: u64 = 64 << 20;
/// Blocks of an older run that a new log begins with, at most.
const MAX_OLD_BLOCKS: u32 = 2_000;
/// How often the file is written out.
const FLUSH: Duration = Duration::from_secs(1);

/// The file, and what is in it.
struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
}

impl EventFile {
    /// Begins a new log; what was there is kept under another name.
    fn begin(path: &Path) -> std::io::Result<Self> {
        if path.exists() {
            std::fs::rename(path, path.with_extension("1.ndjson"))?;
        }
        Ok(Self { path: path.to_owned(), file: BufWriter::new(File::create(path)?), length: 0 })
    }

    fn write(&mut self, entry: &Entry) -> std::io::Result<()> {
        let line = entry.line();
        self.length += line.len() as u64;
        self.file.write_all(line.as_bytes())
    }
}

struct Log {
    fleet: Arc<Fleet>,
    /// Everybody's identity on the network, by place.
    identities: Vec<String>,
    seed: Option<u64>,
    recorder: Recorder,
    file: EventFile,
}

/// Writes until it is aborted. A log that can't be written is reported once, and the devnet goes on.
pub(super) async fn record(path: PathBuf, fleet: Arc<Fleet>, seed: Option<u64>) {
    if let Err(error) = write_all(&path, fleet, seed).await {
        tracing::error!(path = %path.display(), %error, "the event log can't be written");
    }
}

async fn write_all(path: &Path, fleet: Arc<Fleet>, seed: Option<u64>) -> std::io::Result<()> {
    let mut heard = heard::listen(&fleet, FLUSH);
    let members = fleet.members();
    let names = members.iter().map(|member| member.name.clone()).collect();
    let identity = |network: &tine_p2p::Network| network.identity().to_owned();
    let identities = members
        .iter()
        .map(|member| {
            member.running().and_then(|node| node.network.as_ref()).map(identity).unwrap_or_default()
        })
        .collect();
    drop(members);
    let recorder = Recorder::new(names);
    let mut log = Log { fleet, identities, seed, recorder, file: EventFile::begin(path)? };
    log.introduce()?;
    while let Some(heard) = heard.recv().await {
        match heard {
            Heard::Notice(place, stamped) => log.note(place, &stamped)?,
            Heard::Started(place) => log.step(place, "is started")?,
            Heard::Stopped(place) => log.step(place, "is stopped")?,
            Heard::Tick => log.file.file.flush()?,
        }
        if log.file.length > MAX_LOG {
            log.file.file.flush()?;
            log.file = EventFile::begin(&log.file.path.clone())?;
            log.recorder.forget_bodies();
            log.introduce()?;
        }
    }
    Ok(())
}

impl Log {
    /// What was run, and the blocks that every node has already.
    fn introduce(&mut self) -> std::io::Result<()> {
        let start = Happening::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: "devnet".to_owned(),
            seed: self.seed,
            nodes: self.recorder.names().to_vec(),
            scenario: String::new(),
        };
        let now = driver::now();
        self.file.write(&self.recorder.global(now, start))?;
        for place in 0..self.identities.len() {
            let Some(node) = self.fleet.at(place) else { continue };
            let (view, reader) = (node.node.view(), node.node.reader());
            let hashes =
                (1..=view.tip.height.min(MAX_OLD_BLOCKS)).filter_map(|height| view.active.get(height));
            for hash in hashes {
                let (Some(info), Ok(Some(block))) = (view.block(&hash), reader.block(&hash)) else {
                    continue;
                };
                let entry = self.recorder.local(
                    now,
                    place,
                    Happening::Header {
                        block: hash,
                        parent: info.header.prev_block,
                        height: info.height,
                        raw: hex::encode(info.header.to_array()),
                        from: None,
                    },
                );
                self.file.write(&entry)?;
                let happening = self.recorder.body(hash, &block);
                let entry = self.recorder.local(now, place, happening);
                self.file.write(&entry)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, place: usize, text: &str) -> std::io::Result<()> {
        let entry = self.recorder.local(driver::now(), place, Happening::Step { text: text.to_owned() });
        self.file.write(&entry)
    }

    fn note(&mut self, place: usize, stamped: &Stamped) -> std::io::Result<()> {
        let mut from = None;
        if let Notice::HeaderSeen(_, block, height, peer) = &stamped.notice {
            from = peer.and_then(|peer| {
                let view = self.fleet.at(place)?.node.view();
                let identity = &view.peers.iter().find(|known| known.id == peer)?.info.identity;
                self.identities.iter().position(|known| known == identity)
            });
            if peer.is_none() {
                let mined = Happening::Mined { block: *block, height: *height };
                let entry = self.recorder.local(stamped.time, place, mined);
                self.file.write(&entry)?;
            }
        }
        for entry in self.recorder.notice(stamped.time, place, &stamped.notice, from) {
            self.file.write(&entry)?;
        }
        Ok(())
    }
}
