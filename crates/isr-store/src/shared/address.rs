//! Where a server is, as people write it.

use std::str::FromStr;

/// The port of a server, and of a Sentinel, that names none.
const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// A server, a cluster of servers, or one that Sentinels name.
///
/// `redis://[USER@]HOST[:PORT][/DATABASE]`, `redis+cluster://[USER@]HOST[:PORT],…`, or
/// `redis+sentinel://[USER@]HOST[:PORT],…/NAME[/DATABASE]`; `rediss` instead of `redis` for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server { database: i64 },
    Cluster,
    Sentinel { name: String, database: i64 },
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
        let (family, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match family {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(format!("{scheme} is no scheme of it")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let port = if kind == "sentinel" { SENTINEL_PORT } else { SERVER_PORT };
        let hosts: Vec<_> = hosts.split(',').map(|host| parse_host(host, port)).collect::<Result<_, _>>()?;
        let database = |text: &str| match text {
            "" => Ok(0),
            text => text.parse().map_err(|_| format!("{text} is no number of a database")),
        };
        let kind = match kind {
            "" if hosts.len() == 1 => Kind::Server { database: database(path)? },
            "" => {
                return Err("it names several hosts: write redis+cluster:// or redis+sentinel://".to_owned());
            }
            "cluster" if path.is_empty() => Kind::Cluster,
            "cluster" => return Err("a cluster has one database, which has no number".to_owned()),
            "sentinel" => {
                let (name, number) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() {
                    return Err("it does not say which of the Sentinels' names: redis+sentinel://HOST/NAME"
                        .to_owned());
                }
                Kind::Sentinel { name: name.to_owned(), database: database(number)? }
            }
            _ => return Err(format!("{scheme} is no scheme of it")),
        };
        Ok(Self { tls, user: some(user), password: some(password), hosts, kind })
    }
}

/// `name`, `name:port`, `[v6]` or `[v6]:port`.
fn parse_host(text: &str, port: u16) -> Result<(String, u16), String> {
    let (name, rest) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((name, rest)) => (name, rest),
        None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
    };
    if name.is_empty() {
        return Err("it names no host".to_owned());
    }
    let port = match rest {
        "" => port,
        rest => {
            let number = rest.strip_prefix(':').and_then(|number| number.parse().ok());
            number.ok_or_else(|| format!("{text} has no port that is a number"))?
        }
    };
    Ok((name.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(tls: bool, user: Option<&str>, hosts: &[(&str, u16)], kind: Kind) -> Address {
        let hosts = hosts.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect();
        Address { tls, user: user.map(str::to_owned), password: None, hosts, kind }
    }

    #[test]
    fn says_where_a_server_is() {
        let server = Kind::Server { database: 0 };
        let cases = [
            ("redis://valkey", address(false, None, &[("valkey", 6379)], server.clone())),
            (
                "redis://isr@[::1]:7000/2",
                address(false, Some("isr"), &[("::1", 7000)], Kind::Server { database: 2 }),
            ),
            (
                "rediss://valkey.example.com:6380",
                address(true, None, &[("valkey.example.com", 6380)], server),
            ),
            ("redis+cluster://a,b:7001", address(false, None, &[("a", 6379), ("b", 7001)], Kind::Cluster)),
            (
                "rediss+sentinel://isr@a,b/pages/1",
                address(
                    true,
                    Some("isr"),
                    &[("a", 26379), ("b", 26379)],
                    Kind::Sentinel { name: "pages".to_owned(), database: 1 },
                ),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_never_a_password() {
        let cases = [
            ("valkey:6379", "no scheme"),
            ("http://valkey", "http is no scheme of it"),
            ("redis://", "names no host"),
            ("redis://:secret@valkey:port", "valkey:port has no port"),
            ("redis://valkey/pages", "pages is no number"),
            ("redis://a,b", "redis+cluster://"),
            ("redis+cluster://a/1", "has no number"),
            ("redis+sentinel://a", "redis+sentinel://HOST/NAME"),
            ("redis+other://a", "redis+other is no scheme"),
        ];
        for (text, says) in cases {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.contains(says) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
