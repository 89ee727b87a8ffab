//! Who is connected, and how many may be. The counting is pure; [`Lobby`] gives out seats, which count as long as they
//! live.
//!
//! Connections count from the moment they are accepted, whether or not they ever say who they are. Over TCP there are
//! at most so many in all, and at most so many from one address (from one /64, in IPv6). Loopback addresses have no bound
//! of their own: behind a TLS proxy everybody comes from there, and the proxy is who can tell them apart. The local
//! socket has no bound of its own either, and some places that nobody else gets: whoever owns the daemon can look what
//! is going on when others have taken all the rest.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places that only the local socket gets.
pub const LOCAL_RESERVE: usize = 64;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// In all, but for [`LOCAL_RESERVE`].
    pub total: usize,
    /// From one address of another host.
    pub per_address: usize,
}

/// Where a connection comes from, as far as bounds go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The local socket.
    Local,
    /// A loopback address.
    Loopback,
    /// An address of another host, or the network that one such has.
    Address(IpAddr),
}

impl Origin {
    /// The origin of a TCP connection.
    pub(super) fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        match address {
            _ if address.is_loopback() => Self::Loopback,
            IpAddr::V4(_) => Self::Address(address),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self::Address(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

/// Why there is no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Crowded {
    /// There are too many in all.
    #[error(
        "the daemon has as many connections as it may; try again later, or raise limits.connections"
    )]
    Total,
    /// There are too many from this address.
    #[error(
        "this address has as many connections as it may; close some, or raise limits.connections_per_address"
    )]
    Address,
}

/// The counts.
#[derive(Debug)]
struct Census {
    caps: Caps,
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Census {
    fn new(caps: Caps) -> Self {
        Self {
            caps,
            total: 0,
            by_address: HashMap::new(),
        }
    }

    fn enter(&mut self, origin: Origin) -> Result<(), Crowded> {
        let places = match origin {
            Origin::Local => self.caps.total.saturating_add(LOCAL_RESERVE),
            Origin::Loopback | Origin::Address(_) => self.caps.total,
        };
        if self.total >= places {
            return Err(Crowded::Total);
        }
        if let Origin::Address(address) = origin {
            let count = self.by_address.get(&address).copied().unwrap_or_default();
            if count >= self.caps.per_address {
                return Err(Crowded::Address);
            }
            self.by_address.insert(address, count + 1);
        }
        self.total += 1;
        Ok(())
    }

    fn leave(&mut self, origin: Origin) {
        self.total = self.total.saturating_sub(1);
        if let Origin::Address(address) = origin
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

/// Everybody who is connected.
#[derive(Debug)]
pub struct Lobby {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    census: Census,
    /// Who they are, in the order in which they came.
    names: BTreeMap<u64, String>,
    /// The number of the next one.
    next: u64,
}

impl Lobby {
    /// An empty one.
    pub fn new(caps: Caps) -> Arc<Self> {
        let census = Census::new(caps);
        Arc::new(Self {
            state: Mutex::new(State {
                census,
                names: BTreeMap::new(),
                next: 0,
            }),
        })
    }

    /// A seat for a connection that calls itself `name` for now.
    pub(super) fn enter(self: &Arc<Self>, origin: Origin, name: String) -> Result<Seat, Crowded> {
        let mut state = self.state();
        state.census.enter(origin)?;
        let number = state.next;
        state.next += 1;
        state.names.insert(number, name);
        drop(state);
        Ok(Seat {
            lobby: Arc::clone(self),
            origin,
            number,
        })
    }

    /// How many are connected.
    pub fn len(&self) -> usize {
        self.state().census.total
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first so many who are connected, by name.
    pub fn names(&self, at_most: usize) -> Vec<String> {
        self.state().names.values().take(at_most).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the counts whole: they change in short sections that cannot panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, as long as it lives.
#[derive(Debug)]
pub(super) struct Seat {
    lobby: Arc<Lobby>,
    origin: Origin,
    number: u64,
}

impl Seat {
    /// Who has it, once that is known.
    pub(super) fn rename(&self, name: String) {
        self.lobby.state().names.insert(self.number, name);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.lobby.state();
        state.census.leave(self.origin);
        state.names.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPS: Caps = Caps {
        total: 5,
        per_address: 2,
    };

    fn address(last: u8) -> Origin {
        Origin::of([192, 0, 2, last].into())
    }

    #[test]
    fn origins_are_what_bounds_go_by() {
        let of = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(of("127.0.0.9"), Origin::Loopback);
        assert_eq!(of("::1"), Origin::Loopback);
        assert_eq!(of("::ffff:127.0.0.1"), Origin::Loopback);
        assert_eq!(of("::ffff:192.0.2.7"), address(7));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"), "one network");
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }

    #[test]
    fn an_address_fills_its_own_places_only() {
        let mut census = Census::new(CAPS);
        assert_eq!(census.enter(address(1)), Ok(()));
        assert_eq!(census.enter(address(1)), Ok(()));
        assert_eq!(census.enter(address(1)), Err(Crowded::Address));
        assert_eq!(census.enter(address(2)), Ok(()));
        census.leave(address(1));
        assert_eq!(census.enter(address(1)), Ok(()));
    }

    #[test]
    fn the_local_socket_gets_in_when_all_is_full() {
        let mut census = Census::new(CAPS);
        while census.enter(Origin::Loopback).is_ok() {}
        assert_eq!(census.total, 5);
        assert_eq!(census.enter(address(1)), Err(Crowded::Total));
        let local = (0..).take_while(|_| census.enter(Origin::Local).is_ok());
        assert_eq!(local.count(), LOCAL_RESERVE);
    }

    #[test]
    fn a_seat_counts_as_long_as_it_lives() {
        let lobby = Lobby::new(CAPS);
        let first = lobby.enter(Origin::Local, "a".to_owned()).unwrap();
        let second = lobby.enter(Origin::Loopback, "b".to_owned()).unwrap();
        second.rename("agent web-1".to_owned());
        assert_eq!(lobby.names(9), ["a", "agent web-1"]);
        drop(first);
        assert_eq!(
            (lobby.len(), lobby.names(9)),
            (1, vec!["agent web-1".to_owned()])
        );
        drop(second);
        assert!(lobby.is_empty());
    }

    proptest! {
        /// Against a list of who is in: the counts are the list's, and no bound is ever passed.
        #[test]
        fn the_counts_are_those_who_are_in(steps in prop::collection::vec((any::<bool>(), 0..5_u8), 0..200)) {
            let mut census = Census::new(CAPS);
            let mut inside: Vec<Origin> = Vec::new();
            for (comes, who) in steps {
                let origin = match who {
                    0 => Origin::Local,
                    1 => Origin::Loopback,
                    last => address(last),
                };
                if comes {
                    if census.enter(origin).is_ok() {
                        inside.push(origin);
                    }
                } else if let Some(at) = inside.iter().position(|other| *other == origin) {
                    inside.swap_remove(at);
                    census.leave(origin);
                }
                prop_assert_eq!(census.total, inside.len());
                let remote = inside.iter().filter(|origin| **origin != Origin::Local).count();
                prop_assert!(remote <= CAPS.total);
                for last in 2..5 {
                    let count = inside.iter().filter(|origin| **origin == address(last)).count();
                    prop_assert!(count <= CAPS.per_address);
                }
            }
            let addresses: std::collections::HashSet<_> = inside.iter().filter_map(|origin| match origin {
                Origin::Address(address) => Some(*address),
                _ => None,
            }).collect();
            prop_assert_eq!(census.by_address.len(), addresses.len());
        }
    }
}
