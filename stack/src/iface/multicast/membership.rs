//! The groups of one socket, each with the sources that it wants to hear or not to hear (RFC 3678).

use core::fmt;
use core::net::IpAddr;

use super::super::InterfaceId;

/// Groups that one socket can be in, as Linux's `igmp_max_memberships`.
pub const MAX_MEMBERSHIPS: usize = 20;

/// Sources that one socket can name for one group. (Linux: 10 for IPv4, 64 for IPv6.)
pub const MAX_SOURCES: usize = 64;

/// What a list of sources means.
///
/// ```
/// use tapsock_stack::iface::multicast::FilterMode;
///
/// assert_ne!(FilterMode::Include, FilterMode::Exclude);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum FilterMode {
    /// Only those are heard.
    Include,
    /// All others are heard.
    Exclude,
}

/// Which sources of a group are heard. The sources are sorted.
///
/// ```
/// use tapsock_stack::iface::multicast::Filter;
///
/// assert!(Filter::ALL.passes("192.0.2.1".parse().unwrap()));
/// assert!(!Filter::NONE.passes("192.0.2.1".parse().unwrap()));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    /// What the list means.
    pub mode: FilterMode,
    /// The list.
    pub sources: Vec<IpAddr>,
}

impl Filter {
    /// Nobody is heard: as if the group had not been joined.
    pub const NONE: Filter = Filter { mode: FilterMode::Include, sources: Vec::new() };
    /// Everybody is heard.
    pub const ALL: Filter = Filter { mode: FilterMode::Exclude, sources: Vec::new() };

    /// Whether a packet from `source` is heard.
    pub fn passes(&self, source: IpAddr) -> bool {
        self.sources.binary_search(&source).is_ok() == (self.mode == FilterMode::Include)
    }
}

/// Why a socket can't be in a group, or hear a source.
///
/// ```
/// use tapsock_stack::iface::multicast::MembershipError;
///
/// assert_eq!(MembershipError::Joined.to_string(), "the socket is in the group already");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum MembershipError {
    /// There is no such interface (ENODEV).
    NoInterface,
    /// It is in the group already (EADDRINUSE).
    Joined,
    /// It is not in the group, or the source is named already, or not named (EADDRNOTAVAIL).
    NotFound,
    /// It is not in the group, or its list means the opposite (EINVAL).
    OtherMode,
    /// A limit is reached (ENOBUFS).
    Full,
}

impl fmt::Display for MembershipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MembershipError::NoInterface => "no such interface",
            MembershipError::Joined => "the socket is in the group already",
            MembershipError::NotFound => "the socket does not have the group or the source",
            MembershipError::OtherMode => "the list of sources means the opposite",
            MembershipError::Full => "the limit on groups or sources is reached",
        })
    }
}

impl core::error::Error for MembershipError {}

#[derive(Clone, Debug)]
struct Membership {
    interface: InterfaceId,
    group: IpAddr,
    filter: Filter,
}

/// The groups of one socket.
///
/// ```
/// use tapsock_stack::iface::InterfaceId;
/// use tapsock_stack::iface::multicast::Memberships;
///
/// let mut groups = Memberships::default();
/// let (group, source) = ("239.1.1.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
/// groups.join(InterfaceId(1), group)?;
/// groups.block(InterfaceId(1), group, source)?;
/// assert_eq!(groups.passes(InterfaceId(1), group, source), Some(false));
/// assert_eq!(groups.passes(InterfaceId(2), group, source), None);
/// # Ok::<(), tapsock_stack::iface::multicast::MembershipError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Memberships {
    list: Vec<Membership>,
}

impl Memberships {
    /// Joins a group, to hear everybody there (`IP_ADD_MEMBERSHIP`).
    pub fn join(&mut self, interface: InterfaceId, group: IpAddr) -> Result<(), MembershipError> {
        if self.find(interface, group).is_some() {
            return Err(MembershipError::Joined);
        }
        self.add(Membership { interface, group, filter: Filter::ALL })
    }

