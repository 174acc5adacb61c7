//! The class of packets, as -T has it: a keyword or a number.

/// The type of service, or traffic class, that `text` names.
///
/// # Errors
/// Where nobody knows it.
//= RFC 2474 §4.2.2
//= RFC 2597 §6
//= RFC 3246 §2.4
pub fn parse_class(text: &str) -> Result<u8, String> {
    let named = match text.to_ascii_lowercase().as_str() {
        "critical" => Some(0xa0),
        "inetcontrol" => Some(0xc0),
        "netcontrol" => Some(0xe0),
        "lowdelay" => Some(0x10),
        "throughput" => Some(0x08),
        "reliability" => Some(0x04),
        "lowcost" => Some(0x02),
        "ef" => Some(46 << 2),
        "va" => Some(44 << 2),
        name => selector(name).or_else(|| assured(name)),
    };
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    named.or(number).ok_or_else(|| format!("{text:?} is no class of packets"))
}

/// `cs0` to `cs7`.
fn selector(name: &str) -> Option<u8> {
    let class: u8 = name.strip_prefix("cs")?.parse().ok()?;
    (class <= 7).then_some(class << 5)
}

/// `af11` to `af43`.
fn assured(name: &str) -> Option<u8> {
    let digits: u8 = name.strip_prefix("af")?.parse().ok()?;
    let (class, drop) = (digits / 10, digits % 10);
    ((1..=4).contains(&class) && (1..=3).contains(&drop)).then_some(class << 5 | drop << 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_a_name_or_a_number() {
        for (text, class) in [
            ("lowdelay", 0x10),
            ("EF", 0xb8),
            ("af11", 0x28),
            ("af43", 0x98),
            ("cs7", 0xe0),
            ("0x10", 16),
            ("184", 184),
        ] {
            assert_eq!(parse_class(text), Ok(class), "{text}");
        }
        for text in ["nosuch", "256", "af14", "af51", "cs8", "0x100", ""] {
            assert!(parse_class(text).is_err(), "{text}");
        }
    }
}
