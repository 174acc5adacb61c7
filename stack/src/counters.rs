//! Counters, under the names that Linux's `nstat` prints.

use core::ops::{Index, IndexMut};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What is counted. A variant's name is the name that `nstat` prints, where Linux has the counter; those
        /// of our own begin with `Tapsock`.
        #[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
        pub enum Counter {
            $($(#[$doc])* $name,)*
        }

        impl Counter {
            /// All counters, in order.
            pub const ALL: &'static [Counter] = &[$(Counter::$name,)*];

            /// The name that `nstat` prints.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Counter::$name => stringify!($name),)*
                }
            }
        }
    };
}

counters! {
    /// Frames shorter than their link header, or with one that is malformed.
    TapsockLinkInHdrErrors,
    /// Frames to another station's address.
    TapsockLinkInAddrErrors,
    /// Frames of a protocol that nobody here speaks.
    TapsockLinkInUnknownProtos,
    /// Frames that came over the link and were longer than any buffer for them.
    TapsockLinkInTruncated,
    /// Frames that came over an interface that is down.
    TapsockLinkInDown,
    /// Packets of the link with nothing behind its own header.
    TapsockLinkInTooShort,
    /// Frames that the link's device had for us and could not hand over.
    TapsockLinkInRefused,
    /// Frames that came behind a description of the link's (`virtio_net_hdr`) which can't be theirs.
    TapsockLinkInMisdescribed,
    /// Frames sent while the link's interface was down.
    TapsockLinkOutDown,
    /// Frames that the link's device refused.
    TapsockLinkOutRefused,
    /// Frames that a link without offloads was to cut or to sum.
    TapsockLinkOutUnfinished,
    /// Sent, and dropped before a link that takes nothing, because the host has others to see to.
    TapsockLinkOutFull,
    /// Questions of other processes that were refused, for there were too many at a time.
    TapsockControlRefused,
    /// Malformed or implausible ARP packets.
    TapsockArpInErrors,
    /// Messages of DHCP that are malformed.
    TapsockDhcpInErrors,
    /// Messages of DHCP servers that nobody here waits for.
    TapsockDhcpInUnexpected,
    /// Malformed or implausible messages about groups.
    TapsockGroupInErrors,
    /// Malformed or implausible neighbour discovery messages.
    TapsockNdpInErrors,
    /// ARP packets and neighbour discovery messages from stations that use an address of ours.
    TapsockAddressConflicts,
    /// What autoconfiguration had to send or to tell, and found no room for.
    TapsockAutoconfDrops,
    /// Redirects that were not from the router they are about, or that settings say to ignore.
    TapsockRedirectsIgnored,
    /// Routes, addresses and resolvers that routers told of and there was no room for.
    TapsockAutoconfRefused,
    /// What was known of paths' MTUs and had to go for want of room.
    TapsockPathMtuEvictions,
    /// Packets dropped because their neighbour did not answer, or its queue was full.
    TapsockNeighborDrops,
    /// Announcements of neighbours that settings say to ignore.
    TapsockNeighborIgnored,
    /// Neighbour entries evicted because the cache was full.
    TapsockNeighborEvictions,
    /// Answers to strangers of the link that were not sent, for too many neighbours are asked for already.
    TapsockNeighborHeldBack,
    /// Packets whose source can be no host's, or is our own.
    TapsockIpInMartians,
    /// IPv4 packets that came where no packet to their source would leave.
    TcpExtIPReversePathFilter,
    /// Reports for error queues that were full.
    TapsockErrorQueueDrops,
    /// Packets for raw sockets that found no room in their queues.
    TapsockRawRcvbufErrors,
    /// IPv4 packets received.
    IpInReceives,
    /// IPv4 packets with a malformed header.
    IpInHdrErrors,
    /// IPv4 packets to an address that is not ours.
    IpInAddrErrors,
    /// IPv4 packets of a protocol that nobody here speaks.
    IpInUnknownProtos,
    /// IPv4 packets dropped for want of a rule that takes them.
    IpInDiscards,
    /// IPv4 packets delivered to a transport protocol.
    IpInDelivers,
    /// IPv4 packets sent.
    IpOutRequests,
    /// IPv4 packets of others that a way was found for.
    IpForwDatagrams,
    /// IPv4 packets of others that no route leads on.
    IpExtInNoRoutes,
    /// IPv4 packets dropped on their way out.
    IpOutDiscards,
    /// IPv4 packets without a route.
    IpOutNoRoutes,
    /// IPv4 packets shorter than their header says.
    IpExtInTruncatedPkts,
    /// IPv4 fragments received.
    IpReasmReqds,
    /// IPv4 packets put together from fragments.
    IpReasmOKs,
    /// IPv4 fragments, and packets of them, that were given up.
    IpReasmFails,
    /// IPv4 packets given up because the rest of their fragments did not come in time.
    IpReasmTimeout,
    /// IPv4 packets given up because fragments of them spoke of the same bytes.
    IpExtReasmOverlaps,
    /// IPv4 packets cut for the link or the path.
    IpFragOKs,
    /// IPv4 packets that were too large and must not be cut.
    IpFragFails,
    /// Fragments made of IPv4 packets.
    IpFragCreates,
    /// Bytes received in IPv4 packets.
    IpExtInOctets,
    /// Bytes sent in IPv4 packets.
    IpExtOutOctets,
    /// IPv6 packets received.
    Ip6InReceives,
    /// IPv6 packets with a malformed header.
    Ip6InHdrErrors,
    /// IPv6 packets to an address that is not ours.
    Ip6InAddrErrors,
    /// IPv6 packets of a protocol that nobody here speaks.
    Ip6InUnknownProtos,
    /// IPv6 packets dropped for want of a rule that takes them.
    Ip6InDiscards,
    /// IPv6 packets shorter than their header says.
    Ip6InTruncatedPkts,
    /// IPv6 packets delivered to a transport protocol.
    Ip6InDelivers,
    /// IPv6 packets sent.
    Ip6OutRequests,
    /// IPv6 packets of others that a way was found for.
    Ip6OutForwDatagrams,
    /// IPv6 packets of others that no route leads on.
    Ip6InNoRoutes,
    /// IPv6 packets of others that were too large for the next link.
    Ip6InTooBigErrors,
    /// IPv6 packets dropped on their way out.
    Ip6OutDiscards,
    /// IPv6 packets without a route.
    Ip6OutNoRoutes,
    /// IPv6 fragments received.
    Ip6ReasmReqds,
    /// IPv6 packets put together from fragments.
    Ip6ReasmOKs,
    /// IPv6 fragments, and packets of them, that were given up.
    Ip6ReasmFails,
    /// IPv6 packets given up because the rest of their fragments did not come in time.
    Ip6ReasmTimeout,
    /// IPv6 packets cut for the link or the path.
    Ip6FragOKs,
    /// IPv6 packets that were too large and must not be cut.
    Ip6FragFails,
    /// Fragments made of IPv6 packets.
    Ip6FragCreates,
    /// Bytes received in IPv6 packets.
    Ip6InOctets,
    /// Bytes sent in IPv6 packets.
    Ip6OutOctets,
    /// ICMP messages received.
    IcmpInMsgs,
    /// ICMP messages that are malformed or nonsensical.
    IcmpInErrors,
    /// ICMP messages with a wrong checksum.
    IcmpInCsumErrors,
    /// Destination unreachable received.
    IcmpInDestUnreachs,
    /// Time exceeded received.
    IcmpInTimeExcds,
    /// Parameter problem received.
    IcmpInParmProbs,
    /// Redirects received.
    IcmpInRedirects,
    /// Echo requests received.
    IcmpInEchos,
    /// Echo replies received.
    IcmpInEchoReps,
    /// Timestamp requests received.
    IcmpInTimestamps,
    /// Timestamp replies received.
    IcmpInTimestampReps,
    /// ICMP messages sent.
    IcmpOutMsgs,
    /// ICMP messages not sent because of the limit for all hosts together.
    IcmpOutRateLimitGlobal,
    /// ICMP messages not sent because of the limit for one host.
    IcmpOutRateLimitHost,
    /// Destination unreachable sent.
    IcmpOutDestUnreachs,
    /// Time exceeded sent.
    IcmpOutTimeExcds,
    /// Parameter problem sent.
    IcmpOutParmProbs,
    /// Redirects sent.
    IcmpOutRedirects,
    /// Echo requests sent.
    IcmpOutEchos,
    /// Echo replies sent.
    IcmpOutEchoReps,
    /// Timestamp replies sent.
    IcmpOutTimestampReps,
    /// ICMPv6 messages received.
    Icmp6InMsgs,
    /// ICMPv6 messages that are malformed or nonsensical.
    Icmp6InErrors,
    /// ICMPv6 messages with a wrong checksum.
    Icmp6InCsumErrors,
    /// Destination unreachable received.
    Icmp6InDestUnreachs,
    /// Packet too big received.
    Icmp6InPktTooBigs,
    /// Time exceeded received.
    Icmp6InTimeExcds,
    /// Parameter problem received.
    Icmp6InParmProblems,
    /// Echo requests received.
    Icmp6InEchos,
    /// Echo replies received.
    Icmp6InEchoReplies,
    /// Neighbour solicitations received.
    Icmp6InNeighborSolicits,
    /// Neighbour advertisements received.
    Icmp6InNeighborAdvertisements,
    /// Router solicitations received.
    Icmp6InRouterSolicits,
    /// Router advertisements received.
    Icmp6InRouterAdvertisements,
    /// Redirects received.
    Icmp6InRedirects,
    /// ICMPv6 messages sent.
    Icmp6OutMsgs,
    /// ICMPv6 messages not sent because of the limit for one host.
    Icmp6OutRateLimitHost,
    /// Destination unreachable sent.
    Icmp6OutDestUnreachs,
    /// Packet too big sent.
    Icmp6OutPktTooBigs,
    /// Redirects sent.
    Icmp6OutRedirects,
    /// Time exceeded sent.
    Icmp6OutTimeExcds,
    /// Parameter problem sent.
    Icmp6OutParmProblems,
    /// Echo requests sent.
    Icmp6OutEchos,
    /// Echo replies sent.
    Icmp6OutEchoReplies,
    /// Echo replies of both families for which a socket had no room.
    TapsockPingRcvbufErrors,
    /// Router solicitations sent.
    Icmp6OutRouterSolicits,
    /// Neighbour solicitations sent.
    Icmp6OutNeighborSolicits,
    /// Neighbour advertisements sent.
    Icmp6OutNeighborAdvertisements,
    /// UDP datagrams delivered.
    UdpInDatagrams,
    /// UDP datagrams to a port where nobody listens.
    UdpNoPorts,
    /// UDP datagrams that are malformed.
    UdpInErrors,
    /// UDP datagrams with a wrong checksum.
    UdpInCsumErrors,
    /// UDP datagrams dropped because a receive queue was full.
    UdpRcvbufErrors,
    /// UDP datagrams that were not sent because the send buffer, or the way to the link, had no room for them.
    UdpSndbufErrors,
    /// UDP datagrams sent.
    UdpOutDatagrams,
    /// Connections opened by `connect`.
    TcpActiveOpens,
    /// Connections opened by a peer.
    TcpPassiveOpens,
    /// Connection attempts that failed.
    TcpAttemptFails,
    /// Established connections reset.
    TcpEstabResets,
    /// Segments received.
    TcpInSegs,
    /// Segments sent, retransmissions not counted.
    TcpOutSegs,
    /// Segments retransmitted.
    TcpRetransSegs,
    /// Segments that are malformed.
    TcpInErrs,
    /// Segments with a wrong checksum.
    TcpInCsumErrors,
    /// Resets sent.
    TcpOutRsts,
    /// Handshakes dropped because the accept queue was full.
    TcpExtListenOverflows,
    /// Handshakes dropped for any reason.
    TcpExtListenDrops,
    /// ICMP errors that quote a number which is not in flight.
    TcpExtOutOfWindowIcmps,
    /// Segments dropped because they had come over more routers than their socket allows.
    TcpExtTCPMinTTLDrop,
    /// SYNs dropped because the SYN queue was full.
    TcpExtTCPReqQFullDrop,
    /// SYNs answered by a cookie because the SYN queue was full.
    TcpExtTCPReqQFullDoCookies,
    /// SYN cookies sent.
    TcpExtSyncookiesSent,
    /// SYN cookies that came back and opened a connection.
    TcpExtSyncookiesRecv,
    /// Acknowledgements that were none of the SYN cookies sent just before.
    TcpExtSyncookiesFailed,
    /// Connections that left TIME-WAIT by time.
    TcpExtTW,
    /// Connections that we opened from a port whose last connection with the same peer rested in TIME-WAIT.
    TcpExtTWRecycled,
    /// TIME-WAIT records dropped because the table was full.
    TcpExtTCPTimeWaitOverflow,
    /// Segments refused by their timestamp.
    TcpExtPAWSEstab,
    /// SYNs refused in TIME-WAIT by their timestamp.
    TcpExtPAWSActive,
    /// Acknowledgements dropped because of an old timestamp and an old sequence number.
    TcpExtPAWSOldAck,
    /// Segments of half-open connections that echo a time stamp which none of our SYN-ACKs had.
    TcpExtTSEcrRejected,
    /// Acknowledgements of gaps that others stood for.
    TcpExtTCPAckCompressed,
    /// Acknowledgements that seem to have been lost, for what they acknowledged came again.
    TcpExtDelayedACKLost,
    /// Delayed acknowledgements sent.
    TcpExtDelayedACKs,
    /// Larger segments that were tried and lost.
    TcpExtTCPMTUPFail,
    /// Larger segments that were tried and have arrived.
    TcpExtTCPMTUPSuccess,
    /// Retransmission time-outs.
    TcpExtTCPTimeouts,
    /// Segments sent again in fast recovery.
    TcpExtTCPFastRetrans,
    /// Fast recoveries entered by SACK.
    TcpExtTCPSackRecovery,
    /// Fast recoveries entered by duplicate acknowledgements without SACK.
    TcpExtTCPRenoRecovery,
    /// Segments sent again in slow start after a time-out.
    TcpExtTCPSlowStartRetrans,
    /// Segments that were sent again and lost again.
    TcpExtTCPLostRetransmit,
    /// Probes for a lost tail sent.
    TcpExtTCPLossProbes,
    /// Losses that a probe repaired, though nothing else told of them.
    TcpExtTCPLossProbeRecovery,
    /// Retransmission time-outs in fast recovery by SACK.
    TcpExtTCPSackRecoveryFail,
    /// Retransmission time-outs in fast recovery without SACK.
    TcpExtTCPRenoRecoveryFail,
    /// Retransmission time-outs after another one.
    TcpExtTCPLossFailures,
    /// Retransmission time-outs while SACK reported something.
    TcpExtTCPSackFailures,
    /// Retransmission time-outs after duplicate acknowledgements without SACK.
    TcpExtTCPRenoFailures,
    /// Recoveries undone, for nothing had been lost.
    TcpExtTCPFullUndo,
    /// Recoveries undone while they went on, for what was missing was late.
    TcpExtTCPPartialUndo,
    /// Recoveries undone because the peer reported all that was sent again as received twice.
    TcpExtTCPDSACKUndo,
    /// Recoveries after time-outs undone.
    TcpExtTCPLossUndo,
    /// Time-outs that were in error, as F-RTO found.
    TcpExtTCPSpuriousRTOs,
    /// Times that a peer took back what it had reported.
    TcpExtTCPSACKReneging,
    /// Times that the path was seen to reorder, by SACK.
    TcpExtTCPSACKReorder,
    /// The same, by timestamps.
    TcpExtTCPTSReorder,
    /// The same, by duplicate acknowledgements without SACK.
    TcpExtTCPRenoReorder,
    /// Reports of what had been received twice.
    TcpExtTCPDSACKRecv,
    /// The same, of what had been received out of order.
    TcpExtTCPDSACKOfoRecv,
    /// Segments that were reported as received twice.
    TcpExtTCPDSACKRecvSegs,
    /// Reports of more as received twice than was sent again.
    TcpExtTCPDSACKIgnoredDubious,
    /// Segments known to be delivered.
    TcpExtTCPDelivered,
    /// The same, by acknowledgements that tell of a mark of congestion.
    TcpExtTCPDeliveredCE,
    /// Times that what does not fill a frame was held back for more.
    TcpExtTCPAutoCorking,
    /// Slow starts that HyStart ended by a train of acknowledgements.
    TcpExtTCPHystartTrainDetect,
    /// Their windows, summed.
    TcpExtTCPHystartTrainCwnd,
    /// Slow starts that HyStart ended because the round trip grew.
    TcpExtTCPHystartDelayDetect,
    /// Their windows, summed.
    TcpExtTCPHystartDelayCwnd,
    /// Acknowledgements that carry no data. (Linux counts those apart that its fast path takes, as TCPHPAcks; there is no such
    /// path here.)
    TcpExtTCPPureAcks,
    /// Out-of-order segments queued.
    TcpExtTCPOFOQueue,
    /// Out-of-order segments dropped for want of room.
    TcpExtTCPOFODrop,
    /// Times that a receive buffer had no room for what came.
    TcpExtPruneCalled,
    /// Segments for which no room was made in a receive buffer.
    TcpExtRcvPruned,
    /// Times that the memory of all connections became short.
    TcpExtTCPMemoryPressures,
    /// For how long it was, in milliseconds.
    TcpExtTCPMemoryPressuresChrono,
    /// Times that small packets in a receive buffer were put together.
    TcpExtTCPRcvCollapsed,
    /// Segments that reach beyond the window.
    TcpExtBeyondWindow,
    /// Segments dropped because the window was closed.
    TcpExtTCPZeroWindowDrop,
    /// Times that what came out of order was dropped to make room for what was due.
    TcpExtOfoPruned,
    /// Segments dropped because the receive buffer was full.
    TcpExtTCPRcvQDrop,
    /// Segments outside the window.
    TcpExtTCPOutOfWindow,
    /// Reports sent of what was received twice, and acknowledged.
    TcpExtTCPDSACKOldSent,
    /// Reports sent of what was received twice, out of order.
    TcpExtTCPDSACKOfoSent,
    /// SACK blocks that made no sense.
    TcpExtTCPSACKDiscard,
    /// Challenge acknowledgements sent.
    TcpExtTCPChallengeACK,
    /// Challenge acknowledgements in answer to a SYN.
    TcpExtTCPSYNChallenge,
    /// Challenge acknowledgements not sent because of the rate limit.
    TcpExtTCPACKSkippedChallenge,
    /// Answers to segments out of the window left out because there was one just now.
    TcpExtTCPACKSkippedSeq,
    /// Answers to segments with an old time stamp left out because there was one just now.
    TcpExtTCPACKSkippedPAWS,
    /// Answers to segments of half-open connections left out because there was one just now.
    TcpExtTCPACKSkippedSynRecv,
    /// Answers to segments for connections in TIME-WAIT left out because there was one just now.
    TcpExtTCPACKSkippedTimeWait,
    /// Segments for connections that are over.
    TapsockTcpInClosed,
    /// Segments with data behind the peer's own FIN.
    TapsockTcpInAfterFin,
    /// Segments for a connection whose SYN is not answered, which are no SYN.
    TapsockTcpInNoSyn,
    /// Segments without an acknowledgement that begin no connection.
    TapsockTcpInNoAck,
    /// Zero-window probes and keepalives sent.
    TcpExtTCPKeepAlive,
    /// Zero-window probes sent.
    TcpExtTCPWinProbe,
    /// Time-outs after which what is sent has another flow label.
    TcpExtTcpTimeoutRehash,
    /// Times the window went from zero to open.
    TcpExtTCPFromZeroWindowAdv,
    /// Times the window went to zero.
    TcpExtTCPToZeroWindowAdv,
    /// Connections aborted with data unread at close.
    TcpExtTCPAbortOnClose,
    /// Connections aborted because data came after close.
    TcpExtTCPAbortOnData,
    /// Connections aborted by time-out.
    TcpExtTCPAbortOnTimeout,
    /// Connections aborted because there are too many that nobody holds.
    TcpExtTCPAbortOnMemory,
    /// Connections aborted by linger.
    TcpExtTCPAbortOnLinger,
    /// Acknowledgements of a handshake that were dropped while data was waited for.
    TcpExtTCPDeferAcceptDrop,
    /// Acknowledgements outside of what was sent.
    TcpExtTCPAckOutOfRange,
    /// SYN retransmissions received and answered.
    TcpExtTCPSynRetrans,
    /// Connections that we opened whose SYN's data the peer has taken.
    TcpExtTCPFastOpenActive,
    /// Connections that we opened whose SYN's data the peer has not taken.
    TcpExtTCPFastOpenActiveFail,
    /// Times that sending data in SYNs was paused.
    TcpExtTCPFastOpenBlackhole,
    /// SYNs that asked for a fast open cookie.
    TcpExtTCPFastOpenCookieReqd,
    /// SYNs for a fast open that were too many for a listener.
    TcpExtTCPFastOpenListenOverflow,
    /// Connections that peers opened by a fast open.
    TcpExtTCPFastOpenPassive,
    /// The same with a cookie of the second key.
    TcpExtTCPFastOpenPassiveAltKey,
    /// SYNs with a cookie that is not good.
    TcpExtTCPFastOpenPassiveFail,
}

/// One value for each [`Counter`].
///
/// ```
/// use tapsock_stack::counters::{Counter, Counters};
///
/// let mut counters = Counters::default();
/// counters[Counter::TcpRetransSegs] += 2;
/// let seen: Vec<_> = counters.iter().filter(|(_, value)| *value > 0).collect();
/// assert_eq!(seen, [(Counter::TcpRetransSegs, 2)]);
/// assert_eq!(Counter::TcpRetransSegs.name(), "TcpRetransSegs");
/// ```
#[derive(Clone, Debug)]
pub struct Counters {
    values: [u64; Counter::ALL.len()],
}

impl Counters {
    /// All counters with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|counter| (*counter, self[*counter]))
    }

    /// Adds one.
    pub fn bump(&mut self, counter: Counter) {
        self[counter] += 1;
    }
}

impl Default for Counters {
    fn default() -> Self {
        Counters { values: [0; Counter::ALL.len()] }
    }
}

impl Index<Counter> for Counters {
    type Output = u64;

    fn index(&self, counter: Counter) -> &u64 {
        &self.values[counter as usize]
    }
}

impl IndexMut<Counter> for Counters {
    fn index_mut(&mut self, counter: Counter) -> &mut u64 {
        &mut self.values[counter as usize]
    }
}
