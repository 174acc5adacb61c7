//! An answer as JSON, by the names of RFC 8427.

use std::net::SocketAddr;

use domain::base::message::RecordSection;
use domain::base::{Message, ParsedName, ToName};
use domain::rdata::AllRecordData;
use serde_json::{Value, json};

use super::Heard;

/// The answer, and how it came.
pub(super) fn reply(message: Message<&[u8]>, server: SocketAddr, heard: &Heard) -> Value {
    let took = heard.took.as_nanos() as f64 / 1e6;
    json!({
        "server": server.ip(), "port": server.port(), "transport": heard.by, "query_time": took, "size": heard.bytes.len(),
        "responseMessage": self::message(message),
    })
}

/// RFC 8427 §2.1 and §2.2; of records that can't be read nothing is said.
fn message(message: Message<&[u8]>) -> Value {
    let (header, counts) = (message.header(), message.header_counts());
    let mut object = json!({
        "ID": header.id(), "QR": header.qr(), "Opcode": header.opcode().to_int(), "AA": header.aa(), "TC": header.tc(),
        "RD": header.rd(), "RA": header.ra(), "AD": header.ad(), "CD": header.cd(), "RCODE": header.rcode().to_int(),
        "QDCOUNT": counts.qdcount(), "ANCOUNT": counts.ancount(), "NSCOUNT": counts.nscount(),
        "ARCOUNT": counts.arcount(),
    });
    if let Some(question) = message.question().flatten().next() {
        let (kind, class) = (question.qtype(), question.qclass());
        object["QNAME"] = question.qname().fmt_with_dot().to_string().into();
        object["QTYPE"] = kind.to_int().into();
        object["QTYPEname"] = kind.to_string().into();
        object["QCLASS"] = class.to_int().into();
        object["QCLASSname"] = class.to_string().into();
    }
    let sections = [
        ("answerRRs", message.answer()),
        ("authorityRRs", message.authority()),
        ("additionalRRs", message.additional()),
    ];
    for (name, section) in sections {
        object[name] = section.map_or_else(|_| Vec::new(), records).into();
    }
    object
}

fn records(section: RecordSection<'_, &[u8]>) -> Vec<Value> {
    section.flatten().map(|record| {
        let (kind, class) = (record.rtype(), record.class());
        let mut object = json!({
            "NAME": record.owner().fmt_with_dot().to_string(), "TYPE": kind.to_int(), "TYPEname": kind.to_string(),
            "CLASS": class.to_int(), "CLASSname": class.to_string(), "TTL": record.ttl().as_secs(),
            "RDLENGTH": record.rdlen(),
        });
        if let Ok(whole) = record.into_any_record::<AllRecordData<_, ParsedName<_>>>() {
            object[format!("rdata{kind}")] = whole.data().to_string().into();
        }
        object
    }).collect()
}
