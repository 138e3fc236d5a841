//! `tine lab open`: a run that is over, on the explorer's page.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tine_lab::replay::Run;
use tine_node::{Node, NodeConfig, Participant};

use super::scenario::{moment, read_run};
use crate::cli::LabOpenArgs;
use crate::driver::Driver;
use crate::exit::Error;
use crate::out::Out;
use crate::rpc::Context;
use crate::web::Page;

/// Nodes of a run that the page can show: each gets a thread.
const MAX_NODES: usize = 64;

/// Serves the page until Ctrl-C.
pub(super) fn open(out: Out, args: &LabOpenArgs) -> Result<(), Error> {
    let run = read_run(&args.run)?;
    if run.nodes.len() > MAX_NODES {
        let (path, nodes) = (args.run.display(), run.nodes.len());
        return Err(Error::Usage(format!("{path}: {nodes} nodes; the page shows up to {MAX_NODES}")));
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Error::failed("the runtime", error))?;
    runtime.block_on(serve(out, args, run))
}

async fn serve(out: Out, args: &LabOpenArgs, run: Run) -> Result<(), Error> {
    let end = moment(&run, args.until)?;
    let run = run.cut(end);
    let (mut contexts, mut drivers) = (Vec::new(), Vec::new());
    for name in &run.nodes {
        let chain = run.chain(name, end).map_err(|error| Error::failed(args.run.display(), error))?;
        let config = NodeConfig::new(chain.params().clone());
        let participant = Participant::honest(Node::new(chain, config));
        let (node, driver) = Driver::start(name, participant, None)
            .map_err(|error| Error::failed("the node's thread", error))?;
        contexts.push(Arc::new(Context::new(name.clone(), node)));
        drivers.push(driver);
    }
    let bind = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), args.port);
    let page = Page::of_run(bind, &run, contexts.clone()).await.map_err(|error| {
        Error::Failed(format!("the page on {bind}: {error}; choose another port with --port"))
    })?;
    out.line(format!(
        "{:?}, {} nodes: http://{}/   (Ctrl-C ends it)",
        run.name,
        run.nodes.len(),
        page.address()
    ));
    // without a signal handler Ctrl-C ends the process at once, which loses nothing either
    let _ = tokio::signal::ctrl_c().await;
    page.stop().await;
    for context in &contexts {
        context.node.stop().await;
    }
    for driver in drivers {
        driver.join().map_err(|error| Error::failed("the node's thread", error))?;
    }
    Ok(())
}
