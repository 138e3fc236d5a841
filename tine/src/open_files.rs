//! How many files the process may have open at once, connections among them.
//!
//! Most systems begin with 1,024, for the sake of programs from before 1998 that keep them in a bitmap of that size, and
//! let a program ask for more. A thousand pages that listen and a few hundred callers are more.

/// Files to ask for: more than all our limits of connections allow together, on twenty nodes of a devnet too.
#[cfg(unix)]
const WANTED: u64 = 65_536;

/// Asks for as many as the system lets us have, up to 65,536.
#[cfg(unix)]
pub fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(WANTED).min(WANTED);
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(error) =
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
pub fn raise() {}
