//! One name, asked of one server after the other until its addresses are known: A and AAAA at once.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use tapsock_stack::time::Instant;

use super::conf::{ResolvConf, SERVERS_MAX};
use super::message::{self, AddressType, Answer, CHAIN_MAX, Edns, Finding, Reply, WireName};
use super::{Common, Transmit, Transport};

/// What came of a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Found {
        canonical: Option<String>,
        addresses: Vec<IpAddr>,
    },
    NoData,
    NoName,
    /// Servers could not answer, but they are there.
    Unable,
    /// Nobody answered, or nobody wanted to.
    Silence,
}

/// The name, and how far asking for it has come.
#[derive(Debug)]
pub(super) struct Round {
    questions: Vec<Question>,
    /// Counts the servers that were asked, one after the other, beginning with `first`.
    tries: usize,
    first: usize,
    transport: Transport,
    edns: Edns,
    deadline: Instant,
    /// Not sent yet.
    unsent: bool,
    heard_unable: bool,
    is_over: bool,
}

#[derive(Debug)]
struct Question {
    kind: AddressType,
    /// What is asked: the name itself, or what it is an alias of.
    name: WireName,
    asked: WireName,
    id: u16,
    /// Aliases on the way, their shortest time, and the last of them that is a host's name.
    hops: usize,
    ttl: Duration,
    canonical: Option<String>,
    state: State,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum State {
    /// This server has not answered.
    Open,
    /// This server can't.
    Failed,
    /// Nobody understands the question.
    NotUnderstood,
    Known(Answer),
}

impl Round {
    pub(super) fn new(
        now: Instant,
        name: &WireName,
        kinds: &[AddressType],
        conf: &ResolvConf,
        first: usize,
        common: &mut Common,
    ) -> Round {
        let question = |kind: &AddressType| Question {
            kind: *kind,
            name: name.clone(),
            asked: name.clone(),
            id: 0,
            hops: 0,
            ttl: Duration::MAX,
            canonical: None,
            state: common.cache.look_up(now, name, *kind).map_or(State::Open, State::Known),
        };
        let mut round = Round {
            questions: kinds.iter().map(question).collect(),
            tries: 0,
            first,
            transport: Transport::Udp,
            edns: Edns::Offered,
            deadline: now,
            unsent: false,
            heard_unable: false,
            is_over: false,
        };
        match round.is_answered() {
            true => round.is_over = true,
            false => round.begin(now, conf),
        }
        round
    }

    /// What is to be sent.
    pub(super) fn poll_transmit(&mut self, conf: &ResolvConf, common: &mut Common) -> Option<Transmit> {
        if self.is_over || !core::mem::take(&mut self.unsent) {
            return None;
        }
        let edns = self.edns;
        let open = self.questions.iter_mut().filter(|question| question.state == State::Open);
        let messages = open
            .map(|question| {
                //= RFC 5452 §9.2
                question.id = common.random.next_u32() as u16;
                message::question(question.id, &question.asked, question.kind, edns)
            })
            .collect();
        Some(Transmit { server: self.server(conf)?, transport: self.transport, messages })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (!self.is_over).then_some(self.deadline)
    }

    /// The outcome, once there is one.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.is_over.then(|| self.judge())
    }

    /// A message has come from `from`. One that is no answer to what was asked there changes nothing.
    pub(super) fn on_message(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
        conf: &ResolvConf,
        common: &mut Common,
    ) {
        if self.is_over || self.unsent || !self.server(conf).is_some_and(|server| same(server, from)) {
            return;
        }
        let open = self.questions.iter_mut().filter(|question| question.state == State::Open);
        let reply = open.filter_map(|question| {
            message::read(bytes, question.id, &question.asked, question.kind).map(|reply| (question, reply))
        });
        let Some((question, reply)) = { reply }.next() else { return };
        match reply {
            Reply::Final(finding) => question.learn(now, finding, common),
            Reply::Alias { target, canonical, hops, ttl } => {
                question.follow(now, target, canonical, hops, ttl, common);
                if question.state == State::Open {
                    // The others may still answer, and are asked again if they have not.
                    return self.send(now, conf);
                }
            }
            Reply::Truncated if self.transport == Transport::Udp => {
                //= RFC 7766 §5
                self.transport = Transport::Tcp;
                return self.send(now, conf);
            }
            Reply::NotUnderstood if self.edns == Edns::Offered => {
                //= RFC 6891 §6.2.2
                self.edns = Edns::Absent;
                return self.send(now, conf);
            }
            Reply::NotUnderstood => question.state = State::NotUnderstood,
            Reply::Unable | Reply::Truncated => {
                question.state = State::Failed;
                self.heard_unable = true;
            }
            Reply::Unwilling => question.state = State::Failed,
        }
        self.go_on(now, conf);
    }

