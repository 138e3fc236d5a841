//! The real program, killed, starved of disk, and given damaged files: nothing acknowledged is lost, nothing differs in
//! silence, nothing hangs.

mod damage;
mod full;
mod kill;
mod startup;
