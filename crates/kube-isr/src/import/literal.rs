//! Literal values in the JavaScript that builds write: objects, lists, texts, numbers. Nothing is run; what is not
//! literal (a variable, a call) is a value that is not known.

use std::collections::BTreeMap;

/// How deep values may be within each other: deeper than any configuration.
const DEPTH_MOST: usize = 32;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Object(BTreeMap<String, Literal>),
    List(Vec<Literal>),
    Text(String),
    Number(f64),
    Flag(bool),
    /// `null` or `undefined`.
    Nothing,
    /// What is not said literally, as it is written.
    Unknown(String),
}

impl Literal {
    /// The value of a field of an object; nothing if there is none.
    pub(super) fn get(&self, field: &str) -> &Literal {
        match self {
            Self::Object(fields) => fields.get(field).unwrap_or(&Self::Nothing),
            _ => &Self::Nothing,
        }
    }

    /// A whole number of seconds.
    pub(super) fn seconds(&self) -> Option<u64> {
        match self {
            Self::Number(number) if *number >= 0.0 && number.fract() == 0.0 && *number < 1e15 =>
            {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "whole and within bounds"
                )]
                Some(*number as u64)
            }
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The texts of a list.
    pub(super) fn texts(&self) -> Vec<String> {
        let Self::List(items) = self else { return Vec::new() };
        let text = |item: &Literal| match item {
            Self::Text(text) => Some(text.clone()),
            _ => None,
        };
        items.iter().filter_map(text).collect()
    }
}

/// The value that `source` begins with; `None` where it ends before that does.
pub(super) fn read(source: &str) -> Option<Literal> {
    Reader { rest: source }.value(0)
}

/// The values that follow this text, wherever it stands by itself.
pub(super) fn after(source: &str, before: &str) -> Vec<Literal> {
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    source
        .match_indices(before)
        .filter(|(at, _)| !source[..*at].ends_with(is_of_name))
        .filter_map(|(at, found)| read(&source[at + found.len()..]))
        .collect()
}

struct Reader<'s> {
    rest: &'s str,
}

impl<'s> Reader<'s> {
    fn value(&mut self, depth: usize) -> Option<Literal> {
        self.blank();
        let begin = self.rest;
        let first = begin.chars().next()?;
        let value = match first {
            _ if depth > DEPTH_MOST => None?,
            '{' => self.object(depth)?,
            '[' => self.list(depth)?,
            '"' | '\'' | '`' => self.text()?,
            '0'..='9' | '.' | '-' => self.number(),
            '/' => self.pattern()?,
            _ => self.word(),
        };
        self.blank();
        // `a + b`, `a ? b : c`, `a.b`: not the value that it begins with.
        if self.rest.starts_with([',', '}', ']', ';', ')']) || self.rest.is_empty() || depth == 0 {
            return Some(value);
        }
        self.skip()?;
        Some(self.unknown(begin))
    }

    /// What stands between there and here.
    fn unknown(&self, begin: &str) -> Literal {
        Literal::Unknown(begin[..begin.len() - self.rest.len()].trim().to_owned())
    }

    /// A regular expression.
    fn pattern(&mut self) -> Option<Literal> {
        let begin = self.rest;
        let mut is_in_class = false;
        let mut characters = begin.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => drop(characters.next()),
                '[' => is_in_class = true,
                ']' => is_in_class = false,
                '/' if !is_in_class => {
                    self.rest = begin[at + 1..].trim_start_matches(|flag: char| flag.is_ascii_alphabetic());
                    return Some(self.unknown(begin));
                }
                _ => {}
            }
        }
        None
    }

    fn object(&mut self, depth: usize) -> Option<Literal> {
        self.take('{');
        let mut fields = BTreeMap::new();
        loop {
            self.blank();
            if self.take('}') {
                return Some(Literal::Object(fields));
            }
            let quote = self.rest.chars().next()?;
            let name = if matches!(quote, '"' | '\'') {
                match self.text()? {
                    Literal::Text(name) => name,
                    _ => None?,
                }
            } else {
                self.name().to_owned()
            };
            self.blank();
            if !name.is_empty() && self.take(':') {
                let value = self.value(depth + 1)?;
                fields.insert(name, value);
            } else {
                // `...rest`, `name`, `name() {}`, `[computed]: …`
                self.skip()?;
                if !name.is_empty() {
                    fields.insert(name, Literal::Unknown(String::new()));
                }
            }
            self.next('}')?;
        }
    }

    fn list(&mut self, depth: usize) -> Option<Literal> {
        self.take('[');
        let mut items = Vec::new();
        loop {
            self.blank();
            if self.take(']') {
                return Some(Literal::List(items));
            }
            items.push(self.value(depth + 1)?);
            self.next(']')?;
        }
    }

    fn text(&mut self) -> Option<Literal> {
        let begin = self.rest;
        let quote = begin.chars().next()?;
        let mut text = String::new();
        let mut characters = begin.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.rest = &begin[at + character.len_utf8()..];
                    // A template with something in it is made when it runs.
                    let is_made = quote == '`' && text.contains("${");
                    return Some(if is_made { self.unknown(begin) } else { Literal::Text(text) });
                }
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'u' => {
                        let digits: String = characters.by_ref().take(4).map(|(_, digit)| digit).collect();
                        let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        text.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    '\n' => {}
                    escaped => text.push(escaped),
                },
                _ => text.push(character),
            }
        }
        None
    }

    fn number(&mut self) -> Literal {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text.replace('_', "").parse().map_or_else(|_| Literal::Unknown(text.to_owned()), Literal::Number)
    }

    /// Goes beyond a comma, unless the end is here.
    fn next(&mut self, end: char) -> Option<()> {
        self.blank();
        (self.take(',') || self.rest.starts_with(end)).then_some(())
    }

    /// A name that stands for a value, or anything else.
    fn word(&mut self) -> Literal {
        let begin = self.rest;
        // Minifiers write !0 for true and void 0 for undefined.
        for (text, value) in [
            ("!0", Literal::Flag(true)),
            ("!1", Literal::Flag(false)),
            ("true", Literal::Flag(true)),
            ("false", Literal::Flag(false)),
            ("null", Literal::Nothing),
            ("undefined", Literal::Nothing),
            ("void 0", Literal::Nothing),
        ] {
            if let Some(rest) = self.rest.strip_prefix(text)
                && !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$'))
            {
                self.rest = rest;
                return value;
            }
        }
        let _ = self.skip();
        self.unknown(begin)
    }

    fn name(&mut self) -> &'s str {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$'));
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        name
    }

    /// Goes to the comma or bracket that ends an expression.
    fn skip(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            self.blank();
            let first = self.rest.chars().next()?;
            match first {
                '"' | '\'' | '`' => {
                    self.text()?;
                    continue;
                }
                '{' | '[' | '(' => open += 1,
                '}' | ']' | ')' | ',' | ';' if open == 0 => return Some(()),
                '}' | ']' | ')' => open -= 1,
                _ => {}
            }
            self.rest = &self.rest[first.len_utf8()..];
        }
    }

    /// Goes beyond white space and comments.
    fn blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let comment = match self.rest.get(..2) {
                Some("//") => self.rest.find('\n'),
                Some("/*") => self.rest.find("*/").map(|at| at + 2),
                _ => return,
            };
            self.rest = &self.rest[comment.unwrap_or(self.rest.len())..];
        }
    }

    fn take(&mut self, character: char) -> bool {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
