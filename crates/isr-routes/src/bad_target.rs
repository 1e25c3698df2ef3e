//! What can be wrong with a request's target, its host and its path.

use thiserror::Error;

/// Why a target is answered with 400: a phrase.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// Neither `Host`, `:authority` nor an absolute-form target names a host.
    #[error("the request names no host: send a Host header")]
    NoHost,
    /// `user@host` is not allowed in an HTTP request (RFC 9110 §4.2.4).
    #[error("the host holds user information: send the host alone")]
    Userinfo,
    /// The host is neither a DNS name nor an IP address.
    #[error("the host is neither a DNS name nor an IP address")]
    BadHost,
    /// What follows the host's colon is no port.
    #[error("the port of the host is not a number from 0 to 65535")]
    BadPort,
    /// The target is not a path (`*`, or the authority of a CONNECT).
    #[error("the request target is not a path: it must start with a slash")]
    NotAPath,
    /// `%` is not followed by two hexadecimal digits.
    #[error(
        "the path holds a percent sign that is not followed by two hexadecimal digits: write %25 for a percent sign"
    )]
    BadEncoding,
    /// A `.` or `..` segment, in any spelling.
    #[error("the path holds a . or .. segment: send the path that it resolves to")]
    DotSegment,
    /// A backslash, which some servers read as a slash.
    #[error("the path holds a backslash: write slashes")]
    Backslash,
    /// An encoded or raw control character.
    #[error("the path holds a control character")]
    ControlCharacter,
}
