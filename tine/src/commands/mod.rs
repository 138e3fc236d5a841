//! What each command does.

mod bench;
mod chain;
mod experiments;
mod headers;
mod lab;
mod net;
mod pay;
mod scenario;
mod target;
mod wallet;
mod worlds;

pub use target::Target;

use clap::CommandFactory as _;
use serde_json::Value;

use crate::cli::{Cli, Command, RpcArgs, Shell};
use crate::config::{self, DevnetSettings, NodeSettings, Settings};
use crate::exit::Error;
use crate::out::Out;
use crate::{devnet, logging, node_cmd};

/// yamux warns of every connection that the other side closed first, gossipsub of every message that came by gossip
/// before, Kademlia of having nobody to ask yet: nothing that a person could act on.
macro_rules! quiet_libraries {
    () => {
        "yamux=off,libp2p_gossipsub=error,libp2p_kad=error"
    };
}

/// Runs a command that has been parsed.
///
/// # Errors
/// Why it did not do what it was asked.
pub fn run(cli: Cli) -> Result<(), Error> {
    let settings = Settings::resolve(&cli.common)?;
    let out = Out::new(settings.json);
    let starts = matches!(cli.command, Command::Node(_) | Command::Devnet(_));
    if starts {
        config::check_environment(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
    }
    let default_filter = if matches!(cli.command, Command::Node(_)) {
        concat!("info,", quiet_libraries!())
    } else {
        concat!("warn,", quiet_libraries!())
    };
    logging::start(settings.log.as_deref().unwrap_or(default_filter), settings.log_format)?;
    match cli.command {
        Command::Devnet(args) => {
            devnet::run(out, &settings, &DevnetSettings::resolve(&args, &settings.file)?)
        }
        Command::Node(args) => node_cmd::run(out, &settings, &NodeSettings::resolve(&args, &settings.file)?),
        Command::Wallet(args) => wallet::run(out, &settings, args.command),
        Command::Mine(args) => pay::mine(out, &settings, &args),
        Command::Send(args) => pay::send(out, &settings, &args),
        Command::Net(args) => net::run(out, &settings, &args),
        Command::Forks(args) => chain::forks(out, &Target::resolve(&settings, &args)?),
        Command::Reorgs(args) => chain::reorgs(out, &Target::resolve(&settings, &args)?),
        Command::Explain(args) => chain::explain(out, &settings, args.what),
        Command::Rpc(args) => rpc(out, &settings, &args),
        Command::Lab(args) => lab::run(out, &args.command),
        Command::Headers(args) => headers::run(out, &args.command),
        Command::Bench(args) => bench::run(out, &args.command),
        Command::Completions { shell } => completions(out, shell),
        Command::Man => man(out),
    }
}

/// `tine rpc`: JSON out, as the node wrote it; text without its quotes, as bitcoin-cli does, unless `--json`.
fn rpc(out: Out, settings: &Settings, args: &RpcArgs) -> Result<(), Error> {
    let target = Target::resolve(settings, &args.target)?;
    let params =
        if args.named { named(&args.args)? } else { args.args.iter().map(|text| json(text)).collect() };
    let raw = target.client.call_raw(&args.method, params)?;
    if out.json {
        out.raw(raw.get());
        return Ok(());
    }
    match serde_json::from_str::<Value>(raw.get()) {
        Ok(Value::String(text)) => out.raw(text),
        Ok(Value::Null) => {}
        Ok(Value::Object(_) | Value::Array(_)) => out.raw(pretty(raw.get())),
        Ok(Value::Bool(_) | Value::Number(_)) | Err(_) => out.raw(raw.get()),
    }
    Ok(())
}

/// A parameter: JSON where it reads as JSON; ids that happen to be all digits stay text.
fn json(text: &str) -> Value {
    let is_id = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        return Value::String(text.into());
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()))
}

fn named(args: &[String]) -> Result<Value, Error> {
    let pair = |arg: &String| match arg.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), json(value))),
        Some(_) | None => Err(Error::Usage(format!("{arg:?}: with --named a parameter reads name=value"))),
    };
    Ok(Value::Object(args.iter().map(pair).collect::<Result<_, _>>()?))
}

/// JSON on many lines, its numbers untouched: they are copied, not read.
fn pretty(json: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' if matches!(chars.peek(), Some('}' | ']')) => {
                out.push(c);
                out.extend(chars.next());
            }
            '{' | '[' => {
                depth += 1;
                out.push(c);
                break_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

fn completions(out: Out, shell: Shell) -> Result<(), Error> {
    use clap_complete::aot;
    let generator = match shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Elvish => aot::Shell::Elvish,
        Shell::Fish => aot::Shell::Fish,
        Shell::Powershell => aot::Shell::PowerShell,
        Shell::Zsh => aot::Shell::Zsh,
    };
    let mut text = Vec::new();
    aot::generate(generator, &mut Cli::command(), "tine", &mut text);
    out.raw(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

/// One page for the program and one section for each command, in roff.
fn man(out: Out) -> Result<(), Error> {
    fn render(command: clap::Command, text: &mut Vec<u8>) -> std::io::Result<()> {
        clap_mangen::Man::new(command.clone()).render(text)?;
        for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
            render(child.clone(), text)?;
        }
        Ok(())
    }
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    render(command, &mut text).map_err(|error| Error::failed("the manual page", error))?;
    out.raw(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_json_where_they_read_as_json() {
        assert_eq!(json("5"), serde_json::json!(5));
        assert_eq!(json("[1,\"a\"]"), serde_json::json!([1, "a"]));
        assert_eq!(json("dtine1q"), serde_json::json!("dtine1q"));
        let id = "1".repeat(64);
        assert_eq!(json(&id), serde_json::json!(id));
        assert!(matches!(named(&["=5".into()]), Err(Error::Usage(_))));
    }

    #[test]
    fn json_is_laid_out_without_touching_its_numbers() {
        let text = r#"{"a":50.00000000,"b":[],"c":{"d":"x,{\"y","e":[1,null]}}"#;
        let laid_out = pretty(text);
        assert!(laid_out.contains("\"a\": 50.00000000,\n"));
        assert!(laid_out.contains("\"b\": [],\n"));
        assert!(laid_out.contains(r#""d": "x,{\"y","#));
        let read = |text| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(read(&laid_out), read(text));
    }
}
