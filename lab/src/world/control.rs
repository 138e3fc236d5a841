//! What can be done to a world at any moment. Every method is an [`Order`] carried out at once.

use std::time::Duration;

use tine_chain::amount::Amount;
use tine_chain::params::Params;

use super::{World, WorldError, shared};
use crate::network::LinkQuality;
use crate::observe::{Observation, Observer};
use crate::order::Order;

impl<O: Observer> World<O> {
    /// Carries out an order.
    ///
    /// # Errors
    /// When it names a host that is not there, or is stopped and would have to act, or storage fails. A payment that
    /// the payer has no coins for is not made, and that is no error.
    pub fn apply(&mut self, order: Order) -> Result<(), WorldError> {
        self.see(&Observation::Ordered(&order));
        match order {
            Order::Partition { groups } => self.divide(&groups),
            Order::Heal => self.unite(),
            Order::Quality { from, to, quality } => {
                self.check_host(from)?;
                self.check_host(to)?;
                let special = self.conditions.set_quality(from, to, quality);
                self.set_special(from, to, special);
                Ok(())
            }
            Order::Connect { from, to } => self.link_up(from, to),
            Order::Disconnect { a, b } => self.link_down(a, b),
            Order::Stop { node } => self.halt(node),
            Order::Start { node } => self.restart_host(node),
            Order::Skew { node, ms } => {
                self.check_host(node)?;
                self.hosts[node].skew = ms;
                // its deadlines are elsewhere in our time now
                self.hosts[node].tick = None;
                self.schedule_tick(node);
                Ok(())
            }
            Order::Slow { node, delay } => {
                self.check_host(node)?;
                self.hosts[node].slow = delay;
                self.any_slow |= !delay.is_zero();
                Ok(())
            }
            Order::Share { node, share } => {
                self.check_host(node)?;
                self.miners.set_share(node, share);
                self.redraw();
                Ok(())
            }
            Order::Rules { node, params } => {
                let runs = self.node_is_up(node)?;
                self.halt(node)?;
                self.hosts[node].params = *params;
                self.hosts[node].shared = shared(self.config.storage);
                if runs { self.restart_host(node) } else { Ok(()) }
            }
            Order::Byzantine { node, strategy } => {
                self.check_host(node)?;
                let host = &mut self.hosts[node];
                host.strategy = strategy;
                if let Some(participant) = &mut host.node {
                    participant.set_strategy(strategy);
                }
                Ok(())
            }
            Order::Mine { node } => self.mine_on(node, None).map(|_| ()),
            Order::Pay { from, to, amount, fee } => self.pay_now(from, to, amount, fee),
        }
    }

    /// [`Order::Partition`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn partition(&mut self, groups: Vec<Vec<usize>>) -> Result<(), WorldError> {
        self.apply(Order::Partition { groups })
    }

    /// [`Order::Heal`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn heal(&mut self) -> Result<(), WorldError> {
        self.apply(Order::Heal)
    }

    /// [`Order::Quality`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn set_quality(&mut self, from: usize, to: usize, quality: LinkQuality) -> Result<(), WorldError> {
        self.apply(Order::Quality { from, to, quality })
    }

    /// Nothing passes from one host to another any more; what the other sends does.
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn cut(&mut self, from: usize, to: usize) -> Result<(), WorldError> {
        let quality = LinkQuality { cut: true, ..LinkQuality::default() };
        self.apply(Order::Quality { from, to, quality })
    }

    /// [`Order::Connect`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn connect(&mut self, from: usize, to: usize) -> Result<(), WorldError> {
        self.apply(Order::Connect { from, to })
    }

    /// [`Order::Disconnect`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn disconnect(&mut self, a: usize, b: usize) -> Result<(), WorldError> {
        self.apply(Order::Disconnect { a, b })
    }

    /// [`Order::Stop`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn stop(&mut self, node: usize) -> Result<(), WorldError> {
        self.apply(Order::Stop { node })
    }

    /// [`Order::Start`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn start(&mut self, node: usize) -> Result<(), WorldError> {
        self.apply(Order::Start { node })
    }

    /// Stops a host and starts it again.
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn restart(&mut self, node: usize) -> Result<(), WorldError> {
        self.stop(node)?;
        self.start(node)
    }

    /// [`Order::Skew`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn skew(&mut self, node: usize, ms: i64) -> Result<(), WorldError> {
        self.apply(Order::Skew { node, ms })
    }

    /// [`Order::Slow`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn slow(&mut self, node: usize, delay: Duration) -> Result<(), WorldError> {
        self.apply(Order::Slow { node, delay })
    }

    /// [`Order::Share`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn set_share(&mut self, node: usize, share: f64) -> Result<(), WorldError> {
        self.apply(Order::Share { node, share })
    }

    /// [`Order::Rules`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn set_rules(&mut self, node: usize, params: Params) -> Result<(), WorldError> {
        self.apply(Order::Rules { node, params: Box::new(params) })
    }

    /// [`Order::Pay`].
    ///
    /// # Errors
    /// See [`World::apply`].
    pub fn pay(&mut self, from: usize, to: usize, amount: Amount, fee: Amount) -> Result<(), WorldError> {
        self.apply(Order::Pay { from, to, amount, fee })
    }

    // -- how

    fn divide(&mut self, groups: &[Vec<usize>]) -> Result<(), WorldError> {
        groups.iter().flatten().try_for_each(|node| self.check_host(*node))?;
        self.conditions.divide(self.hosts.len(), groups);
        for host in 0..self.hosts.len() {
            for slot in 0..self.hosts[host].links.len() {
                if !self.conditions.may_meet(host, self.hosts[host].links[slot].to as usize) {
                    self.unlink(host, slot)?;
                }
            }
        }
        // who met before the division and was apart then may meet again now
        Ok(self.dial_all()?)
    }

    fn unite(&mut self) -> Result<(), WorldError> {
        self.conditions.unite();
        for (from, to) in self.conditions.mend() {
            self.set_special(from, to, false);
        }
        Ok(self.dial_all()?)
    }

    fn link_up(&mut self, from: usize, to: usize) -> Result<(), WorldError> {
        self.check_host(from)?;
        self.check_host(to)?;
        let slot = self.slot_to(from, to).unwrap_or_else(|| self.lay(from, to));
        Ok(self.dial(from, slot)?)
    }

    fn link_down(&mut self, a: usize, b: usize) -> Result<(), WorldError> {
        self.check_host(a)?;
        self.check_host(b)?;
        if let Some(slot) = self.slot_to(a, b) {
            self.unlink(a, slot)?;
        }
        Ok(())
    }

    fn node_is_up(&self, node: usize) -> Result<bool, WorldError> {
        self.check_host(node)?;
        Ok(self.hosts[node].node.is_some())
    }

    /// A host that is stopped already stays so.
    fn halt(&mut self, node: usize) -> Result<(), WorldError> {
        self.check_host(node)?;
        self.unlink_all(node)?;
        let host = &mut self.hosts[node];
        host.node = None;
        host.tick = None;
        host.held.clear();
        Ok(())
    }

    /// A host that runs goes on.
    fn restart_host(&mut self, node: usize) -> Result<(), WorldError> {
        if self.node_is_up(node)? {
            return Ok(());
        }
        self.boot(node)?;
        self.rumours.restarted(node);
        // bans were in its memory
        self.hosts[node].links.iter_mut().for_each(|link| link.banned_until = Default::default());
        self.dial_from(node)?;
        self.learn_work(node);
        Ok(())
    }
}
