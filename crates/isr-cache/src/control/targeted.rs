//! Structured dictionaries (RFC 8941 §4.2.2, to which RFC 9213 §2.1 refers), as far as targeted fields need them.
//!
//! The whole field is checked, because one wrong character anywhere makes the cache ignore all of it; of the values only
//! integers and booleans are kept, the types that cache directives have.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Argument;
use super::list;

/// The directives of a targeted field; `None` when it is empty or not a dictionary. A repeated key has its last value.
pub(super) fn dictionary(field: &[u8]) -> Option<BTreeMap<&[u8], Argument<'_>>> {
    let mut input = Input(field);
    let mut members = BTreeMap::new();
    input.spaces();
    while !input.0.is_empty() {
        let key = input.key()?;
        let value = if input.eat(b'=') { input.member()? } else { Argument::Absent };
        input.parameters()?;
        members.insert(key, value);
        input.whitespace();
        if input.0.is_empty() {
            break;
        }
        if !input.eat(b',') {
            return None;
        }
        input.whitespace();
        if input.0.is_empty() {
            return None;
        }
    }
    (!members.is_empty()).then_some(members)
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn member(&mut self) -> Option<Argument<'a>> {
        if !self.eat(b'(') {
            return self.item();
        }
        loop {
            self.spaces();
            if self.eat(b')') {
                return Some(Argument::Malformed);
            }
            self.item()?;
            self.parameters()?;
            if !matches!(self.0.first()?, b' ' | b')') {
                return None;
            }
        }
    }

    fn item(&mut self) -> Option<Argument<'a>> {
        match self.0.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => self.boolean(),
            b':' => self.byte_sequence(),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                self.take(|byte| list::is_token(byte) || byte == b':' || byte == b'/');
                Some(Argument::Malformed)
            }
            _ => None,
        }
    }

    /// An integer has at most 15 digits; a decimal at most 12 before the point and 3 behind it.
    fn number(&mut self) -> Option<Argument<'a>> {
        let whole = self.0;
        self.eat(b'-');
        let digits = self.take(|byte| byte.is_ascii_digit()).len();
        if self.0.first() == Some(&b'.') {
            self.eat(b'.');
            let fraction = self.take(|byte| byte.is_ascii_digit()).len();
            return ((1..=12).contains(&digits) && (1..=3).contains(&fraction))
                .then_some(Argument::Malformed);
        }
        let text = &whole[..whole.len() - self.0.len()];
        (1..=15).contains(&digits).then_some(Argument::Text(Cow::Borrowed(text)))
    }

    fn string(&mut self) -> Option<Argument<'a>> {
        let inner = self.0.get(1..)?;
        let (content, rest) = inner.split_at(list::closing_quote(inner, true)?);
        self.0 = &rest[1..];
        let mut escaped = false;
        let legal = content.iter().all(|&byte| {
            // Only a quote and a backslash may be escaped.
            let legal = (0x20..0x7f).contains(&byte) && (!escaped || matches!(byte, b'"' | b'\\'));
            escaped = byte == b'\\' && !escaped;
            legal
        });
        legal.then_some(Argument::Malformed)
    }

    fn boolean(&mut self) -> Option<Argument<'a>> {
        let value = match self.0.get(1)? {
            b'1' => Argument::Absent,
            b'0' => Argument::False,
            _ => return None,
        };
        self.0 = &self.0[2..];
        Some(value)
    }

    fn byte_sequence(&mut self) -> Option<Argument<'a>> {
        self.eat(b':');
        self.take(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        self.eat(b':').then_some(Argument::Malformed)
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.spaces();
            self.key()?;
            if self.eat(b'=') {
                self.item()?;
            }
        }
        Some(())
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        matches!(self.0.first()?, b'*' | b'a'..=b'z')
            .then(|| self.take(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*')))
    }

    fn take(&mut self, accepted: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().position(|&byte| !accepted(byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.0.strip_prefix(&[byte]);
        self.0 = eaten.unwrap_or(self.0);
        eaten.is_some()
    }

    fn spaces(&mut self) {
        self.take(|byte| byte == b' ');
    }

    fn whitespace(&mut self) {
        self.take(|byte| byte == b' ' || byte == b'\t');
    }
}
