//! What the layers come to, and what is refused.

use clap::Parser;

use super::*;
use crate::cli::Command;

fn node_args(line: &str) -> NodeArgs {
    let cli = Cli::try_parse_from(line.split_whitespace()).expect("a line that parses");
    let Command::Node(args) = cli.command else { panic!("not a node: {line}") };
    args
}

#[test]
fn flags_hide_the_file_and_the_file_hides_the_defaults() {
    let file: File = toml::from_str(
        "network = 'regtest'\nhashrate = '50kH/s'\nrpc-port = 1234\nlisten = ['0.0.0.0:5']\nconnect = '10.0.0.1:6'",
    )
    .expect("a file that parses");
    let settings = NodeSettings::resolve(&node_args("tine node --rpc-port 99"), &file).expect("resolves");
    assert_eq!(settings.rpc_port, 99);
    assert_eq!(settings.network, Network::Regtest);
    assert_eq!(settings.hashrate, Some(HashRate(50_000)));
    assert_eq!(settings.listen, ["0.0.0.0:5"]);
    assert_eq!(settings.connect, ["10.0.0.1:6"], "one needs no brackets");
    assert_eq!(settings.miner_threads, 1);
    assert_eq!(settings.start.rpc_bind, IpAddr::V4(Ipv4Addr::LOCALHOST));
}

fn devnet(line: &str, file: &str) -> DevnetSettings {
    let cli = Cli::try_parse_from(line.split_whitespace()).expect("a line that parses");
    let Command::Devnet(args) = cli.command else { panic!("not a devnet: {line}") };
    DevnetSettings::resolve(&args, &toml::from_str(file).expect("a file that parses")).expect("resolves")
}

#[test]
fn what_stands_above_the_table_holds_for_a_devnet_too_and_the_table_goes_before_it() {
    let above = "nodes = 3\nseed = 7\nhashrate = '50kH/s'\nbase-port = 20000\nexplorer-port = 9000\n\
                 mine = false\ncache = 16\nfull-rbf = false\n";
    let settings = devnet("tine devnet", above);
    assert_eq!((settings.nodes, settings.seed, settings.hashrate), (3, Some(7), HashRate(50_000)));
    assert_eq!((settings.base_port, settings.explorer_port, settings.mine), (20_000, 9_000, false));
    assert_eq!((settings.start.cache_bytes, settings.start.full_rbf), (16 << 20, false));
    let table = "[devnet]\nnodes = 2\nseed = 8\nhashrate = '60kH/s'\nbase-port = 21000\nexplorer-port = 9001\n\
                 mine = true\ncache = 32\nfull-rbf = true";
    let settings = devnet("tine devnet", &format!("{above}{table}"));
    assert_eq!((settings.nodes, settings.seed, settings.hashrate), (2, Some(8), HashRate(60_000)));
    assert_eq!((settings.base_port, settings.explorer_port, settings.mine), (21_000, 9_001, true));
    assert_eq!((settings.start.cache_bytes, settings.start.full_rbf), (32 << 20, true));
    let settings = devnet("tine devnet --nodes 1 --no-mine --hashrate 1kH/s", &format!("{above}{table}"));
    assert_eq!((settings.nodes, settings.hashrate, settings.mine), (1, HashRate(1_000), false));
}

#[test]
fn cfg_01_cfg_02_a_file_that_says_what_cannot_be_is_refused_by_name_and_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("tine.toml");
    for (text, named) in [
        ("hashrat = '5k'", "hashrat"),
        ("hashrate = 5", "hashrate"),
        ("hashrate = 'fast'", "hashrate"),
        ("listen = 5", "a list of texts"),
        ("mine = true\nmine = false", "mine"),
        ("rpc-port = 70000", "rpc-port"),
        ("rpc-port = 0", "rpc-port"),
        ("cache = 1", "cache"),
        ("network = 'bitcoin'", "network"),
        ("include = 'tine.toml'", "include"),
        ("[devnet]\nnodes = 0", "devnet.nodes"),
        ("nodes = 21", "nodes"),
        ("base-port = 0", "base-port"),
        ("[devnet]\ncache = 1", "devnet.cache"),
        ("[devnet]\nname = 'x'", "name"),
        ("grpc = 'here'", "grpc"),
        ("grpc = 0", "grpc"),
        ("network = 'main", "network"),
    ] {
        std::fs::write(&path, text).expect("written");
        let error = File::load(None, dir.path()).expect_err(text);
        assert!(
            matches!(&error, Error::Usage(why) if why.contains(named) && why.contains("tine.toml")),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&path).expect("kept"), text);
    }
    let missing = File::load(Some(&dir.path().join("other.toml")), dir.path());
    assert!(matches!(missing, Err(Error::Usage(why)) if why.contains("other.toml")));
}

#[test]
fn cfg_01_variables_that_nothing_reads_are_refused_by_name() {
    let check = |name: &str| check_environment(std::iter::once(name.to_string()));
    assert!(check("TINE_HASHRATE").is_ok());
    assert!(check("HOME").is_ok());
    assert!(matches!(check("TINE_HASHRAT"), Err(Error::Usage(why)) if why.contains("TINE_HASHRAT")));
}

#[test]
fn grpc_is_where_it_is_said_to_be() {
    let node = |line: &str, file: &str| {
        let file = toml::from_str(file).expect("a file that parses");
        NodeSettings::resolve(&node_args(line), &file).expect("resolves").grpc.map(|at| at.to_string())
    };
    assert_eq!(node("tine node", ""), None);
    assert_eq!(node("tine node --grpc", "").as_deref(), Some("127.0.0.1:18445"));
    assert_eq!(node("tine node --rpc-port 99", "grpc = true").as_deref(), Some("127.0.0.1:101"));
    assert_eq!(node("tine node --grpc 7", "grpc = false").as_deref(), Some("127.0.0.1:7"));
    assert_eq!(node("tine node --grpc=false", "grpc = '0.0.0.0:5'"), None);
    assert_eq!(node("tine node", "grpc = 5").as_deref(), Some("127.0.0.1:5"));
    assert_eq!(devnet("tine devnet", "grpc = true\n[devnet]\ngrpc = false").start.grpc, Some(GrpcAt::Off));
    let file = toml::from_str("grpc = '127.0.0.1:5'").expect("a file that parses");
    let cli = Cli::try_parse_from(["tine", "devnet"]).expect("parses");
    let Command::Devnet(args) = cli.command else { panic!("not a devnet") };
    let refused = DevnetSettings::resolve(&args, &file);
    assert!(matches!(refused, Err(Error::Usage(why)) if why.contains("--grpc 5")));
}

#[test]
fn ports_of_a_devnet_must_fit() {
    let cli = Cli::try_parse_from(["tine", "devnet", "--base-port", "65520"]).expect("parses");
    let Command::Devnet(args) = cli.command else { panic!("not a devnet") };
    assert!(
        matches!(DevnetSettings::resolve(&args, &File::default()), Err(Error::Usage(why)) if why.contains("--base-port"))
    );
}
