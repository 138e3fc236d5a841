//! Who may call, and what: Basic authentication, salted hashes and whitelists, as in Bitcoin Core.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use tine_chain::hash::sha256;

/// Digits of the hash that Core's `rpcauth.py` writes.
const HASH_DIGITS: usize = 64;
/// Digits of a salt, at most; `rpcauth.py` writes 32 now, and wrote fewer.
const MAX_SALT_DIGITS: usize = 64;

/// A caller who was let in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// The name.
    pub(crate) name: String,
    /// What may be called; `None`: everything.
    methods: Option<BTreeSet<String>>,
}

impl User {
    /// Whether the user may call `method`.
    pub(crate) fn may_call(&self, method: &str) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(method))
    }
}

/// How a user is known.
#[derive(Clone, PartialEq, Eq)]
enum Proof {
    /// SHA-256 of `user:password`: equal lengths, so that comparing says nothing about how close it was.
    Digest([u8; 32]),
    /// Core's `rpcauth`: HMAC-SHA256 of the password, keyed by the salt's digits.
    Salted { salt: String, hash: [u8; 32] },
}

/// `user:password`, or `user:salt$hash` as Core's `rpcauth.py` writes it: then the password itself is nowhere on this
/// machine.
fn parse_login(text: &str) -> Result<(String, Proof), String> {
    let Some((name, rest)) = text.split_once(':').filter(|(name, _)| !name.is_empty()) else {
        return Err("must read user:password or user:salt$hash".to_owned());
    };
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some((salt, hash)) = rest.split_once('$')
        && (is_hex(salt) && salt.len() <= MAX_SALT_DIGITS)
        && (is_hex(hash) && hash.len() == HASH_DIGITS)
    {
        let mut bytes = [0; 32];
        hex::decode_to_slice(hash, &mut bytes).expect("64 digits, checked above");
        return Ok((name.to_owned(), Proof::Salted { salt: salt.to_owned(), hash: bytes }));
    }
    Ok((name.to_owned(), Proof::Digest(sha256(text.as_bytes()))))
}

/// `user:method,method`.
fn parse_whitelist(text: &str) -> Result<(String, BTreeSet<String>), String> {
    let Some((name, methods)) = text.split_once(':').filter(|(name, _)| !name.is_empty()) else {
        return Err(format!("{text:?} must read user:method,method"));
    };
    let methods = methods.split([',', ' ']).filter(|method| !method.is_empty()).map(str::to_owned);
    Ok((name.to_owned(), methods.collect()))
}

/// Whether a text is a login as the configuration takes it.
///
/// # Errors
/// What is wrong with it; the text itself, which holds a secret, is not repeated.
pub fn check_login(text: &str) -> Result<(), String> {
    parse_login(text).map(|_| ())
}

/// Whether a text is a whitelist as the configuration takes it, of methods that there are.
///
/// # Errors
/// What is wrong with it.
pub fn check_whitelist(text: &str) -> Result<(), String> {
    let (_, methods) = parse_whitelist(text)?;
    match methods.iter().find(|method| super::registry::find(method).is_none()) {
        Some(method) => Err(format!("{text:?}: there is no method {method}")),
        None => Ok(()),
    }
}

/// Everyone who may call.
#[derive(Clone)]
pub(crate) struct Users(Vec<(Arc<User>, Proof)>);

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Users({})", self.0.len())
    }
}

