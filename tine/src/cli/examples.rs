//! An example for every command: the last lines of its `--help`, and of its page in the manual.
//!
//! A test walks all commands and parses every line, so that none is missing and none goes out of date.

use clap::{Command, CommandFactory as _};

use super::Cli;

/// By the command's words after `tine`: lines to type.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("", &["tine devnet"]),
    ("devnet", &["tine devnet", "tine devnet --nodes 7 --hashrate 50kH/s --base-port 28443"]),
    ("node", &["tine node --name eve --rpc-port 19443 --listen 127.0.0.1:19444 --connect 127.0.0.1:18444"]),
    ("wallet", &["tine wallet new savings", "tine wallet balance savings"]),
    ("wallet new", &["tine wallet new savings --on alice"]),
    (
        "wallet restore",
        &["tine wallet restore savings", "tine wallet restore savings --file savings.backup.json"],
    ),
    ("wallet list", &["tine wallet list"]),
    ("wallet address", &["tine wallet address savings --new"]),
    ("wallet balance", &["tine wallet balance bob"]),
    ("wallet coins", &["tine wallet coins alice"]),
    ("wallet send", &["tine wallet send bob 2.5 --from alice"]),
    ("wallet history", &["tine wallet history bob"]),
    ("wallet backup", &["tine wallet backup savings.backup.json savings"]),
    ("wallet unlock", &["tine wallet unlock savings"]),
    ("wallet lock", &["tine wallet lock savings"]),
    ("mine", &["tine mine 12", "tine mine 1 --on bob"]),
    ("send", &["tine send bob 5 --from alice --explain"]),
    ("faucet", &["tine faucet bob 7"]),
    ("net", &["tine net show", "tine net split \"alice | bob,carol,dave\"", "tine net heal"]),
    ("net show", &["tine net show"]),
    ("net split", &["tine net split \"alice | bob,carol,dave\""]),
    ("net delay", &["tine net delay bob 500"]),
    ("net drop", &["tine net drop all 10"]),
    ("net heal", &["tine net heal"]),
    ("net stop", &["tine net stop bob"]),
    ("net start", &["tine net start bob"]),
    (
        "watch",
        &["tine watch", "tine watch --on alice", "tine watch run.ndjson", "tine watch --once --size 100x30"],
    ),
    ("forks", &["tine forks --on alice"]),
    ("reorgs", &["tine reorgs"]),
    ("explain", &["tine explain reorg last"]),
    ("explain reorg", &["tine explain reorg last --html incident.html"]),
    ("explain tip", &["tine explain tip --on bob"]),
    ("explain tx", &["tine explain tx 5be9a3c37a3f7d1e8c2f8f0b9a1d6e4c3b2a190807f6e5d4c3b2a19080706050"]),
    ("rpc", &["tine rpc getblockcount", "tine rpc help getblock", "tine rpc getblockhash 7 --on bob"]),
    ("lab", &["tine lab list", "tine lab run selfish-mining"]),
    (
        "lab run",
        &[
            "tine lab run partition-short --html fork.html",
            "tine lab run double-spend-race --events run.ndjson",
            "tine lab run my.toml --seed 7 --json",
            "tine lab run --nodes 50 --blocks 500",
        ],
    ),
    ("lab list", &["tine lab list natural-fork"]),
    (
        "lab replay",
        &[
            "tine lab replay run.ndjson --until 90 --node bob",
            "tine lab replay run.ndjson --until 300 --html moment.html",
        ],
    ),
    ("lab open", &["tine lab open run.ndjson"]),
    ("lab scale", &["tine lab scale --size 600x1000"]),
    ("lab storm", &["tine lab storm --seeds 1000", "tine lab storm --seed 42 --acts 7"]),
    (
        "lab sweep",
        &[
            "tine lab sweep deploy/sweep.toml --out results",
            "tine lab sweep deploy/sweep.toml --out results --shard 2/8",
        ],
    ),
    ("lab merge", &["tine lab merge deploy/sweep.toml results --csv figures"]),
    ("lab doublespend", &["tine lab doublespend --q 0.1 --confirmations 6 --races 1000000"]),
    (
        "lab selfish",
        &[
            "tine lab selfish --gamma 0,0.5,1",
            "tine lab selfish --alpha 0.4 --gamma 0 --blocks 300000 --seed 11 --json",
        ],
    ),
    ("lab stubborn", &["tine lab stubborn --quick"]),
    ("lab optimal", &["tine lab optimal --alpha 0.35,0.4 --blocks 1000000 --out figures"]),
    ("lab propagation", &["tine lab propagation --quick --out figures"]),
    ("lab generals", &["tine lab generals --quick"]),
    ("headers", &["tine headers check headers.bin"]),
    ("headers check", &["tine headers check headers.bin --network bitcoin --height 822528"]),
    ("bench", &["tine bench chain --quick", "tine bench rpc --quick"]),
    ("bench chain", &["tine bench chain", "tine bench chain --quick --row sync --row reorg-10"]),
    ("bench growth", &["tine bench growth --blocks 10000 --coins 100000 --svg growth.svg"]),
    ("bench rpc", &["tine bench rpc --quick"]),
    ("completions", &["tine completions bash > ~/.local/share/bash-completion/completions/tine"]),
    ("man", &["tine man > tine.1"]),
];

