//! What status an answer with data stands for.

use http::StatusCode;
use serde::Deserialize;

/// How an answer with data tells the status that its page has. Most frameworks answer both alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataStatus {
    /// By its own status.
    OfResponse,
    /// As `SvelteKit` does: status 200, and among the `nodes` of the body one of type `error`. Its status stands in the
    /// error (`SvelteKit` 3) or beside it (`SvelteKit` 2, which leaves out that of an unexpected one).
    OfSvelteKitNodes,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    nodes: Vec<Option<Node>>,
}

#[derive(Deserialize)]
struct Node {
    r#type: String,
    status: Option<u16>,
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    status: Option<u16>,
}

impl DataStatus {
    /// The status of the page whose data was answered with `status` and `body`.
    pub fn of_page(self, status: StatusCode, body: &[u8]) -> StatusCode {
        match self {
            Self::OfSvelteKitNodes if status == StatusCode::OK => first_error(body).unwrap_or(status),
            _ => status,
        }
    }
}

/// The status of the first node that is an error; `None` if there is none. Data that streams is several documents, of
/// which the first holds the nodes.
fn first_error(body: &[u8]) -> Option<StatusCode> {
    let mut documents = serde_json::Deserializer::from_slice(body).into_iter::<Answer>();
    let answer = documents.next()?.ok()?;
    let error = answer.nodes.into_iter().flatten().find(|node| node.r#type == "error")?;
    let said = error.status.or(error.error.and_then(|error| error.status));
    Some(said.and_then(|said| StatusCode::from_u16(said).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_among_the_nodes_is_the_status_of_the_page() {
        let good = r#"{"type":"data","nodes":[null,{"type":"data","data":[{"a":1},"error"],"uses":{}}]}"#;
        for (body, expected) in [
            (good.to_owned(), 200),
            (format!("{good}\n{{\"type\":\"chunk\",\"id\":1,\"error\":[1]}}\n"), 200),
            (r#"{"type":"redirect","status":307,"location":"/b"}"#.to_owned(), 200),
            (
                r#"{"nodes":[null,{"type":"error","error":{"status":500,"message":"Internal Error"}}]}"#
                    .to_owned(),
                500,
            ),
            (
                r#"{"nodes":[{"type":"skip"},{"type":"error","error":{"status":404,"message":"x"}}]}"#
                    .to_owned(),
                404,
            ),
            (r#"{"nodes":[{"type":"error","error":{"message":"Not found"},"status":404}]}"#.to_owned(), 404),
            (r#"{"nodes":[{"type":"error","error":{"message":"Internal Error"}}]}"#.to_owned(), 500),
            (r#"{"nodes":[{"type":"error","error":{"status":7}}]}"#.to_owned(), 500),
            ("not JSON".to_owned(), 200),
            (String::new(), 200),
        ] {
            let of_page = DataStatus::OfSvelteKitNodes.of_page(StatusCode::OK, body.as_bytes());
            assert_eq!(of_page.as_u16(), expected, "{body}");
        }
        let failed = r#"{"nodes":[{"type":"error"}]}"#.as_bytes();
        assert_eq!(DataStatus::OfResponse.of_page(StatusCode::OK, failed), StatusCode::OK);
        let status = DataStatus::OfSvelteKitNodes.of_page(StatusCode::NOT_FOUND, failed);
        assert_eq!(status, StatusCode::NOT_FOUND, "its own status says enough");
    }
}
