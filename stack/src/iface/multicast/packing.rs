//! Records in as many reports as they need.

use crate::wire::group::{Record, RecordKind};

/// Bytes of a report before its records, with the IP header and its router alert: of IGMP and of MLD.
const OVERHEAD: [usize; 2] = [20 + 4 + 8, 40 + 8 + 8];

/// Packs records, which are of one family, into reports that fit packets of `mtu` bytes. One whose sources do not fit a
/// report becomes several; of those that are *not* heard the rest is left out, for several records would each take back
/// what the others say.
///
/// ```
/// use tapsock_stack::iface::multicast::pack;
/// use tapsock_stack::wire::group::{Record, RecordKind};
///
/// let sources = (0..=255).map(|n| [10, 0, 0, n].into()).collect();
/// let record = Record { kind: RecordKind::Allow, group: [239, 1, 1, 1].into(), sources };
/// assert_eq!(pack(vec![record.clone()], 1500).len(), 1);
/// assert_eq!(pack(vec![record], 576).len(), 2);
/// ```
//= RFC 9776 §4.2.16
//= RFC 9777 §5.2.16
pub fn pack(records: Vec<Record>, mtu: usize) -> Vec<Vec<Record>> {
    let v4 = records.first().is_some_and(|record| record.group.is_ipv4());
    let room = mtu.min(usize::from(u16::MAX)).saturating_sub(OVERHEAD[usize::from(!v4)]);
    let mut reports: Vec<Vec<Record>> = Vec::new();
    let mut left = 0;
    for mut record in records {
        let address = if record.group.is_ipv4() { 4 } else { 16 };
        let most = (room.saturating_sub(HEAD + address) / address).max(1);
        if matches!(record.kind, RecordKind::IsExclude | RecordKind::ToExclude) {
            record.sources.truncate(most);
        }
        loop {
            let sources: Vec<_> = record.sources.drain(..most.min(record.sources.len())).collect();
            let len = HEAD + address * (1 + sources.len());
            if reports.is_empty() || len > left {
                reports.push(Vec::new());
                left = room;
            }
            left = left.saturating_sub(len);
            if let Some(report) = reports.last_mut() {
                report.push(Record { sources, ..record.clone_head() });
            }
            if record.sources.is_empty() {
                break;
            }
        }
    }
    reports
}

impl Record {
    /// The same without sources.
    fn clone_head(&self) -> Record {
        Record { kind: self.kind, group: self.group, sources: Vec::new() }
    }
}

/// Bytes of a record before its group.
const HEAD: usize = 4;

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;
    use crate::wire::group::{igmp_report, mld_report};

    fn record(kind: RecordKind, v4: bool, sources: u16) -> Record {
        let address = |n: u16| match v4 {
            true => IpAddr::from([10, 0, (n >> 8) as u8, n as u8]),
            false => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]),
        };
        let group =
            if v4 { IpAddr::from([239, 1, 1, 1]) } else { IpAddr::from([0xff05, 0, 0, 0, 0, 0, 0, 9]) };
        Record { kind, group, sources: (0..sources).map(address).collect() }
    }

    /// Packets that the reports make, and the sources that they name.
    fn packets(records: Vec<Record>) -> (Vec<usize>, usize) {
        let v4 = records[0].group.is_ipv4();
        let reports = pack(records, 1280);
        let len = |report: &Vec<Record>| match v4 {
            true => igmp_report([10, 0, 0, 1].into(), report).len(),
            false => mld_report([0; 16].into(), report).len(),
        };
        (reports.iter().map(len).collect(), reports.iter().flatten().map(|record| record.sources.len()).sum())
    }

    //= RFC 9776 §4.2.16, type=test
    //= RFC 9777 §5.2.16, type=test
    #[test]
    fn no_report_is_longer_than_its_link_takes() {
        for v4 in [true, false] {
            for kind in [RecordKind::IsInclude, RecordKind::Allow, RecordKind::Block, RecordKind::ToInclude] {
                let (lens, named) = packets(vec![record(kind, v4, 1000)]);
                assert!(lens.len() > 1 && lens.iter().all(|len| *len <= 1280), "{lens:?}");
                assert_eq!(named, 1000, "all of them are named");
            }
            for kind in [RecordKind::IsExclude, RecordKind::ToExclude] {
                let (lens, named) = packets(vec![record(kind, v4, 1000)]);
                assert!(
                    lens.len() == 1 && lens[0] <= 1280 && (50..1000).contains(&named),
                    "{lens:?} {named}"
                );
            }
            let (lens, _) = packets(vec![record(RecordKind::IsExclude, v4, 3); 100]);
            assert!(
                lens.len() < 10 && lens.iter().all(|len| *len <= 1280),
                "many records share one: {lens:?}"
            );
            assert_eq!(packets(vec![record(RecordKind::ToInclude, v4, 0)]).0.len(), 1, "no sources at all");
            // What fits goes together, and to the last byte; no room at all is no reason to go round for ever.
            let two = vec![record(RecordKind::Allow, v4, 2); 2];
            let both =
                if v4 { igmp_report([10, 0, 0, 1].into(), &two) } else { mld_report([0; 16].into(), &two) }
                    .len();
            assert_eq!([both, both - 1, 0].map(|mtu| pack(two.clone(), mtu).len()), [1, 2, 4]);
        }
    }
}
