//! Wallets are made and opened.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tine_chain::params::Network;
use tine_wallet::dev::{self, DevWallet};
use tine_wallet::keystore::PUBLIC_PASSPHRASE;
use tine_wallet::wallet::secret_of;
use tine_wallet::{KdfCost, Phrase, PhraseLength, Wallet, WalletError};

use super::{Open, WalletService, WalletsError, lock};
use crate::dirs;
use crate::methods::{WalletMade, WalletNew, WalletRestore};

impl WalletService {
    /// Opens what is in the directory, makes development wallets that are missing, and brings all to the chain.
    pub(super) fn open_all(&self, dev: &[&str]) -> Result<(), WalletsError> {
        let failed = |source| WalletError::Io { path: self.dir.clone(), source };
        for entry in std::fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            // what is no wallet, or is half made, is left alone
            if path.join("keystore.json").exists() && dirs::check_name("wallet", &name).is_ok() {
                let mut wallet = Wallet::open(&path, self.node.params())?;
                if wallet.is_public() {
                    wallet.unlock(PUBLIC_PASSPHRASE, None)?;
                }
                self.adopt(&name, wallet)?;
            }
        }
        let known = self.names();
        for name in dev.iter().filter(|name| !known.iter().any(|known| known == *name)) {
            let wallet = self.make_public(name)?;
            self.adopt(name, wallet)?;
        }
        Ok(())
    }

    /// A development wallet, on disk: it remembers which addresses it gave out, and need not read the whole chain at
    /// each start.
    fn make_public(&self, name: &str) -> Result<Wallet, WalletError> {
        let params = self.node.params();
        if params.network == Network::Main {
            return Err(WalletError::PublicOnMain);
        }
        let wallet = DevWallet::named(name).ok_or_else(|| WalletError::NoDevWallet(name.to_owned()))?;
        let keystore = dev::keystore(wallet, params.network)?;
        let source = self.dir.join(format!(".{name}.keystore.json"));
        let failed = |error| WalletError::Io { path: source.clone(), source: error };
        dirs::write_private(&source, &keystore.to_json()).map_err(failed)?;
        let made = Wallet::restore_backup(&self.dir.join(name), params, &source, PUBLIC_PASSPHRASE);
        std::fs::remove_file(&source).map_err(failed)?;
        made
    }

    /// Takes a wallet into the service.
    fn adopt(&self, name: &str, wallet: Wallet) -> Result<(), WalletError> {
        let mut open = Open { wallet, mempool: None, dirty: true };
        self.settle(&mut open)?;
        open.wallet.first_address()?;
        open.wallet.save()?;
        lock(&self.wallets).insert(name.to_owned(), Arc::new(Mutex::new(open)));
        Ok(())
    }

    pub(super) fn make_new(&self, request: &WalletNew) -> Result<WalletMade, WalletsError> {
        let phrase = Phrase::generate(PhraseLength::Words24)?;
        let words = phrase.words();
        let secret = secret_of(phrase);
        let directory = self.directory(&request.name)?;
        let params = self.node.params();
        let wallet = Wallet::create(&directory, params, &secret, &request.passphrase, KdfCost::STANDARD)?;
        self.adopt(&request.name, wallet)?;
        let address = self.address(Some(&request.name), false)?;
        Ok(WalletMade { name: request.name.clone(), address, phrase: Some(words.to_string()) })
    }

    pub(super) fn make_old(&self, request: &WalletRestore) -> Result<WalletMade, WalletsError> {
        let directory = self.directory(&request.name)?;
        let params = self.node.params();
        let mut wallet = match (&request.phrase, &request.path) {
            (Some(words), None) => {
                let secret = secret_of(words.parse::<Phrase>().map_err(WalletError::Phrase)?);
                Wallet::create(&directory, params, &secret, &request.passphrase, KdfCost::STANDARD)?
            }
            (None, Some(backup)) => {
                Wallet::restore_backup(&directory, params, Path::new(backup), &request.passphrase)?
            }
            (Some(_), Some(_)) | (None, None) => return Err(WalletsError::PhraseOrPath),
        };
        let view = self.node.view();
        wallet.rescan(&|height| view.active.get(height), &**self.node.reader())?;
        self.adopt(&request.name, wallet)?;
        let address = self.address(Some(&request.name), false)?;
        Ok(WalletMade { name: request.name.clone(), address, phrase: None })
    }

    /// Where a wallet called `name` lies.
    fn directory(&self, name: &str) -> Result<PathBuf, WalletsError> {
        dirs::check_name("wallet", name).map_err(|error| WalletsError::BadName(error.to_string()))?;
        Ok(self.dir.join(name))
    }
}
