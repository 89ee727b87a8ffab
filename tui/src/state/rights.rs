//! What may be done from here.

use super::{Effect, State};

impl State {
    /// Whether the person may change anything, and if not, why.
    pub fn may_operate(&self) -> Result<(), &'static str> {
        if self.read_only {
            Err("this console only watches (--read-only)")
        } else if self.only_watches() {
            Err("your role may only watch")
        } else if !self.connection.is_connected() {
            Err("not connected to the daemon: nothing was sent")
        } else {
            Ok(())
        }
    }

    /// Whether the person may say that they know of something, and if not, why. It lasts: the next console of this person no
    /// longer shows it either. On a screen that is only looked at, nobody has.
    pub(super) fn may_see(&self) -> Result<(), &'static str> {
        if self.read_only {
            Err(
                "this console only watches (--read-only): what needs you stays until it is dealt with",
            )
        } else {
            Ok(())
        }
    }

    /// Whether nothing can be changed from here, by this console's own wish or by the daemon's.
    pub fn only_watches(&self) -> bool {
        self.read_only || self.role.is_some_and(|role| !role.may_operate())
    }

    /// What of this may be done: all, or what changes nothing. Every way to an effect asks beforehand and says why not;
    /// this holds for those that forget to.
    pub(super) fn permitted(&self, mut effects: Vec<Effect>) -> Vec<Effect> {
        if self.only_watches() {
            effects.retain(|effect| !effect.changes());
        }
        effects
    }
}
