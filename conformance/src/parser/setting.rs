//! `--option=value`: the same in a script and on the command line.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::ast::{IpVersion, NonFatal, Setting};

/// What is wrong with an option.
///
/// ```
/// use tapsock_conformance::parse_setting;
///
/// assert_eq!(parse_setting("mtu", Some("many")).unwrap_err().to_string(), "--mtu: 'many' is no number from 0 to 65535");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    option: String,
    message: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}: {}", self.option, self.message)
    }
}

impl std::error::Error for SettingError {}

/// The setting that `--name=value` makes. Quotes around a value are taken off.
///
/// # Errors
///
/// No such option, a value where none may be or none where one must be, a value that isn't of its kind.
///
/// ```
/// use tapsock_conformance::ast::Setting;
/// use tapsock_conformance::parse_setting;
///
/// assert_eq!(parse_setting("bind_port", Some("80")).unwrap(), Setting::BindPort(80));
/// ```
pub fn parse_setting(name: &str, value: Option<&str>) -> Result<Setting, SettingError> {
    let error = |message: String| SettingError { option: name.to_owned(), message };
    let bare = match name {
        "tcp_ts_ecr_scaled" => Some(Setting::TcpTsEcrScaled),
        "strict_segments" => Some(Setting::StrictSegments),
        "is_anyip" => Some(Setting::AnyIp),
        "send_omit_free" => Some(Setting::SendOmitFree),
        "dry_run" => Some(Setting::DryRun),
        "verbose" => Some(Setting::Verbose),
        "debug" => Some(Setting::Debug),
        "wire_client" | "wire_server" => Some(Setting::Wire { option: name.to_owned(), value: None }),
        _ => None,
    };
    if let Some(setting) = bare {
        return match value {
            None => Ok(setting),
            Some(_) => Err(error("this option takes no value".to_owned())),
        };
    }
    let value = value.map(unquoted).filter(|value| !value.is_empty());
    valued(name, value.unwrap_or_default()).map_err(|message| match value {
        None if message != UNKNOWN => error("this option needs a value".to_owned()),
        _ => error(message),
    })
}

const UNKNOWN: &str = "there is no such option";

fn valued(name: &str, value: &str) -> Result<Setting, String> {
    let micros =
        |value| number(value, u32::MAX.into()).map(|micros| Duration::from_micros(u64::from(micros)));
    Ok(match name {
        "ip_version" => Setting::IpVersion(ip_version(value)?),
        "bind_port" => Setting::BindPort(number16(value)?),
        "connect_port" => Setting::ConnectPort(number16(value)?),
        "local_ip" => Setting::LocalIp(address(value)?),
        "remote_ip" => remote(value)?,
        "gateway_ip" => Setting::GatewayIp(address(value)?),
        "netmask_ip" => Setting::NetmaskIp(address(value)?),
        "init_scripts" => Setting::InitScripts(value.split(',').map(PathBuf::from).collect()),
        "speed" => Setting::SpeedMbps(number(value, u32::MAX.into())?),
        "mss" => Setting::Mss(number16(value)?),
        "mtu" => Setting::Mtu(number(value, u16::MAX.into())?),
        "tolerance_usecs" => Setting::Tolerance(micros(value)?),
        "tolerance_percent" => Setting::TolerancePercent(percent(value)?),
        "tcp_ts_tick_usecs" => Setting::TcpTsTick(micros(value)?),
        "non_fatal" => Setting::NonFatal(non_fatal(value)?),
        "code_command" => Setting::CodeCommand(text(value)?),
        "code_format" => Setting::CodeFormat(text(value)?),
        "code_sockopt" => Setting::CodeSockopt(text(value)?),
        "so_filename" => Setting::SoFilename(text(value)?.into()),
        "so_flags" => Setting::SoFlags(text(value)?),
        "psp_udp_port" => Setting::PspUdpPort(number16(value)?),
        "wire_server_ip" | "wire_server_at" | "wire_server_port" | "wire_client_dev" | "wire_server_dev" => {
            Setting::Wire { option: name.to_owned(), value: Some(text(value)?) }
        }
        "define" => define(value)?,
        _ => return Err(UNKNOWN.to_owned()),
    })
}

/// `NAME=value`.
fn define(value: &str) -> Result<Setting, String> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match value.split_once('=') {
        Some((name, value)) if is_name(name) && !value.is_empty() => {
            Ok(Setting::Define { name: name.to_owned(), value: value.to_owned() })
        }
        _ => Err(format!("'{value}' is no definition: expected NAME=value")),
    }
}

fn ip_version(value: &str) -> Result<IpVersion, String> {
    match value {
        "ipv4" => Ok(IpVersion::V4),
        "ipv4-mapped-ipv6" => Ok(IpVersion::V4MappedV6),
        "ipv6" => Ok(IpVersion::V6),
        _ => Err(format!("expected ipv4, ipv4-mapped-ipv6 or ipv6, found '{value}'")),
    }
}

fn remote(value: &str) -> Result<Setting, String> {
    let Some((before, length)) = value.split_once('/') else {
        return Ok(Setting::RemoteIp { address: address(value)?, prefix: None });
    };
    let address = address(before)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    Ok(Setting::RemoteIp { address, prefix: Some(number(length, bits)? as u8) })
}

fn address(value: &str) -> Result<IpAddr, String> {
    IpAddr::from_str(value).map_err(|_| format!("'{value}' is no IP address"))
}

fn number16(value: &str) -> Result<u16, String> {
    number(value, u16::MAX.into()).map(|number| number as u16)
}

fn number(value: &str, most: u64) -> Result<u32, String> {
    let parsed = value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse::<u32>().ok()).flatten();
    parsed
        .filter(|number| u64::from(*number) <= most)
        .ok_or_else(|| format!("'{value}' is no number from 0 to {most}"))
}

fn percent(value: &str) -> Result<f64, String> {
    let parsed = value.parse().ok().filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
    parsed.ok_or_else(|| format!("'{value}' is no percentage"))
}

fn non_fatal(value: &str) -> Result<NonFatal, String> {
    let mut which = NonFatal::default();
    for name in value.split(',') {
        match name {
            "packet" => which.packet = true,
            "syscall" => which.syscall = true,
            _ => return Err(format!("expected packet or syscall, found '{name}'")),
        }
    }
    Ok(which)
}

fn text(value: &str) -> Result<String, String> {
    if value.is_empty() { Err(String::new()) } else { Ok(value.to_owned()) }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}
