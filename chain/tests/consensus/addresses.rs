//! Addresses: bech32m with our prefixes, and nothing else.

use bech32::{Bech32, Bech32m, Hrp};
use proptest::prelude::*;
use tine_chain::address::{Address, AddressError};
use tine_chain::hash::Lock;
use tine_chain::params::Network;
use tine_chain::policy::{Policy, PublicKey};
use tine_chain::reject::Reject;

use crate::support::key;

const OURS: [Network; 3] = [Network::Main, Network::Devnet, Network::Regtest];

fn encoded<C: bech32::Checksum>(hrp: &str, version: u8, data: &[u8]) -> String {
    use bech32::primitives::iter::{ByteIterExt as _, Fe32IterExt as _};
    let hrp = Hrp::parse(hrp).expect("a prefix");
    let version = bech32::Fe32::try_from(version).expect("five bits");
    data.iter()
        .copied()
        .bytes_to_fes()
        .with_checksum::<C>(&hrp)
        .with_witness_version(version)
        .chars()
        .collect()
}

#[test]
fn addresses_are_read_as_they_are_written() {
    for network in OURS {
        let address = Address { network, lock: Policy::key(key(1)).lock() };
        let text = address.to_string();
        assert!(text.starts_with(&format!("{}1q", network.address_hrp())), "{text}");
        assert_eq!(Address::parse(&text), Ok(address));
        assert_eq!(Address::parse(&text.to_uppercase()), Ok(address));
        assert_eq!(encoded::<Bech32m>(network.address_hrp(), 0, &address.lock.0), text);
    }
}

#[test]
fn other_encodings_are_refused_and_say_why() {
    let lock = [3; 32];
    assert!(Address::parse(&encoded::<Bech32m>("tine", 0, &lock)).is_ok());
    // the older checksum, another prefix, another version, other lengths
    assert!(matches!(Address::parse(&encoded::<Bech32>("tine", 0, &lock)), Err(AddressError::Bech32(_))));
    let bitcoin = encoded::<Bech32m>("bc", 0, &lock);
    assert_eq!(Address::parse(&bitcoin), Err(AddressError::UnknownPrefix("bc".to_owned())));
    assert_eq!(Address::parse(&encoded::<Bech32m>("tine", 1, &lock)), Err(AddressError::UnknownVersion(1)));
    assert_eq!(Address::parse(&encoded::<Bech32m>("tine", 31, &lock)), Err(AddressError::UnknownVersion(31)));
    for length in [0, 1, 20, 31, 33, 40] {
        assert_eq!(
            Address::parse(&encoded::<Bech32m>("tine", 0, &vec![3; length])),
            Err(AddressError::Length)
        );
    }
    for text in ["", "tine1", "tine1q", "hello", "1qqqq", "tine1qé"] {
        assert!(Address::parse(text).is_err(), "{text}");
    }
    let good = encoded::<Bech32m>("dtine", 0, &lock);
    assert!(Address::parse(&format!("D{}", &good[1..])).is_err(), "mixed case");
    assert!(Address::parse(&format!(" {good}")).is_err());
}

#[test]
fn left_over_bits_must_be_zero() {
    use bech32::primitives::iter::{ByteIterExt as _, Fe32IterExt as _};
    let hrp = Hrp::parse("tine").expect("a prefix");
    // 32 bytes are 51 symbols and 4 bits of padding; set one of them
    let mut symbols: Vec<bech32::Fe32> = [3_u8; 32].iter().copied().bytes_to_fes().collect();
    let last = symbols.pop().expect("52 symbols");
    symbols.push(bech32::Fe32::try_from(last.to_u8() | 1).expect("five bits"));
    let text: String = symbols
        .into_iter()
        .with_checksum::<Bech32m>(&hrp)
        .with_witness_version(bech32::Fe32::Q)
        .chars()
        .collect();
    assert_eq!(Address::parse(&text), Err(AddressError::Length));
}

#[test]
fn tx_23_no_address_is_made_of_a_weak_key() {
    let weak = Policy::key(PublicKey([0; 32]));
    assert_eq!(Address::of_policy(Network::Devnet, &weak), Err(Reject::WeakKey));
    let good = Policy::key(key(1));
    assert_eq!(Address::of_policy(Network::Devnet, &good).map(|address| address.lock), Ok(good.lock()));
}

proptest! {
    #[test]
    fn one_changed_character_is_always_noticed(lock: [u8; 32], place in 6usize..64, symbol in 0u8..32) {
        let address = Address { network: Network::Devnet, lock: Lock(lock) };
        let text = address.to_string();
        let place = place.min(text.len() - 1);
        let symbol = bech32::Fe32::try_from(symbol).expect("five bits").to_char();
        let mut changed = text.clone();
        changed.replace_range(place..place + 1, &symbol.to_string());
        prop_assert_eq!(Address::parse(&changed).is_ok(), changed == text);
    }
}
