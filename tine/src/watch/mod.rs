//! `tine watch`: the block tree, the nodes and the events in the terminal, and keys to drive a devnet with.
//!
//! What is shown is pure: [`event::Event`]s in (`live` reads them from running nodes, `past` from a log), folded by
//! [`model`] and kept by [`history`] so that any moment can be gone back to; [`keys`] turns keys into commands, [`state`]
//! commands into what is open and what is asked; `view`, `draw` and `popup` draw it. Only `run`, `screen`, `live` and
//! `act` touch clocks, sockets and the terminal. The tree is laid out by [`tine_lab::layout`], as on the page.
//!
//! Text that somebody else chose passes [`event::plain_name`] or [`event::plain_line`] on its way in: it can't drive the
//! terminal.

mod act;
mod describe;
mod dissect;
mod draw;
mod event;
mod gather;
mod history;
mod keys;
mod live;
mod model;
mod palette;
mod past;
mod popup;
mod run;
mod screen;
mod state;
mod tree;
mod view;

#[cfg(test)]
mod frames;

use std::io::IsTerminal as _;
use std::sync::Arc;

use tine_lab::replay::Run;

use self::palette::Palette;
use self::run::Live;
use self::state::App;
use crate::cli::WatchArgs;
use crate::commands::Target;
use crate::commands::scenario::{moment, read_run};
use crate::config::Settings;
use crate::exit::Error;
use crate::out::Out;

/// Nodes of a run that are shown, as many as on the page.
const MAX_NODES: usize = 64;

/// Runs the command.
///
/// # Errors
/// There is no terminal; no node answers; the log is none.
pub(crate) fn run(out: Out, settings: &Settings, args: &WatchArgs) -> Result<(), Error> {
    if out.json || (!args.once && !std::io::stdout().is_terminal()) {
        let why = if out.json { "it prints no JSON" } else { "standard output is none" };
        return Err(Error::Usage(format!(
            "tine watch draws on a terminal, and {why}: `tine watch --once` prints one picture as text, `tine devnet \
             --json` a line for each event, `tine forks` the branches"
        )));
    }
    match &args.run {
        Some(path) => {
            let (app, run) = recorded(args, path)?;
            if args.once {
                return once(out, args, &app);
            }
            run::recorded(app, run, environment())
        }
        None => {
            let chosen = Target::chosen(settings, &args.on, &args.rpc, args.cookie_file.as_deref())?;
            let everybody = args.on.is_empty() && args.rpc.is_empty();
            let (app, live) = Live::new(chosen, everybody.then(|| settings.root.clone()))?;
            if args.once {
                return once(out, args, &live.once(app)?);
            }
            live.run(app, environment())
        }
    }
}

/// A run that is over, as it stood at its end or when `--until` says.
fn recorded(args: &WatchArgs, path: &std::path::Path) -> Result<(App, Arc<Run>), Error> {
    let run = read_run(path)?;
    if run.nodes.len() > MAX_NODES {
        let nodes = run.nodes.len();
        return Err(Error::Usage(format!("{}: {nodes} nodes; up to {MAX_NODES} are shown", path.display())));
    }
    let end = moment(&run, args.until)?;
    let run = run.cut(end);
    let past = past::read(&run).map_err(|error| Error::failed(path.display(), error))?;
    let names: Vec<String> = run.nodes.iter().map(|name| event::plain_name(name)).collect();
    let title =
        format!("{} (recorded), {}", event::plain_name(&run.name), describe::count(names.len(), "node"));
    let mut app = App::new(title, true, &names);
    past.blocks.into_iter().for_each(|block| app.history.learn(block));
    past.events.into_iter().for_each(|event| app.history.push(event));
    Ok((app, Arc::new(run)))
}

/// The colours that the environment wants.
fn environment() -> Palette {
    Palette::of(|name| std::env::var(name).ok())
}

/// One picture as text.
fn once(out: Out, args: &WatchArgs, app: &App) -> Result<(), Error> {
    let lines = screen::picture(app, args.size.columns, args.size.rows);
    out.raw(lines.join("\n"));
    Ok(())
}