/// The command line, each command with its example.
#[must_use]
pub fn command() -> Command {
    with_examples(Cli::command(), "")
}

fn with_examples(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|child| child.get_name().to_owned()).collect();
    for name in names {
        let below = format!("{path} {name}");
        command = command.mut_subcommand(&name, |child| with_examples(child, below.trim_start()));
    }
    let Some((_, lines)) = EXAMPLES.iter().find(|(known, _)| *known == path) else { return command };
    let title = if lines.len() == 1 { "Example" } else { "Examples" };
    let said = command.get_after_help().map(|text| format!("\n\n{text}")).unwrap_or_default();
    command.after_help(format!("{title}:\n  {}{said}", lines.join("\n  ")))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    /// The words of a line as a shell splits them, up to a `>`.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (place, part) in line.split('"').enumerate() {
            if place % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words.into_iter().take_while(|word| word != ">").collect()
    }

    fn walk(command: &Command, path: &str, visit: &mut dyn FnMut(&Command, &str)) {
        visit(command, path);
        for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
            walk(child, format!("{path} {}", child.get_name()).trim_start(), visit);
        }
    }

    #[test]
    fn every_command_has_examples_that_it_understands() {
        walk(&command(), "", &mut |command, path| {
            let help = command.clone().render_long_help().to_string();
            let (_, lines) = EXAMPLES
                .iter()
                .find(|(known, _)| *known == path)
                .unwrap_or_else(|| panic!("tine {path}: no example"));
            for line in *lines {
                assert!(help.contains(line), "tine {path} --help lacks {line}");
                assert!(line.starts_with(format!("tine {path}").trim_end()), "{line} is not of tine {path}");
                if let Err(error) = Cli::try_parse_from(words(line)) {
                    panic!("{line}: {error}");
                }
            }
        });
    }

    #[test]
    fn every_command_is_in_the_manual_and_in_the_completions() {
        let mut all = Vec::new();
        walk(&command(), "", &mut |_, path| all.push(path.to_owned()));
        let mut built = command();
        built.build();
        let mut manual = Vec::new();
        crate::commands::render_manual(built, &mut manual).expect("memory takes it");
        let manual = String::from_utf8(manual).expect("text").replace("\\-", "-");
        let mut bash = Vec::new();
        clap_complete::aot::generate(clap_complete::aot::Shell::Bash, &mut command(), "tine", &mut bash);
        let bash = String::from_utf8(bash).expect("text");
        for path in all.iter().filter(|path| !path.is_empty()) {
            let (page, case) = (path.replace(' ', "-"), path.replace(' ', "__subcmd__"));
            assert!(
                manual.contains(&format!(".TH tine-{page} ")) || manual.contains(&format!("tine-{page}")),
                "no manual of {path}"
            );
            let last = path.rsplit(' ').next().expect("a word");
            assert!(bash.contains(last), "no completion of {path} ({case})");
        }
    }
}
