//! The chain and the reference judge the same random blocks, transactions and damaged bytes; see `tests/src/opinion`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use tine_tests::opinion::{Case, Difference, Tally};

/// Compares the chain's verdicts with those of the naive reference, in random cases of some eighty verdicts each.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run --release -p tine-tests --bin second-opinion -- --seed 1 --cases 14000\n\
                  Exit code: 0 no difference, 1 a difference, 2 usage."
)]
struct Arguments {
    /// What all random numbers follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many cases.
    #[arg(long, default_value_t = 14_000)]
    cases: u64,
    /// The first of them: one case alone is `--first N --cases 1`.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many are judged at once [default: one for each core].
    #[arg(long)]
    threads: Option<usize>,
    /// The result as one JSON object.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (tally, difference) = judge_all(&arguments);
    if arguments.json {
        println!("{}", json(&arguments, &tally, difference.as_ref()));
    } else {
        print(&arguments, &tally, difference.as_ref());
    }
    if difference.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All cases, on several threads, up to the first difference.
fn judge_all(arguments: &Arguments) -> (Tally, Option<(u64, Box<Difference>)>) {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} cases, {msg} verdicts, {eta} left");
    let bar = ProgressBar::new(arguments.cases).with_style(style.expect("a valid template"));
    let next = AtomicU64::new(0);
    let result = Mutex::new((Tally::default(), None));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.unwrap_or(cores) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.cases {
                        return;
                    }
                    let number = arguments.first + number;
                    let judged = Case { seed: arguments.seed, number }.judge(&|_| {});
                    let mut result = result.lock().expect("no thread panics while it holds the result");
                    match judged {
                        Ok(tally) => result.0.add(&tally),
                        Err(difference) => {
                            result.1.get_or_insert((number, difference));
                            next.store(arguments.cases, Ordering::Relaxed);
                        }
                    }
                    bar.set_message(result.0.verdicts().to_string());
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    result.into_inner().expect("no thread panics while it holds the result")
}

fn print(arguments: &Arguments, tally: &Tally, difference: Option<&(u64, Box<Difference>)>) {
    for ((what, name), count) in &tally.0 {
        println!("{count:>9}  {what}: {name}");
    }
    println!("{:>9}  verdicts in {} cases of seed {}", tally.verdicts(), arguments.cases, arguments.seed);
    match difference {
        None => println!("no difference"),
        Some((number, difference)) => {
            println!("a difference: --seed {} --first {number} --cases 1\n{difference}", arguments.seed);
        }
    }
}

fn json(
    arguments: &Arguments,
    tally: &Tally,
    difference: Option<&(u64, Box<Difference>)>,
) -> serde_json::Value {
    let mut kinds = serde_json::Map::new();
    for ((what, name), count) in &tally.0 {
        let of_this_kind = kinds.entry(*what).or_insert_with(|| serde_json::json!({}));
        of_this_kind[*name] = (*count).into();
    }
    let difference = difference.map(|(number, difference)| {
        serde_json::json!({
            "case": number,
            "what": difference.what,
            "chain": difference.chain,
            "reference": difference.reference,
            "bytes": hex::encode(&difference.bytes),
            "story": difference.story,
        })
    });
    serde_json::json!({
        "seed": arguments.seed,
        "cases": arguments.cases,
        "verdicts": tally.verdicts(),
        "kinds": kinds,
        "difference": difference,
    })
}
