//! Failed requests to the API server, in words and in classes.

use kube::Error;

/// What the API server, or the way to it, says about a failed request: one sentence without a full stop.
pub(crate) fn describe(error: &Error) -> String {
    match error {
        Error::Api(status) if status.message.is_empty() => {
            format!("the API server answers {} {}", status.code, status.reason)
        }
        Error::Api(status) => format!("the API server answers {}: {}", status.code, status.message),
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(deeper) = cause {
                let detail = deeper.to_string();
                if !text.contains(&detail) {
                    text = format!("{text}: {detail}");
                }
                cause = deeper.source();
            }
            text
        }
    }
}

/// The class of a failure: a label of metrics, and what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Somebody else wrote in between: look again.
    Conflict,
    /// A rule is missing from our role.
    Forbidden,
    /// The object, or its kind, does not exist.
    NotFound,
    /// The object exists already.
    Exists,
    /// The API server asks for patience.
    Throttled,
    /// The API server is there and fails.
    Server,
    /// The API server cannot be reached.
    Unreachable,
    /// The API server does not accept what it was sent.
    Refused,
}

impl Class {
    /// The class of an error.
    pub(crate) fn of(error: &Error) -> Self {
        let Error::Api(status) = error else { return Self::Unreachable };
        match status.code {
            409 if status.is_already_exists() => Self::Exists,
            409 => Self::Conflict,
            401 | 403 => Self::Forbidden,
            404 => Self::NotFound,
            429 => Self::Throttled,
            500.. => Self::Server,
            _ => Self::Refused,
        }
    }

    /// As a label of metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Exists => "already_exists",
            Self::Throttled => "throttled",
            Self::Server => "server_error",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn api(code: u16, reason: &str) -> Error {
        Error::Api(Status::failure("no luck", reason).with_code(code).boxed())
    }

    #[test]
    fn classes() {
        let cases = [
            (api(409, "AlreadyExists"), Class::Exists),
            (api(409, "Conflict"), Class::Conflict),
            (api(403, "Forbidden"), Class::Forbidden),
            (api(404, "NotFound"), Class::NotFound),
            (api(429, "TooManyRequests"), Class::Throttled),
            (api(503, "ServiceUnavailable"), Class::Server),
            (api(422, "Invalid"), Class::Refused),
            (Error::LinesCodecMaxLineLengthExceeded, Class::Unreachable),
        ];
        for (error, class) in cases {
            assert_eq!(Class::of(&error), class, "{error}");
        }
    }

    #[test]
    fn a_description_names_code_and_message() {
        assert_eq!(describe(&api(403, "Forbidden")), "the API server answers 403: no luck");
    }
}
