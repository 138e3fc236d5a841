//! A chain of the devnet that is long and cheap: its blocks are so far apart in time that the difficulty is the least.

use tine_chain::codec::Encode as _;
use tine_chain::params::{Network, Params};
use tine_chain::testing::TestTree;
use tine_chain::transaction::Witness;

use crate::devnet::NAMES;

/// A branch leaves the chain every so many blocks.
const BRANCH_EVERY: u32 = 40;

/// The blocks of a chain of this length, in hexadecimal digits, parents first; one or two stale siblings now and then among
/// them.
pub(super) fn blocks(length: u32) -> Vec<String> {
    let mut tree = TestTree::new(Params::of(Network::Devnet));
    let mut raw = Vec::new();
    let mut parent = "genesis".to_owned();
    let mut mine = |name: &str, parent: &str, miner: &str| {
        let says = format!("/{miner}/{name}").into_bytes();
        let block =
            tree.block_with(name, parent, &[], |draft| draft.coinbase.witnesses = vec![Witness(says)]);
        raw.push(hex::encode(block.to_bytes()));
    };
    for height in 1..=length {
        let name = format!("a{height}");
        let miner = NAMES[height as usize * 7 % NAMES.len()];
        mine(&name, &parent, miner);
        if height.is_multiple_of(BRANCH_EVERY) {
            mine(&format!("b{height}"), &parent, "bob");
            if height.is_multiple_of(2 * BRANCH_EVERY) {
                mine(&format!("c{height}"), &parent, "carol");
            }
        }
        parent = name;
    }
    raw
}
