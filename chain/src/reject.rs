//! Why a header, a block or a transaction is refused: one variant for each rule.
//!
//! The same value travels to the ban decision, the RPC answer, the journal and the test. Its text is Bitcoin Core's
//! reject string, so that what a student has read elsewhere is what they find here.

/// What a rejection means for the one who sent the thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The thing can never be valid: mark its hash, punish the sender.
    Invalid,
    /// These bytes are wrong, the hash may still have an honest body: punish the sender, never mark.
    Mutated,
    /// It may become valid: neither mark nor punish.
    Premature,
    /// Our own state or mistake: neither mark nor punish.
    Local,
}

macro_rules! rejects {
    ($($(#[$doc:meta])* $variant:ident = $reason:literal, $fault:ident;)*) => {
        /// One variant for each rule. [`Reject::reason`] is Core's reject string, [`Reject::fault`] what it means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reject {
            $($(#[$doc])* $variant,)*
        }

        impl Reject {
            /// Every variant, in order: tests walk it.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Core's reject string, or ours where Core has no such rule.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }

            /// What the rejection means for the sender.
            #[must_use]
            pub fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }
        }
    };
}

rejects! {
    // -- headers
    /// The hash is over the target that `bits` encodes, or `bits` encodes no allowed target.
    HighHash = "high-hash", Invalid;
    /// `bits` is not what the chain demands at this height.
    BadDiffBits = "bad-diffbits", Invalid;
    /// The time is not greater than the median of the last 11.
    TimeTooOld = "time-too-old", Invalid;
    /// The time is too far ahead of our clock.
    TimeTooNew = "time-too-new", Premature;
    /// BIP 54: a period's first block is earlier than its predecessor by more than the grace.
    TimeTimewarp = "time-timewarp-attack", Invalid;
    /// BIP 54: a period's last block is earlier than its first (Murch–Zawy).
    TimeMurchZawy = "time-murch-zawy-attack", Invalid;
    /// The version is below the least that is allowed.
    BadVersion = "bad-version", Invalid;
    /// The parent is not known.
    PrevBlockNotFound = "prev-blk-not-found", Premature;
    /// The parent is invalid.
    BadPrevBlock = "bad-prevblk", Invalid;
    /// The block is known to be invalid.
    DuplicateInvalid = "duplicate-invalid", Invalid;

    // -- blocks
    /// The bytes are not a block.
    BlockDecode = "block-decode", Mutated;
    /// No transactions, or more bytes than a block may have.
    BadBlockLength = "bad-blk-length", Mutated;
    /// The header's Merkle root is not that of the transactions.
    BadMerkleRoot = "bad-txnmrklroot", Mutated;
    /// The list of transactions repeats a subtree (CVE-2012-2459).
    DuplicateTransactions = "bad-txns-duplicate", Mutated;
    /// The first transaction is not a coinbase.
    CoinbaseMissing = "bad-cb-missing", Invalid;
    /// A later transaction is a coinbase.
    CoinbaseMultiple = "bad-cb-multiple", Invalid;
    /// The coinbase's lock time is not the height − 1, or its sequence is final (BIP 54).
    CoinbaseHeight = "bad-cb-height", Invalid;
    /// The coinbase's witness is not 1 to 100 bytes.
    CoinbaseLength = "bad-cb-length", Invalid;
    /// The coinbase pays more than subsidy and fees.
    CoinbaseAmount = "bad-cb-amount", Invalid;
    /// The fees of the block leave the range of money.
    FeesOutOfRange = "bad-txns-accumulated-fee-outofrange", Invalid;

    // -- transactions, by themselves
    /// The bytes are not a transaction.
    TxDecode = "tx-decode", Mutated;
    /// No inputs.
    NoInputs = "bad-txns-vin-empty", Invalid;
    /// No outputs.
    NoOutputs = "bad-txns-vout-empty", Invalid;
    /// More bytes than a transaction may have.
    TxTooLarge = "bad-txns-oversize", Invalid;
    /// An output is worth more than all money.
    OutputTooLarge = "bad-txns-vout-toolarge", Invalid;
    /// The outputs together are worth more than all money.
    OutputTotalTooLarge = "bad-txns-txouttotal-toolarge", Invalid;
    /// One coin is spent twice by the same transaction (CVE-2018-17144).
    DuplicateInputs = "bad-txns-inputs-duplicate", Invalid;
    /// An input of a transaction that is no coinbase points at nothing.
    NullPrevout = "bad-txns-prevout-null", Invalid;
    /// The number of witnesses is not the number of inputs.
    WitnessCount = "bad-txns-witness-count", Invalid;

    // -- transactions, at their place in a chain
    /// Its lock time has not come.
    NonFinal = "bad-txns-nonfinal", Invalid;
    /// An input's relative lock has not come (BIP 68).
    SequenceLock = "bad-txns-sequence-lock", Invalid;
    /// A coin does not exist, or was spent.
    InputsMissingOrSpent = "bad-txns-inputs-missingorspent", Invalid;
    /// A coinbase's output is spent too early.
    PrematureSpend = "bad-txns-premature-spend-of-coinbase", Invalid;
    /// The inputs together are worth more than all money.
    InputValuesOutOfRange = "bad-txns-inputvalues-outofrange", Invalid;
    /// The outputs are worth more than the inputs.
    InBelowOut = "bad-txns-in-belowout", Invalid;

    // -- witnesses
    /// The witness is not the encoding of a policy and what satisfies it.
    WitnessDecode = "bad-witness-decode", Invalid;
    /// The witness reveals a policy that the coin is not locked to.
    WitnessMismatch = "bad-witness-lock-mismatch", Invalid;
    /// A key in a policy is not canonical or is of small order.
    WeakKey = "bad-witness-weak-key", Invalid;
    /// A signature does not verify.
    BadSignature = "bad-witness-signature", Invalid;
    /// A preimage does not hash to what the policy asks for.
    BadPreimage = "bad-witness-preimage", Invalid;
    /// An absolute lock of the policy is not met (BIP 65).
    UnsatisfiedAfter = "bad-witness-after", Invalid;
    /// A relative lock of the policy is not met (BIP 112).
    UnsatisfiedOlder = "bad-witness-older", Invalid;

    // -- mempool policy: of no consequence for blocks
    /// A coinbase on its own.
    LooseCoinbase = "coinbase", Invalid;
    /// In the mempool already.
    AlreadyInMempool = "txn-already-in-mempool", Local;
    /// Mined already, and an output is unspent.
    AlreadyKnown = "txn-already-known", Local;
    /// Spends a coin that a transaction in the mempool spends, which did not say that it may be replaced.
    MempoolConflict = "txn-mempool-conflict", Local;
    /// A replacement pays too little: in sum, for its bytes, or over what it replaces (BIP 125, rules 3 and 4).
    InsufficientFee = "insufficient fee", Local;
    /// A replacement spends an unconfirmed output that what it replaces does not spend (BIP 125, rule 2).
    ReplacementAddsUnconfirmed = "replacement-adds-unconfirmed", Local;
    /// A replacement would remove too many transactions (BIP 125, rule 5).
    TooManyReplacements = "too many potential replacements", Local;
    /// Spends an output of a transaction that spends the same coin: at most one of the two can ever be mined, and it
    /// needs both.
    SpendsConflicting = "bad-txns-spends-conflicting-tx", Invalid;
    /// Breaks a limit for transactions of version 3 and those that spend from them (BIP 431).
    Truc = "TRUC-violation", Local;
    /// Spends coins that we do not know.
    MissingInputs = "missing-inputs", Premature;
    /// Not final in the next block.
    PrematureNonFinal = "non-final", Premature;
    /// A relative lock that the next block does not meet.
    PrematureSequenceLock = "non-BIP68-final", Premature;
    /// A coinbase's output that the next block may not spend.
    PrematureCoinbaseSpend = "premature-spend-of-coinbase", Premature;
    /// Pays less than the mempool asks for.
    MinFeeNotMet = "mempool min fee not met", Local;
    /// Too many unconfirmed ancestors or descendants.
    TooLongChain = "too-long-mempool-chain", Local;
    /// The mempool is full of better transactions.
    MempoolFull = "mempool full", Local;
    /// An output that costs more to spend than it is worth.
    Dust = "dust", Local;
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Reject {}
