//! `--write-out`: a line of one's own after each document, with curl's variables.

use std::fs;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::facts::Facts;

/// A format, as curl's -w has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Format(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    /// `%{name}`.
    Variable(String),
    /// `%header{name}`.
    Field(String),
}

/// Where a format's text goes from a point on.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Stream {
    Out,
    Err,
}

impl FromStr for Format {
    type Err = String;

    /// The format; `@file` has it in a file, `@-` in standard input.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some(file) = text.strip_prefix('@') else { return Ok(Format::parse(text)) };
        let mut format = String::new();
        let read = match file {
            "-" => io::stdin().read_to_string(&mut format).map(drop),
            file => fs::read_to_string(file).map(|text| format = text),
        };
        read.map_err(|error| format!("read {file}: {error}"))?;
        Ok(Format::parse(&format))
    }
}

impl Format {
    fn parse(text: &str) -> Format {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['%', '\\']) {
            plain += &rest[..at];
            rest = &rest[at..];
            let (part, len) = special(rest);
            match part {
                Part::Text(text) => plain += &text,
                part => {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(part);
                }
            }
            rest = &rest[len..];
        }
        plain += rest;
        parts.push(Part::Text(plain));
        Format(parts)
    }

    /// Prints it, with what is known of a transfer.
    ///
    /// # Errors
    /// What writing says.
    pub fn print(&self, facts: &Facts) -> io::Result<()> {
        let mut stream = Stream::Out;
        for part in &self.0 {
            let text = match part {
                Part::Text(text) => text.clone(),
                Part::Field(name) => facts.field(name).unwrap_or_default().to_owned(),
                Part::Variable(name) => match name.as_str() {
                    "onerror" if facts.exit == 0 => break,
                    "onerror" => continue,
                    "stdout" | "stderr" => {
                        stream = if name == "stdout" { Stream::Out } else { Stream::Err };
                        continue;
                    }
                    name => value(name, facts).unwrap_or_else(|| {
                        eprintln!("tapsock: unknown --write-out variable: '{name}'");
                        String::new()
                    }),
                },
            };
            match stream {
                Stream::Out => io::stdout().write_all(text.as_bytes())?,
                Stream::Err => io::stderr().write_all(text.as_bytes())?,
            }
        }
        io::stdout().flush()
    }
}

/// What a text that begins with % or \ means, and how long that is.
fn special(text: &str) -> (Part, usize) {
    let plain = |text: &str, len| (Part::Text(text.to_owned()), len);
    for (mark, part) in [("%{", Part::Variable as fn(String) -> Part), ("%header{", Part::Field)] {
        if let Some(rest) = text.strip_prefix(mark)
            && let Some(end) = rest.find('}')
        {
            return (part(rest[..end].to_owned()), mark.len() + end + 1);
        }
    }
    match text.as_bytes() {
        [b'%', b'%', ..] => plain("%", 2),
        [b'\\', b'n', ..] => plain("\n", 2),
        [b'\\', b'r', ..] => plain("\r", 2),
        [b'\\', b't', ..] => plain("\t", 2),
        // Neither is a character of its own where nothing that is known follows.
        _ => plain(&text[..1], 1),
    }
}

/// Names of the variables that `%{json}` has, as curl's.
const NAMES: [&str; 34] = [
    "content_type",
    "errormsg",
    "exitcode",
    "filename_effective",
    "http_code",
    "http_connect",
    "http_version",
    "local_ip",
    "local_port",
    "method",
    "num_connects",
    "num_headers",
    "num_redirects",
    "redirect_url",
    "referer",
    "remote_ip",
    "remote_port",
    "response_code",
    "scheme",
    "size_download",
    "size_header",
    "size_request",
    "size_upload",
    "speed_download",
    "speed_upload",
    "time_appconnect",
    "time_connect",
    "time_namelookup",
    "time_pretransfer",
    "time_redirect",
    "time_starttransfer",
    "time_total",
    "url",
    "url_effective",
];

fn value(name: &str, facts: &Facts) -> Option<String> {
    let text = match name {
        "json" => return Some(all(facts).to_string()),
        "header_json" => return Some(fields(facts)),
        "urlnum" => facts.number.to_string(),
        name => match variable(name, facts)? {
            Value::Null => String::new(),
            Value::String(text) => text,
            Value::Number(number) if name.starts_with("time_") => {
                format!("{:.6}", number.as_f64().unwrap_or_default())
            }
            // As curl, which has no status of more or fewer than three digits.
            number if matches!(name, "http_code" | "response_code" | "http_connect") => {
                format!("{:0>3}", number.to_string())
            }
            other => other.to_string(),
        },
    };
    Some(text)
}

