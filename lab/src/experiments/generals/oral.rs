//! OM(m), the oral message algorithm (Lamport, Shostak and Pease 1982, section 3): a message says what its sender says,
//! and a traitor says what he likes.

use super::Order;

/// Who is a traitor; general 0 commands.
pub type Traitors = [bool];

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decisions {
    /// What each lieutenant does; the first is general 1.
    pub orders: Vec<Order>,
    /// Messages sent.
    pub messages: u64,
}

/// Runs OM(`m`): general 0 orders `order`, and what a traitor sends is what `lie` says, asked once for each message.
pub fn run(m: u32, order: Order, traitors: &Traitors, lie: &mut dyn FnMut() -> Order) -> Decisions {
    let mut round = Round { traitors, lie, messages: 0 };
    let lieutenants: Vec<usize> = (1..traitors.len()).collect();
    let orders = round.om(m, 0, order, &lieutenants);
    Decisions { orders, messages: round.messages }
}

struct Round<'a> {
    traitors: &'a Traitors,
    lie: &'a mut dyn FnMut() -> Order,
    messages: u64,
}

impl Round<'_> {
    /// "The commander sends his value to every lieutenant."
    fn send(&mut self, from: usize, order: Order) -> Order {
        self.messages += 1;
        if self.traitors[from] { (self.lie)() } else { order }
    }

    /// What each of `lieutenants` takes `commander` to have ordered.
    fn om(&mut self, m: u32, commander: usize, order: Order, lieutenants: &[usize]) -> Vec<Order> {
        let heard: Vec<Order> = lieutenants.iter().map(|_| self.send(commander, order)).collect();
        if m == 0 {
            // "Each lieutenant uses the value he receives from the commander."
            return heard;
        }
        // "Lieutenant i acts as the commander in algorithm OM(m−1) to send the value v_i to each of the other lieutenants."
        let mut votes: Vec<Vec<Order>> = heard.iter().map(|order| vec![*order]).collect();
        for (place, (lieutenant, order)) in lieutenants.iter().zip(&heard).enumerate() {
            let others: Vec<usize> =
                lieutenants.iter().copied().filter(|other| other != lieutenant).collect();
            let told = self.om(m - 1, *lieutenant, *order, &others);
            let places = (0..lieutenants.len()).filter(|other| *other != place);
            for (other, order) in places.zip(told) {
                votes[other].push(order);
            }
        }
        // "Lieutenant i uses the value majority(v_1, …, v_{n−1})."
        votes.iter().map(|votes| majority(votes)).collect()
    }
}

/// The order that most votes are for; to retreat, if none is.
fn majority(votes: &[Order]) -> Order {
    let attack = votes.iter().filter(|vote| **vote == Order::Attack).count();
    if 2 * attack > votes.len() { Order::Attack } else { Order::Retreat }
}
