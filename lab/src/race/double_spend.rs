//! The race of the Bitcoin paper's section 11, block by block: an attacker mines in secret while a merchant waits for
//! his confirmations, and then tries to catch up.

use rand::Rng;

/// An attacker is taken to have lost when his chance of ever catching up has fallen below this.
/// A thousandth of the standard error of the rarest cell that a million races can judge.
pub const HOPELESS: f64 = 1e-8;

/// A double spend.
#[derive(Debug, Clone, Copy)]
pub struct DoubleSpend {
    /// Blocks that the merchant waits for.
    pub confirmations: u32,
    /// Whether the attacker has mined in secret before he pays, and pays when his lead is what chance has made it: the
    /// stationary lead P(L = l) = (1 − q/p)(q/p)^l.
    pub premined: bool,
    attacker_below: u64,
    one_more_below: u64,
    give_up: u32,
}

impl DoubleSpend {
    /// `q`: the attacker's share of all power, above 0 and below one half.
    #[must_use]
    pub fn new(q: f64, confirmations: u32, premined: bool) -> Self {
        let odds = q / (1.0 - q);
        // the part of all 64-bit numbers
        let cut = |share: f64| (share * 18_446_744_073_709_551_616.0) as u64;
        Self {
            confirmations,
            premined,
            attacker_below: cut(q),
            one_more_below: cut(odds),
            give_up: (libm::log(HOPELESS) / libm::log(odds)).ceil() as u32,
        }
    }

    /// Who finds the next block.
    pub fn attacker_finds(&self, rng: &mut impl Rng) -> bool {
        rng.next_u64() < self.attacker_below
    }

    /// How many blocks behind the attacker has no hope any more.
    #[must_use]
    pub fn give_up(&self) -> u32 {
        self.give_up
    }

    /// Plays one race; whether the attacker's branch becomes as long as the honest one once the merchant has his
    /// confirmations (Nakamoto: to catch up is to win).
    pub fn succeeds(&self, rng: &mut impl Rng) -> bool {
        let (mut attacker, mut honest) = (self.premined_lead(rng), 0_u32);
        while honest < self.confirmations {
            if self.attacker_finds(rng) { attacker += 1 } else { honest += 1 }
        }
        while attacker < honest {
            if honest - attacker > self.give_up {
                return false;
            }
            if self.attacker_finds(rng) { attacker += 1 } else { honest += 1 }
        }
        true
    }

    /// The lead of an attacker who has always mined on his own longest branch, and started anew whenever the public one
    /// overtook it, seen at a random moment: one block more with the chance q/p, and again.
    fn premined_lead(&self, rng: &mut impl Rng) -> u32 {
        let mut lead = 0;
        while self.premined && rng.next_u64() < self.one_more_below {
            lead += 1;
        }
        lead
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::BatchMeans;

    #[test]
    fn the_lead_is_that_of_an_attacker_who_has_mined_for_long() {
        let (q, mut rng) = (0.3, ChaCha8Rng::seed_from_u64(11));
        let race = DoubleSpend::new(q, 6, true);
        let (mut walked, mut drawn, mut lead) = (BatchMeans::new(1_000), BatchMeans::new(1_000), 0_u32);
        for _ in 0..200_000 {
            lead = if race.attacker_finds(&mut rng) { lead + 1 } else { lead.saturating_sub(1) };
            walked.add(f64::from(lead));
            drawn.add(f64::from(race.premined_lead(&mut rng)));
        }
        // the geometric law's mean, r/(1 − r) with r = q/p
        let expected = q / (1.0 - 2.0 * q);
        for lead in [walked.mean(), drawn.mean()] {
            assert!(lead.z(expected).abs() <= 3.0, "{lead:?} against {expected}");
        }
    }
}