fn variable(name: &str, facts: &Facts) -> Option<Value> {
    let rate = |bytes: u64| match facts.total.as_secs_f64() {
        seconds if seconds > 0.0 => (bytes as f64 / seconds) as u64,
        _ => 0,
    };
    let seconds = |time: std::time::Duration| json!(time.as_secs_f64());
    Some(match name {
        "content_type" => json!(facts.field("content-type")),
        "errormsg" => json!(facts.error),
        "exitcode" => json!(facts.exit),
        "filename_effective" => json!(facts.file),
        "http_code" | "response_code" => json!(facts.status),
        // There is no proxy that could have said something.
        "http_connect" => json!(0),
        "http_version" => json!(facts.version.map_or("0", |minor| if minor == 0 { "1.0" } else { "1.1" })),
        "local_ip" => json!(facts.local.map(|address| address.ip().to_string()).unwrap_or_default()),
        "local_port" => json!(facts.local.map_or(0, |address| address.port())),
        "method" => json!(facts.method),
        "num_connects" => json!(facts.connects),
        "num_headers" => json!(facts.fields.len()),
        "num_redirects" => json!(facts.redirects),
        "redirect_url" => json!(facts.leads_to),
        "referer" => json!(facts.referer),
        "remote_ip" => json!(facts.peer.map(|address| address.ip().to_string()).unwrap_or_default()),
        "remote_port" => json!(facts.peer.map_or(0, |address| address.port())),
        "scheme" => json!(facts.status.gt(&0).then_some("HTTP")),
        "size_download" => json!(facts.downloaded),
        "size_header" => json!(facts.head_len),
        "size_request" => json!(facts.request_len),
        "size_upload" => json!(facts.uploaded),
        "speed_download" => json!(rate(facts.downloaded)),
        "speed_upload" => json!(rate(facts.uploaded)),
        // There is no TLS.
        "time_appconnect" => json!(0.0),
        "time_connect" | "time_pretransfer" => seconds(facts.connected),
        "time_namelookup" => seconds(facts.looked_up),
        "time_redirect" => seconds(facts.redirecting),
        "time_starttransfer" => seconds(facts.answered),
        "time_total" => seconds(facts.total),
        "url" => json!(facts.url),
        "url_effective" => json!(facts.effective),
        _ => return None,
    })
}

fn all(facts: &Facts) -> Value {
    let mut object: Map<String, Value> =
        NAMES.iter().filter_map(|name| Some(((*name).to_owned(), variable(name, facts)?))).collect();
    object.insert("urlnum".to_owned(), json!(facts.number));
    Value::Object(object)
}

/// The fields of the response, each with all its values.
fn fields(facts: &Facts) -> String {
    let mut object: Map<String, Value> = Map::new();
    for (name, value) in &facts.fields {
        let values = object.entry(name.to_ascii_lowercase()).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(value));
        }
    }
    Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: &str, facts: &Facts) -> String {
        let mut text = String::new();
        for part in Format::parse(format).0 {
            text += &match part {
                Part::Text(text) => text,
                Part::Variable(name) => value(&name, facts).unwrap_or_else(|| "?".to_owned()),
                Part::Field(name) => facts.field(&name).unwrap_or("?").to_owned(),
            };
        }
        text
    }

    #[test]
    fn a_format_has_text_and_variables() {
        let facts = Facts {
            status: 200,
            downloaded: 1500,
            total: std::time::Duration::from_millis(1500),
            peer: Some("[fd07::1]:80".parse().unwrap()),
            fields: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
            ..Facts::default()
        };
        assert_eq!(shown("%{http_code} %{size_download}\\n", &facts), "200 1500\n");
        assert_eq!(shown("%{time_total}\\t%{speed_download}", &facts), "1.500000\t1000");
        assert_eq!(shown("%{remote_ip} %{remote_port} %{local_port}", &facts), "fd07::1 80 0");
        assert_eq!(shown("%{content_type} %header{content-type}", &facts), "text/plain text/plain");
        assert_eq!(shown("100%% %x \\x %{open %", &facts), "100% %x \\x %{open %");
        assert_eq!(shown("%{http_code}|%{scheme}", &Facts::default()), "000|");
        assert_eq!(shown("%{nosuch}", &facts), "?");
        assert_eq!(shown("%{header_json}", &facts), "{\"content-type\":[\"text/plain\"]}");
    }

    #[test]
    fn all_variables_are_one_object() {
        let object: Value = serde_json::from_str(&shown("%{json}", &Facts::default())).unwrap();
        for name in NAMES {
            assert!(object.get(name).is_some(), "{name}");
        }
    }
}
