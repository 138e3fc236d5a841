//! The acceptance rule for signatures: ZIP-215, the same alone and in any batch.

use proptest::prelude::*;
use tine_chain::policy::PublicKey;
use tine_chain::reject::Reject;
use tine_chain::signature::{Parallel, SignatureCheck, public_key, sign, verify_batch, verify_one};

use crate::support::{bytes, json, key, secret};

/// The twelve edge cases of ed25519-speccheck with ZIP-215's verdicts.
fn edge_cases() -> Vec<(SignatureCheck, bool)> {
    let file = json("ed25519_speccheck.json");
    let verdicts = file["published_library_verdicts_2021"]["Zebra (ZIP215)"].as_str().expect("a string");
    let cases: Vec<_> = file["vectors"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(verdicts.chars())
        .map(|(vector, verdict)| {
            let check = SignatureCheck {
                key: bytes(&vector["pub_key"]),
                message: bytes(&vector["message"]),
                signature: bytes(&vector["signature"]),
            };
            (check, verdict == 'V')
        })
        .collect();
    assert_eq!(cases.len(), 12);
    cases
}

fn honest(n: u8) -> SignatureCheck {
    let message = [n.wrapping_mul(31); 32];
    SignatureCheck { key: key(n).0, message, signature: sign(&secret(n), &message) }
}

#[test]
fn tx_24_tx_25_tx_27_edge_cases_get_the_verdicts_of_zip_215_alone_and_in_batches() {
    for (place, (check, valid)) in edge_cases().into_iter().enumerate() {
        assert_eq!(verify_one(&check), valid, "case {place}");
        for parallel in [Parallel::Inline, Parallel::AllCores] {
            assert_eq!(verify_batch(&[check], parallel).is_ok(), valid, "case {place} in a batch of one");
            // among 40 honest ones, at the start, in the middle and at the end
            for at in [0, 20, 40] {
                let mut batch: Vec<_> = (1..=40).map(honest).collect();
                batch.insert(at, check);
                let verdict = if valid { Ok(()) } else { Err(at) };
                assert_eq!(verify_batch(&batch, parallel), verdict, "case {place} at {at}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// dalek's own batch changed 178 of 800 such verdicts when the batch was reordered.
    #[test]
    fn tx_28_a_batch_agrees_with_single_checks_in_any_order(
        picks in prop::collection::vec((0usize..20, any::<u64>()), 1..80),
        all_cores: bool,
    ) {
        let mut cases = edge_cases();
        cases.extend((1..=8).map(|n| (honest(n), true)));
        let mut picks = picks;
        picks.sort_by_key(|(_, order)| *order);
        let batch: Vec<_> = picks.iter().map(|(case, _)| cases[*case].0).collect();
        let guilty = picks.iter().position(|(case, _)| !cases[*case].1);
        let parallel = if all_cores { Parallel::AllCores } else { Parallel::Inline };
        prop_assert_eq!(verify_batch(&batch, parallel), guilty.map_or(Ok(()), Err));
    }
}

#[test]
fn the_guilty_one_of_many_is_named() {
    let mut batch: Vec<_> = (0..2_500_u32).map(|n| honest((n % 200) as u8)).collect();
    for parallel in [Parallel::Inline, Parallel::AllCores] {
        assert_eq!(verify_batch(&batch, parallel), Ok(()));
        assert_eq!(verify_batch(&[], parallel), Ok(()));
    }
    batch[2_100].signature[40] ^= 1;
    batch[1_777].message[0] ^= 1;
    for parallel in [Parallel::Inline, Parallel::AllCores] {
        assert_eq!(verify_batch(&batch, parallel), Err(1_777));
    }
}

#[test]
fn tx_17_tx_30_wrong_keys_and_degenerate_signatures_are_refused() {
    let good = honest(1);
    assert!(verify_one(&good));
    for spoiled in [
        SignatureCheck { key: key(2).0, ..good },
        SignatureCheck { message: [0; 32], ..good },
        SignatureCheck { signature: [0; 64], ..good },
        SignatureCheck { signature: [0xff; 64], ..good },
    ] {
        assert!(!verify_one(&spoiled));
        assert_eq!(verify_batch(&[good, spoiled], Parallel::Inline), Err(1));
    }
    // degenerate keys: no panic, and for the identity what ZIP-215 says (which is why no policy may hold it)
    let mut identity = [0; 32];
    identity[0] = 1;
    for key in [[0; 32], identity, [0xff; 32]] {
        for signature in [[0; 64], [0xff; 64], good.signature] {
            let check = SignatureCheck { key, signature, ..good };
            assert_eq!(verify_one(&check), verify_batch(&[check], Parallel::Inline).is_ok());
        }
        assert_eq!(PublicKey(key).check(), Err(Reject::WeakKey));
    }
}

#[test]
fn rfc_8032_keys_and_signatures() {
    // RFC 8032, 7.1, "TEST SHA(abc)" has the only short fixed-length message; ours are 32 bytes, so this pins the key
    let hex32 = |text: &str| -> [u8; 32] { hex::decode(text).expect("hex").try_into().expect("32 bytes") };
    let secret = hex32("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = hex32("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(public_key(&secret), PublicKey(public));
    let signature = sign(&secret, &[5; 32]);
    assert_eq!(signature, sign(&secret, &[5; 32]), "deterministic");
    assert!(verify_one(&SignatureCheck { key: public, message: [5; 32], signature }));
}

// -- keys that no policy may hold

/// All 40 encodings that are not canonical: y from p to 2^255 − 1 with either sign, and y = ±1 with a sign on x = 0.
fn non_canonical_encodings() -> Vec<[u8; 32]> {
    let mut encodings = Vec::new();
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, high);
            encodings.push(y);
        }
    }
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    encodings.extend([one, minus_one]);
    encodings
}

/// "Re-encode the point and compare bytes."
fn is_canonical_by_encoding_again(key: &[u8; 32]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(key)
        .is_ok_and(|point| point.to_edwards().compress().to_bytes() == *key)
}

#[test]
fn tx_26_no_non_canonical_key_is_accepted() {
    let encodings = non_canonical_encodings();
    assert_eq!(encodings.len(), 40);
    let decodable =
        encodings.iter().filter(|key| ed25519_dalek::VerifyingKey::from_bytes(key).is_ok()).count();
    assert_eq!(decodable, 26, "these are the ones that only our check keeps out");
    for encoding in encodings {
        assert!(!is_canonical_by_encoding_again(&encoding));
        assert_eq!(PublicKey(encoding).check(), Err(Reject::WeakKey));
    }
}

#[test]
fn tx_23_no_key_of_small_order_is_accepted() {
    let canonical = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    for text in canonical {
        let key: PublicKey = text.parse().expect("64 digits");
        assert!(is_canonical_by_encoding_again(&key.0), "{text}");
        assert_eq!(key.check(), Err(Reject::WeakKey), "{text}");
    }
    // ZIP-215 accepts their forgeries, so keeping them out of policies is what protects coins
    let [(forgery, accepted), ..] = edge_cases()[..] else { unreachable!("twelve cases") };
    assert!(accepted && PublicKey(forgery.key).check() == Err(Reject::WeakKey));
}

proptest! {
    #[test]
    fn tx_26_the_key_check_is_encoding_again(bytes: [u8; 32], secret: [u8; 32]) {
        let weak = ed25519_dalek::VerifyingKey::from_bytes(&bytes).is_ok_and(|key| key.is_weak());
        prop_assert_eq!(PublicKey(bytes).check().is_ok(), is_canonical_by_encoding_again(&bytes) && !weak);
        prop_assert_eq!(public_key(&secret).check(), Ok(()));
    }
}

// -- what would undo all this

/// Cargo unites features: one crate anywhere that asks for `legacy_compatibility` would change our rule, and one that
/// asks dalek for `batch` would put its batch within reach.
#[test]
fn tx_28_no_package_asks_for_legacy_compatibility_or_dalek_batches() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let mut manifests = vec![root.join("Cargo.toml")];
    for entry in std::fs::read_dir(root).expect("a directory") {
        let manifest = entry.expect("an entry").path().join("Cargo.toml");
        if manifest.is_file() {
            manifests.push(manifest);
        }
    }
    assert!(manifests.len() >= 7, "all packages are found");
    for manifest in manifests {
        let text = std::fs::read_to_string(&manifest).expect("a manifest");
        assert!(!text.contains("legacy_compatibility"), "{}", manifest.display());
        let dalek = text.lines().filter(|line| line.trim_start().starts_with("ed25519-dalek"));
        for line in dalek {
            assert!(!line.contains("\"batch\""), "{}: {line}", manifest.display());
        }
    }
}

/// The same seen from behind: with `legacy_compatibility` switched on anywhere in this build, dalek takes this S, which
/// is over the group order.
#[test]
fn tx_28_this_build_has_no_legacy_compatibility() {
    let (over, accepted) = edge_cases()[6];
    assert!(!accepted);
    let key = ed25519_dalek::VerifyingKey::from_bytes(&over.key).expect("a point");
    let signature = ed25519_dalek::Signature::from_bytes(&over.signature);
    assert!(ed25519_dalek::Verifier::verify(&key, &over.message, &signature).is_err());
}
