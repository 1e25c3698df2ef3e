//! Hosts of requests and hostnames of routes.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::bad_target::BadTarget;

/// The longest DNS name in text form (RFC 1035 §2.3.4), which is also the limit of `HTTPRoute`.
const MAX_HOSTNAME_BYTES: usize = 253;
/// The longest DNS label (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// The normal form of a request's authority: lower case, no port, no trailing dot.
pub(crate) fn normalise(authority: &str) -> Result<Cow<'_, str>, BadTarget> {
    if is_normal(authority) {
        return Ok(Cow::Borrowed(authority));
    }
    if authority.contains('@') {
        return Err(BadTarget::Userinfo);
    }
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(BadTarget::BadHost)?;
        if !port.is_empty() {
            check_port(port.strip_prefix(':').ok_or(BadTarget::BadHost)?)?;
        }
        let normal = address.parse::<Ipv6Addr>().map_err(|_| BadTarget::BadHost)?.to_string();
        return Ok(if normal == address {
            Cow::Borrowed(&authority[..address.len() + "[]".len()])
        } else {
            Cow::Owned(format!("[{normal}]"))
        });
    }
    let name = match authority.split_once(':') {
        Some((name, port)) => {
            check_port(port)?;
            name
        }
        None => authority,
    };
    if name.is_empty() {
        return Err(BadTarget::NoHost);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    // Underscores are no hostname characters (RFC 952) but occur in names that resolve.
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > MAX_HOSTNAME_BYTES || !name.split('.').all(is_label) {
        return Err(BadTarget::BadHost);
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(name))
}

/// Whether a name is in its normal form, as nearly all are: one look at each byte says so.
fn is_normal(name: &str) -> bool {
    let mut label = 0;
    for byte in name.bytes() {
        match KINDS[usize::from(byte)] {
            Kind::OfLabel => label += 1,
            Kind::Dot if (1..=MAX_LABEL_BYTES).contains(&label) => label = 0,
            _ => return false,
        }
    }
    (1..=MAX_LABEL_BYTES).contains(&label) && name.len() <= MAX_HOSTNAME_BYTES
}

/// What a byte is in a name in its normal form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    OfLabel,
    Dot,
    Neither,
}

/// Of every byte: a hit looks up some twenty, and comparing each with its limits takes half as many instructions again.
const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Neither; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => Kind::OfLabel,
            b'.' => Kind::Dot,
            _ => Kind::Neither,
        };
        byte += 1;
    }
    kinds
};

/// What is wrong with a route's hostname and what to write instead, or nothing. The rules are those of `HTTPRoute`:
/// RFC 1123 names in lower case, optionally behind one `*.`, and no IP addresses.
pub(crate) fn check_hostname(hostname: &str) -> Result<(), String> {
    let name = hostname.strip_prefix("*.").unwrap_or(hostname);
    if hostname.is_empty() {
        return Err("is empty: write the host that visitors use, such as shop.example.com".into());
    }
    // A name of digits alone is read as an IPv4 address by URL parsers, in forms that `Ipv4Addr` does not know.
    let is_ipv4 = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_ipv4 || name.trim_matches(['[', ']']).parse::<Ipv6Addr>().is_ok() {
        return Err(format!(
            "`{hostname}` is an IP address: write the DNS name that visitors use, such as shop.example.com"
        ));
    }
    if let Some(fix) = spelled_right(hostname) {
        return Err(format!("`{hostname}` is not a hostname: write {fix}"));
    }
    if hostname.len() > MAX_HOSTNAME_BYTES {
        return Err(format!("is longer than {MAX_HOSTNAME_BYTES} characters: write a shorter name"));
    }
    if name.contains('*') {
        return Err(format!(
            "`{hostname}` holds a * elsewhere than as its whole first label: write *.example.com for every name under example.com"
        ));
    }
    match name.split('.').find(|label| !is_dns_label(label)) {
        Some(label) => Err(format!(
            "`{hostname}` holds the label `{label}`: write 1 to {MAX_LABEL_BYTES} lower-case letters, digits and hyphens between dots, with a letter or digit at both ends"
        )),
        None => Ok(()),
    }
}

/// Whether `hostname` (of a route) covers `host` (of a request, or of another route). `*.example.com` stands for one
/// or more labels, as in `HTTPRoute`.
pub(crate) fn covers(hostname: &str, host: &str) -> bool {
    match hostname.strip_prefix('*') {
        Some(suffix) => host != hostname && host.len() > suffix.len() && host.ends_with(suffix),
        None => hostname == host,
    }
}

/// The hostname that was meant, when only its dress is wrong: capitals, a scheme, a port, a path, a trailing dot.
fn spelled_right(hostname: &str) -> Option<String> {
    let lower = hostname.to_ascii_lowercase();
    let bare = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let bare = bare.split(['/', ':', '?', '#']).next().unwrap_or_default().trim_end_matches('.').trim();
    let name = bare.strip_prefix("*.").unwrap_or(bare);
    (bare != hostname && name.split('.').all(is_dns_label)).then(|| bare.to_owned())
}

fn is_dns_label(label: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn check_port(port: &str) -> Result<(), BadTarget> {
    // `host:` with an empty port is the default port (RFC 3986 §3.2.3).
    if port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()) {
        Ok(())
    } else {
        Err(BadTarget::BadPort)
    }
}

#[cfg(test)]
mod tests;