    /// Leaves a group (`IP_DROP_MEMBERSHIP`).
    pub fn leave(&mut self, interface: InterfaceId, group: IpAddr) -> Result<(), MembershipError> {
        let place = self.place(interface, group).ok_or(MembershipError::NotFound)?;
        self.list.remove(place);
        Ok(())
    }

    /// Hears one more source of a group, and no others but those named before (`IP_ADD_SOURCE_MEMBERSHIP`).
    pub fn join_source(
        &mut self,
        interface: InterfaceId,
        group: IpAddr,
        source: IpAddr,
    ) -> Result<(), MembershipError> {
        match self.find(interface, group) {
            Some(filter) => insert(in_mode(filter, FilterMode::Include)?, source),
            None => {
                let filter = Filter { mode: FilterMode::Include, sources: vec![source] };
                self.add(Membership { interface, group, filter })
            }
        }
    }

    /// Hears a source no more; with the last one the group is left (`IP_DROP_SOURCE_MEMBERSHIP`).
    pub fn leave_source(
        &mut self,
        interface: InterfaceId,
        group: IpAddr,
        source: IpAddr,
    ) -> Result<(), MembershipError> {
        let filter = self.find(interface, group).ok_or(MembershipError::OtherMode)?;
        let filter = in_mode(filter, FilterMode::Include)?;
        remove(filter, source)?;
        if filter.sources.is_empty() {
            return self.leave(interface, group);
        }
        Ok(())
    }

    /// Hears one source of a group less (`IP_BLOCK_SOURCE`).
    pub fn block(
        &mut self,
        interface: InterfaceId,
        group: IpAddr,
        source: IpAddr,
    ) -> Result<(), MembershipError> {
        insert(self.excluding(interface, group)?, source)
    }

    /// Hears it again (`IP_UNBLOCK_SOURCE`).
    pub fn unblock(
        &mut self,
        interface: InterfaceId,
        group: IpAddr,
        source: IpAddr,
    ) -> Result<(), MembershipError> {
        remove(self.excluding(interface, group)?, source)
    }

    /// Names all sources of a group that it is in anew (`IP_MSFILTER`, `MCAST_MSFILTER`). Who then hears nobody has left it.
    //= RFC 3678 §4.1.3
    pub fn replace(
        &mut self,
        interface: InterfaceId,
        group: IpAddr,
        mut filter: Filter,
    ) -> Result<(), MembershipError> {
        filter.sources.sort_unstable();
        filter.sources.dedup();
        let known = self.find(interface, group).ok_or(MembershipError::OtherMode)?;
        if filter.sources.len() > MAX_SOURCES {
            return Err(MembershipError::Full);
        }
        if filter == Filter::NONE {
            return self.leave(interface, group);
        }
        *known = filter;
        Ok(())
    }

    /// The list of a group that names whom the socket does not hear.
    fn excluding(&mut self, interface: InterfaceId, group: IpAddr) -> Result<&mut Filter, MembershipError> {
        let filter = self.find(interface, group).ok_or(MembershipError::OtherMode)?;
        in_mode(filter, FilterMode::Exclude)
    }

    /// Whether the socket hears `source` in `group`; `None` where it is not in the group there.
    pub fn passes(&self, interface: InterfaceId, group: IpAddr, source: IpAddr) -> Option<bool> {
        self.place(interface, group).map(|place| self.list[place].filter.passes(source))
    }

    /// What it wants to hear of `group`.
    pub fn filter(&self, interface: InterfaceId, group: IpAddr) -> Option<&Filter> {
        self.place(interface, group).map(|place| &self.list[place].filter)
    }

    /// The interface where it is in `group`, the first of them.
    pub fn interface_of(&self, group: IpAddr) -> Option<InterfaceId> {
        self.list.iter().find(|member| member.group == group).map(|member| member.interface)
    }

