//! What can befall a world, as data: a scenario's step, a storm's fault, a call of one of [`World`](crate::world::World)'s
//! methods.

use std::time::Duration;

use tine_chain::amount::Amount;
use tine_chain::params::Params;
use tine_node::Strategy;

use crate::network::LinkQuality;

/// Something done to the world at a moment.
#[derive(Debug, Clone)]
pub enum Order {
    /// Links between different groups go down, and both ends notice. Hosts named nowhere form one more group.
    Partition {
        /// Who is with whom.
        groups: Vec<Vec<usize>>,
    },
    /// The partition ends, and every direction of every link is as good as all others again.
    Heal,
    /// One direction of a link gets a quality of its own.
    Quality {
        /// From this host …
        from: usize,
        /// … to this one; both directions are two orders.
        to: usize,
        /// How good it is from now on.
        quality: LinkQuality,
    },
    /// A link comes up, a new one if there was none.
    Connect {
        /// Who dials.
        from: usize,
        /// Who is dialled.
        to: usize,
    },
    /// A link goes down, until it is connected again or the network heals.
    Disconnect {
        /// One end.
        a: usize,
        /// The other.
        b: usize,
    },
    /// A host stops. What was committed is on its disk.
    Stop {
        /// The host.
        node: usize,
    },
    /// A host that was stopped starts again, from its disk.
    Start {
        /// The host.
        node: usize,
    },
    /// A host's clock is ahead of the world's by so many milliseconds, or behind.
    Skew {
        /// The host.
        node: usize,
        /// Added to the world's time.
        ms: i64,
    },
    /// A host takes so long over each message that carries a block or a part of one.
    Slow {
        /// The host.
        node: usize,
        /// Each.
        delay: Duration,
    },
    /// A host's hash rate changes.
    Share {
        /// The host.
        node: usize,
        /// As a share of the configured total: the sum over all hosts need not be 1.
        share: f64,
    },
    /// A host follows other rules from now on; it is restarted.
    Rules {
        /// The host.
        node: usize,
        /// The rules.
        params: Box<Params>,
    },
    /// A host misbehaves from now on, or is honest again.
    Byzantine {
        /// The host.
        node: usize,
        /// How; `None`: not at all.
        strategy: Option<Strategy>,
    },
    /// A host finds a block now.
    Mine {
        /// The host.
        node: usize,
    },
    /// A host pays another from its own coins.
    Pay {
        /// Who pays, and at whose node.
        from: usize,
        /// Who is paid.
        to: usize,
        /// How much.
        amount: Amount,
        /// And to the miner.
        fee: Amount,
    },
}