impl Users {
    /// Those of `logins`. Who has a whitelist may call what is in it; who is in several may call what is in all of them;
    /// who has none may call everything.
    ///
    /// # Errors
    /// What is wrong with a login or a whitelist.
    pub(crate) fn new<'a>(
        logins: impl IntoIterator<Item = &'a str>,
        whitelists: &[String],
    ) -> Result<Self, String> {
        let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for text in whitelists {
            let (name, methods) = parse_whitelist(text)?;
            let both = allowed.get(&name).map(|known| known & &methods);
            allowed.insert(name, both.unwrap_or(methods));
        }
        let user = |text: &str| {
            let (name, proof) = parse_login(text)?;
            let methods = allowed.get(&name).cloned();
            Ok((Arc::new(User { name, methods }), proof))
        };
        logins.into_iter().map(user).collect::<Result<_, String>>().map(Self)
    }

    /// Who sent an `Authorization` header, if it is one of them. All are tried, whoever it was.
    pub(crate) fn find(&self, header: &str) -> Option<Arc<User>> {
        let given = BASE64_STANDARD.decode(header.strip_prefix("Basic ")?.trim()).ok()?;
        let digest = sha256(&given);
        let mut found = None;
        for (user, proof) in &self.0 {
            let matches = match proof {
                Proof::Digest(known) => known.ct_eq(&digest),
                Proof::Salted { salt, hash } => salted(&given, &user.name, salt).ct_eq(hash),
            };
            if bool::from(matches & is_user(&given, &user.name)) {
                found = Some(Arc::clone(user));
            }
        }
        found
    }
}

fn is_user(given: &[u8], name: &str) -> Choice {
    let start = given.split(|byte| *byte == b':').next().unwrap_or_default();
    start.ct_eq(name.as_bytes())
}

/// HMAC-SHA256 of the password in `user:password`.
fn salted(given: &[u8], name: &str, salt: &str) -> [u8; 32] {
    let password = given.get(name.len() + 1..).unwrap_or_default();
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(password);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(text))
    }

    #[test]
    fn rpc_01_only_the_right_words_open() {
        let known = Users::new(["alice:secret", "bob:pass:word"], &[]).unwrap();
        let name = |text: &str| known.find(&basic(text)).map(|user| user.name.clone());
        assert_eq!(name("alice:secret").as_deref(), Some("alice"));
        assert_eq!(name("bob:pass:word").as_deref(), Some("bob"));
        for wrong in ["alice:secreT", "alice:", ":", "", "alice:secret ", "bob:secret", "alice:secret\0"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert!(known.find("Bearer x").is_none() && known.find("Basic !!!").is_none());
        assert!(Users::new([], &[]).unwrap().find(&basic("")).is_none());
    }

    /// The user of Bitcoin Core's own test of it (`test/functional/rpc_users.py`).
    #[test]
    fn rpc_01_a_salted_hash_as_core_makes_it_is_known() {
        let login = "rt:93648e835a54c573682c2eb19f882535$7681e9c5b74bdd85e78166031d2058e1069b3ed7ed967c93fc63abba06f31144";
        let password = "cA773lm788buwYe4g4WT+05pKyNruVKjQ25x3n0DQcM=";
        let known = Users::new([login], &[]).unwrap();
        assert!(known.find(&basic(&format!("rt:{password}"))).is_some());
        for wrong in ["rt:", "rt", "rt:x", login, &format!("rt2:{password}"), &format!("rt:{password}=")] {
            assert!(known.find(&basic(wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn whoever_has_a_whitelist_may_call_what_is_in_it() {
        let whitelists =
            ["bob:getblockcount, getblockhash".to_owned(), "bob:getblockcount,uptime".to_owned()];
        let known = Users::new(["alice:a", "bob:b"], &whitelists).unwrap();
        let may = |login: &str, method: &str| known.find(&basic(login)).unwrap().may_call(method);
        assert!(may("alice:a", "stop"), "nobody has said otherwise");
        assert!(may("bob:b", "getblockcount"), "in both lists");
        assert!(!may("bob:b", "getblockhash") && !may("bob:b", "uptime"), "in one of two");
        assert!(!may("bob:b", "stop"));
        let nothing = Users::new(["bob:b"], &["bob:".to_owned()]).unwrap();
        assert!(!nothing.find(&basic("bob:b")).unwrap().may_call("getblockcount"));
    }

    #[test]
    fn what_is_no_login_is_said_without_repeating_it() {
        for wrong in ["", ":", ":secret", "secret"] {
            let error = check_login(wrong).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(check_whitelist("bob").is_err() && check_whitelist(":x").is_err());
        assert!(check_whitelist("bob:getblokcount").unwrap_err().contains("getblokcount"));
        assert!(check_whitelist("bob:getblockcount,tine_mine").is_ok());
    }
}
