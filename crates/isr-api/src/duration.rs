//! Durations as text.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// A duration as it was written: GEP-2257 text such as `10s` or `1h30m`, or for an interval the word `Never`.
///
/// It is not parsed here, and a bare number is kept as its digits: `interval: 10` is then a report that says to write
/// `10s`, not a document that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duration(pub String);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Four groups of five digits and a two-letter unit are the longest GEP-2257 text.
        json_schema!({ "type": "string", "maxLength": 28 })
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 10s, 5m or 1h30m")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        Ok(Duration(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Duration, E> {
        Ok(Duration(number.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Duration, E> {
        Ok(Duration(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Duration, E> {
        Ok(Duration(number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn numbers_keep_their_text() {
        for (json, text) in [("\"10s\"", "10s"), ("10", "10"), ("-1", "-1"), ("1.5", "1.5")] {
            assert_eq!(serde_json::from_str::<Duration>(json).expect(json), Duration(text.into()));
        }
        assert!(serde_json::from_str::<Duration>("[1]").is_err());
    }
}
