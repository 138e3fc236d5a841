//! Kills the real program again and again and checks what it has each time it comes back.
//!
//! `cargo run -p tine-tests --bin crash -- --cycles 300 --seed 1`, after `cargo build`. `PROGRAM_UNDER_TEST` names
//! another program than the one beside it.
#![allow(clippy::print_stdout)]

use std::error::Error;

use indicatif::{ProgressBar, ProgressStyle};
use tine_tests::crash::Campaign;

fn main() -> Result<(), Box<dyn Error>> {
    let (cycles, seed) = arguments()?;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} cycles, {elapsed} of {duration}  {msg}")?;
    let bar = ProgressBar::new(cycles).with_style(style);
    let mut campaign = Campaign::new(seed);
    for _ in 0..cycles {
        campaign.cycle();
        bar.set_message(campaign.tally().to_string());
        bar.inc(1);
    }
    campaign.check_all();
    bar.finish_and_clear();
    println!("{cycles} cycles with seed {seed} in {:.0?}, nothing lost; {}", bar.elapsed(), campaign.tally());
    Ok(())
}

fn arguments() -> Result<(u64, u64), Box<dyn Error>> {
    let (mut cycles, mut seed) = (300, 1);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = || "usage: crash [--cycles N] [--seed N]";
        let value = words.next().ok_or_else(number)?.parse().map_err(|_| number())?;
        match word.as_str() {
            "--cycles" => cycles = value,
            "--seed" => seed = value,
            _ => return Err(number().into()),
        }
    }
    Ok((cycles, seed))
}
