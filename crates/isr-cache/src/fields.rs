//! The fields of a request, in whatever form the one who read them keeps them.

use http::{HeaderMap, HeaderName};

/// What decisions about a request ask of its fields. One set of rules so serves two readers: the HTTP library, which makes
/// a map of them, and whoever answers a hit from the bytes as they arrived.
pub trait RequestFields {
    /// The values of the fields of this name, in the order in which they came.
    fn values<'f>(&'f self, name: &'f HeaderName) -> impl Iterator<Item = &'f [u8]>;

    /// The first value of this name.
    fn first<'f>(&'f self, name: &'f HeaderName) -> Option<&'f [u8]> {
        self.values(name).next()
    }

    /// The value of this name, if there is exactly one.
    fn only<'f>(&'f self, name: &'f HeaderName) -> Option<&'f [u8]> {
        let mut values = self.values(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }
}

impl RequestFields for HeaderMap {
    fn values<'f>(&'f self, name: &'f HeaderName) -> impl Iterator<Item = &'f [u8]> {
        self.get_all(name).into_iter().map(http::HeaderValue::as_bytes)
    }
}
