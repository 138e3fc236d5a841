//! `kill -9`, fifty times and more; `cargo run -p tine-tests --bin crash` does it as often as you like.

use tine_tests::crash::Campaign;

/// Kills that the test is about, at least.
const KILLS: usize = 50;
/// Of these, at least so many inside a reorganisation, and so many inside a flush.
const INSIDE: usize = 10;
/// Kills after which the test gives up on reaching [`INSIDE`].
const MOST_KILLS: usize = 160;

#[test]
fn sto_01_sto_02_kill_9_loses_no_acknowledged_block_and_no_coin() {
    let mut campaign = Campaign::new(1);
    let is_enough = |campaign: &Campaign| {
        let tally = campaign.tally();
        tally.kills >= KILLS
            && tally.in_reorganisation >= INSIDE
            && tally.in_flush >= INSIDE
            && tally.in_recovery > 0
            && tally.in_connection > 0
    };
    while !is_enough(&campaign) && campaign.tally().kills < MOST_KILLS {
        campaign.cycle();
    }
    campaign.check_all();
    println!("{}", campaign.tally());
    assert!(is_enough(&campaign), "{}", campaign.tally());
}
