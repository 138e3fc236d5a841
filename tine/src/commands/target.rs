//! Which node a command talks to.

use std::path::Path;

use crate::cli::TargetArgs;
use crate::config::Settings;
use crate::exit::Error;
use crate::roster::{self, Entry};
use crate::rpc::client::{Login, RpcClient};

/// A node that a command talks to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name, or its URL when nothing else is known.
    pub name: String,
    /// Calls it.
    pub client: RpcClient,
}

impl Target {
    /// The node that the options name: `--rpc`, `--on`, or the first that runs here.
    ///
    /// # Errors
    /// No such node: exit 3. A URL that is none: exit 2.
    pub fn resolve(settings: &Settings, args: &TargetArgs) -> Result<Self, Error> {
        if let Some(url) = &args.rpc {
            return Self::at(settings, url, args.cookie_file.as_deref());
        }
        if let Some(name) = &args.on {
            return Ok(Self::of(&roster::find(&settings.root, name)?));
        }
        Self::all(settings)?.into_iter().next().ok_or_else(|| nobody(&settings.root))
    }

    /// Like [`Target::resolve`], but when nothing is said and a node is called `name`, that one.
    ///
    /// # Errors
    /// As there.
    pub fn resolve_near(settings: &Settings, args: &TargetArgs, name: Option<&str>) -> Result<Self, Error> {
        if args.rpc.is_none()
            && args.on.is_none()
            && let Some(entry) = name.and_then(|name| roster::find(&settings.root, name).ok())
        {
            return Ok(Self::of(&entry));
        }
        Self::resolve(settings, args)
    }

    /// The nodes of these names and URLs; all that run here when none is named.
    ///
    /// # Errors
    /// As for [`Target::resolve`].
    pub fn chosen(
        settings: &Settings,
        names: &[String],
        urls: &[String],
        cookie: Option<&Path>,
    ) -> Result<Vec<Self>, Error> {
        if names.is_empty() && urls.is_empty() {
            return Self::all(settings);
        }
        let named = names.iter().map(|name| Ok(Self::of(&roster::find(&settings.root, name)?)));
        named.chain(urls.iter().map(|url| Self::at(settings, url, cookie))).collect()
    }

    /// Every node that is listed on this machine and answers, in order; one that was killed is listed still.
    ///
    /// # Errors
    /// None answers: exit 3.
    pub fn all(settings: &Settings) -> Result<Vec<Self>, Error> {
        let listed = roster::entries(&settings.root);
        let targets: Vec<Self> = listed.iter().map(Self::of).filter(|target| target.client.is_up()).collect();
        if targets.is_empty() { Err(nobody(&settings.root)) } else { Ok(targets) }
    }

    /// The nodes at these URLs.
    ///
    /// # Errors
    /// A URL that is none: exit 2.
    pub fn at_all(settings: &Settings, urls: &[String]) -> Result<Vec<Self>, Error> {
        urls.iter().map(|url| Self::at(settings, url, None)).collect()
    }

    /// The node that lists itself so.
    pub(crate) fn of(entry: &Entry) -> Self {
        let client = RpcClient::new(entry.rpc.clone(), Login::Cookie(entry.cookie.clone()));
        Self { name: entry.name.clone(), client }
    }

    /// `http://[user:password@]host:port[/]`; without a password, the cookie given, or that of the node listed there.
    fn at(settings: &Settings, url: &str, cookie: Option<&Path>) -> Result<Self, Error> {
        let refuse = |why: &str| {
            Error::Usage(format!("--rpc: {why}; it should read http://[user:password@]host:port"))
        };
        let rest = url.strip_prefix("http://").ok_or_else(|| refuse("only http:// is spoken"))?;
        let rest = rest.trim_end_matches('/');
        let (login, host) = match rest.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, rest),
        };
        if host.is_empty() || host.contains('/') {
            return Err(refuse("there is no host, or too much behind it"));
        }
        let url = format!("http://{host}/");
        let listed = roster::entries(&settings.root).into_iter().find(|entry| entry.rpc == url);
        let login = match (login, cookie, &listed) {
            (Some(login), _, _) => {
                let (user, password) =
                    login.split_once(':').ok_or_else(|| refuse("a user needs a password"))?;
                Login::Password(user.into(), password.into())
            }
            (None, Some(file), _) => Login::Cookie(file.to_owned()),
            (None, None, Some(entry)) => Login::Cookie(entry.cookie.clone()),
            (None, None, None) => {
                return Err(refuse("no node is listed there, so say user and password, or --cookie-file"));
            }
        };
        let name = listed.map_or_else(|| host.to_owned(), |entry| entry.name);
        Ok(Self { name, client: RpcClient::new(url, login) })
    }
}

fn nobody(root: &Path) -> Error {
    Error::Unreachable(format!("no node runs in {}: start some with `tine devnet`", root.display()))
}
