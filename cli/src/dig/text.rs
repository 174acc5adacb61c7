//! An answer as dig(1) shows it.

use std::fmt::Display;
use std::net::SocketAddr;

use domain::base::iana::{Opcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::{Message, ParsedName, ToName};
use domain::rdata::AllRecordData;

use super::Heard;

/// The data of the answer's records, a line each.
pub(super) fn short(message: Message<&[u8]>) -> String {
    message.answer().map_or(String::new(), |section| lines(section, |record| record.data.clone()))
}

/// A record, taken apart.
struct Record {
    owner: String,
    rest: String,
    data: String,
}

fn lines(section: RecordSection<'_, &[u8]>, show: impl Fn(&Record) -> String) -> String {
    let mut text = String::new();
    for record in section {
        let record =
            record.ok().and_then(|record| record.into_any_record::<AllRecordData<_, ParsedName<_>>>().ok());
        // The option is shown elsewhere.
        if record.as_ref().is_some_and(|record| record.rtype() == Rtype::OPT) {
            continue;
        }
        let Some(record) = record else {
            text += ";; a record can't be read\n";
            continue;
        };
        let rest = format!("{}\t{}\t{}", record.ttl().as_secs(), record.class(), record.rtype());
        let owner = format!("{}", record.owner().fmt_with_dot());
        text += &show(&Record { owner, rest, data: record.data().to_string() });
        text.push('\n');
    }
    text
}

/// All of it, as dig lays it out.
pub(super) fn whole(message: Message<&[u8]>) -> String {
    let (header, counts) = (message.header(), message.header_counts());
    let status = message.opt_rcode();
    let opcode =
        if header.opcode() == Opcode::QUERY { "QUERY".to_owned() } else { header.opcode().to_string() };
    let flags = [
        (header.qr(), "qr"),
        (header.aa(), "aa"),
        (header.tc(), "tc"),
        (header.rd(), "rd"),
        (header.ra(), "ra"),
        (header.ad(), "ad"),
        (header.cd(), "cd"),
    ];
    let flags: String = flags.iter().filter(|(on, _)| *on).map(|(_, flag)| format!(" {flag}")).collect();
    let mut text = format!(
        ";; Got answer:\n;; ->>HEADER<<- opcode: {opcode}, status: {status}, id: {}\n;; flags:{flags}; QUERY: {}, ANSWER: {}, \
         AUTHORITY: {}, ADDITIONAL: {}\n",
        header.id(),
        counts.qdcount(),
        counts.ancount(),
        counts.nscount(),
        counts.arcount()
    );
    if let Some(opt) = message.opt() {
        let flags = if opt.dnssec_ok() { " do" } else { "" };
        let (version, size) = (opt.version(), opt.udp_payload_size());
        text += &format!("\n;; OPT PSEUDOSECTION:\n; EDNS: version: {version}, flags:{flags}; udp: {size}\n");
    }
    text += if counts.qdcount() > 0 { "\n;; QUESTION SECTION:\n" } else { "" };
    for question in message.question().flatten() {
        text +=
            &format!(";{}\t\t{}\t{}\n", question.qname().fmt_with_dot(), question.qclass(), question.qtype());
    }
    let sections = [
        ("ANSWER", message.answer()),
        ("AUTHORITY", message.authority()),
        ("ADDITIONAL", message.additional()),
    ];
    for (name, section) in sections {
        let full = |record: &Record| format!("{}\t{}\t{}", record.owner, record.rest, record.data);
        let lines =
            section.map_or_else(|_| ";; it can't be read\n".to_owned(), |section| lines(section, full));
        if !lines.is_empty() {
            text += &format!("\n;; {name} SECTION:\n{lines}");
        }
    }
    text
}

/// How it came.
pub(super) fn footer(server: SocketAddr, heard: &Heard) -> impl Display {
    let (ip, port) = (server.ip(), server.port());
    let (took, by, len) = (heard.took.as_millis(), heard.by, heard.bytes.len());
    format!("\n;; Query time: {took} msec\n;; SERVER: {ip}#{port}({ip}) ({by})\n;; MSG SIZE  rcvd: {len}\n\n")
}