    /// The server can't be reached.
    pub(super) fn on_failure(&mut self, now: Instant, conf: &ResolvConf) {
        if !self.is_over {
            self.next_server(now, conf);
        }
    }

    pub(super) fn on_timeout(&mut self, now: Instant, conf: &ResolvConf) {
        if !self.is_over && now >= self.deadline {
            self.next_server(now, conf);
        }
    }

    /// Goes on where nothing more can be expected of this server.
    fn go_on(&mut self, now: Instant, conf: &ResolvConf) {
        if self.is_answered() {
            self.is_over = true;
        } else if !self.questions.iter().any(|question| question.state == State::Open) {
            self.next_server(now, conf);
        }
    }

    fn next_server(&mut self, now: Instant, conf: &ResolvConf) {
        self.tries += 1;
        for question in &mut self.questions {
            if question.state == State::Failed {
                question.state = State::Open;
            }
        }
        self.begin(now, conf);
    }

    fn begin(&mut self, now: Instant, conf: &ResolvConf) {
        if self.tries >= conf.attempts * servers(conf).len() {
            self.is_over = true;
            return;
        }
        self.transport = if conf.use_tcp { Transport::Tcp } else { Transport::Udp };
        self.edns = if conf.edns { Edns::Offered } else { Edns::Absent };
        self.send(now, conf);
    }

    fn send(&mut self, now: Instant, conf: &ResolvConf) {
        self.unsent = true;
        self.deadline = now + conf.timeout;
    }

    fn server(&self, conf: &ResolvConf) -> Option<SocketAddr> {
        let servers = servers(conf);
        servers.get((self.first + self.tries) % servers.len().max(1)).copied()
    }

    fn is_answered(&self) -> bool {
        self.questions.iter().all(|question| matches!(question.state, State::Known(_) | State::NotUnderstood))
    }

    /// As glibc sees it: one address is success; that there is no such name weighs more than that it has no address.
    fn judge(&self) -> Outcome {
        let answers = || {
            self.questions.iter().filter_map(|question| match &question.state {
                State::Known(answer) => Some(answer),
                _ => None,
            })
        };
        let mut found = Vec::new();
        let mut name = None;
        for answer in answers() {
            if let Answer::Addresses { canonical, addresses } = answer {
                found.extend_from_slice(addresses);
                name = name.or_else(|| canonical.clone());
            }
        }
        if !found.is_empty() {
            return Outcome::Found { canonical: name, addresses: found };
        }
        let not_understood = || self.questions.iter().any(|question| question.state == State::NotUnderstood);
        if answers().any(|answer| *answer == Answer::NoName) || not_understood() {
            return Outcome::NoName;
        }
        match answers().next() {
            Some(_) => Outcome::NoData,
            None if self.heard_unable => Outcome::Unable,
            None => Outcome::Silence,
        }
    }
}

impl Question {
    fn learn(&mut self, now: Instant, finding: Finding, common: &mut Common) {
        let mut finding = finding;
        if let Answer::Addresses { canonical, .. } = &mut finding.answer
            && canonical.is_none()
        {
            *canonical = self.canonical.take();
        }
        finding.ttl = finding.ttl.min(self.ttl);
        // Under the name that was asked for first: who asks for it again is to find it.
        common.cache.insert(now, &self.name, self.kind, &finding);
        self.state = State::Known(finding.answer);
    }

    /// The name is an alias: that is asked for from now on.
    fn follow(
        &mut self,
        now: Instant,
        target: WireName,
        canonical: Option<String>,
        hops: usize,
        ttl: Duration,
        common: &mut Common,
    ) {
        self.hops += hops;
        self.ttl = self.ttl.min(ttl);
        self.canonical = canonical.or(self.canonical.take());
        if self.hops > CHAIN_MAX {
            self.state = State::Failed;
            return;
        }
        self.state = common.cache.look_up(now, &target, self.kind).map_or(State::Open, State::Known);
        self.asked = target;
    }
}

fn servers(conf: &ResolvConf) -> &[SocketAddr] {
    &conf.servers[..conf.servers.len().min(SERVERS_MAX)]
}

/// Whether a message is from that server. The zone of a link-local address may be told or not.
//= RFC 5452 §9.1
fn same(server: SocketAddr, from: SocketAddr) -> bool {
    (server.ip(), server.port()) == (from.ip(), from.port())
}