    /// All groups that it is in, and what it hears there.
    pub fn groups(&self) -> impl Iterator<Item = (InterfaceId, IpAddr, &Filter)> + '_ {
        self.list.iter().map(|member| (member.interface, member.group, &member.filter))
    }

    fn add(&mut self, member: Membership) -> Result<(), MembershipError> {
        if self.list.len() >= MAX_MEMBERSHIPS {
            return Err(MembershipError::Full);
        }
        self.list.push(member);
        Ok(())
    }

    fn place(&self, interface: InterfaceId, group: IpAddr) -> Option<usize> {
        self.list.iter().position(|member| (member.interface, member.group) == (interface, group))
    }

    fn find(&mut self, interface: InterfaceId, group: IpAddr) -> Option<&mut Filter> {
        self.place(interface, group).map(|place| &mut self.list[place].filter)
    }
}

/// The list as one of that meaning; an empty one can still take the other, as on Linux.
fn in_mode(filter: &mut Filter, mode: FilterMode) -> Result<&mut Filter, MembershipError> {
    if filter.mode != mode {
        if !filter.sources.is_empty() {
            return Err(MembershipError::OtherMode);
        }
        filter.mode = mode;
    }
    Ok(filter)
}

//= RFC 9776 §2 MUST-1
//= RFC 9776 §2 MUST-2
fn insert(filter: &mut Filter, source: IpAddr) -> Result<(), MembershipError> {
    match filter.sources.binary_search(&source) {
        Ok(_) => Err(MembershipError::NotFound),
        Err(_) if filter.sources.len() >= MAX_SOURCES => Err(MembershipError::Full),
        Err(place) => {
            filter.sources.insert(place, source);
            Ok(())
        }
    }
}

fn remove(filter: &mut Filter, source: IpAddr) -> Result<(), MembershipError> {
    let place = filter.sources.binary_search(&source).map_err(|_| MembershipError::NotFound)?;
    filter.sources.remove(place);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: InterfaceId = InterfaceId(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn any_source_then_some_less() {
        let mut groups = Memberships::default();
        let (group, a, b) = (ip("239.1.1.1"), ip("10.0.0.1"), ip("10.0.0.2"));
        assert_eq!(groups.leave(ETH0, group), Err(MembershipError::NotFound));
        assert_eq!(groups.block(ETH0, group, a), Err(MembershipError::OtherMode));
        groups.join(ETH0, group).unwrap();
        assert_eq!(groups.join(ETH0, group), Err(MembershipError::Joined));
        groups.block(ETH0, group, a).unwrap();
        assert_eq!(groups.block(ETH0, group, a), Err(MembershipError::NotFound));
        assert_eq!((groups.passes(ETH0, group, a), groups.passes(ETH0, group, b)), (Some(false), Some(true)));
        assert_eq!(groups.join_source(ETH0, group, b), Err(MembershipError::OtherMode));
        groups.unblock(ETH0, group, a).unwrap();
        assert_eq!(groups.unblock(ETH0, group, a), Err(MembershipError::NotFound));
        // An empty list can change its meaning.
        groups.join_source(ETH0, group, b).unwrap();
        assert_eq!((groups.passes(ETH0, group, a), groups.passes(ETH0, group, b)), (Some(false), Some(true)));
        groups.leave_source(ETH0, group, b).unwrap();
        assert_eq!(groups.passes(ETH0, group, b), None, "with the last source the group is left");
    }

    //= RFC 9776 §2 MUST-1, type=test
    //= RFC 9776 §2 MUST-2, type=test
    //= RFC 9776 §3.2 MUST-2, type=test
    //= RFC 9777 §4.2 MUST-2, type=test
    #[test]
    fn tables_have_ends() {
        const { assert!(MAX_SOURCES >= 64, "as many as RFC 9776 asks for") }
        let mut groups = Memberships::default();
        for n in 0..MAX_MEMBERSHIPS {
            groups.join(ETH0, ip(&format!("239.1.1.{n}"))).unwrap();
        }
        assert_eq!(groups.join(ETH0, ip("239.1.2.1")), Err(MembershipError::Full));
        for n in 0..MAX_SOURCES {
            groups.block(ETH0, ip("239.1.1.1"), ip(&format!("10.0.0.{n}"))).unwrap();
        }
        assert_eq!(groups.block(ETH0, ip("239.1.1.1"), ip("10.0.1.1")), Err(MembershipError::Full));
    }
}
