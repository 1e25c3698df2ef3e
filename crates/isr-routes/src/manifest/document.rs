//! YAML documents as trees that remember their lines.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// One document of a file.
pub(super) struct Document<'t> {
    text: &'t str,
    /// How many lines of the file come before it.
    lines_before: usize,
}

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// The line in the file, from 1. For the value of a field, the line of the field's name.
    pub(super) line: usize,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>),
}

/// Splits a file at its document markers, which YAML only allows in the first column. Each document is then read by
/// itself, so that a mistake in one leaves the others.
pub(super) fn split(text: &str) -> impl Iterator<Item = Document<'_>> {
    let mut documents = Vec::new();
    let mut current = Document { text, lines_before: 0 };
    let mut start = 0;
    let mut end = 0;
    // Editors on some systems begin a file with a byte order mark.
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_start_matches('\u{feff}');
        if bare
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        {
            current.text = &text[start..end];
            documents.push(current);
            // The marker stays with its document: content may follow it on the same line.
            start = end;
            current = Document { text, lines_before: number };
        }
        end += line.len();
    }
    current.text = &text[start..];
    documents.push(current);
    documents.into_iter().filter(|document| !document.is_blank())
}

impl Document<'_> {
    /// The tree, nothing for a document that says nothing, or the line and what is wrong.
    pub(super) fn parse(&self) -> Result<Option<Node>, (usize, String)> {
        match serde_saphyr::from_str::<Spanned<Tree>>(self.text) {
            Ok(tree) => {
                let node = self.node(tree);
                Ok((!node.is_null()).then_some(node))
            }
            Err(error) => {
                let line = error.location().map_or(1, |location| line_number(location.line()));
                Err((self.lines_before + line, self.explain(&error, line)))
            }
        }
    }

    /// Comments and directives alone are no document.
    fn is_blank(&self) -> bool {
        let text = self.text.trim_start_matches('\u{feff}');
        let text = text.strip_prefix("---").unwrap_or(text);
        text.lines()
            .map(str::trim)
            .all(|line| line.is_empty() || line.starts_with(['#', '%']) || line == "...")
    }

    fn explain(&self, error: &serde_saphyr::Error, line: usize) -> String {
        let text = error.without_snippet().to_string();
        // The message ends in the position, which stands before it already.
        let message = text.split(" at line ").next().unwrap_or(&text).trim_end_matches(['.', ',', ':']);
        let culprit = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let fix = if culprit.contains("*.") {
            ": a value that starts with * needs quotes, write \"*.example.com\""
        } else if culprit.contains('\t') {
            ": indent with spaces, not with tabs"
        } else {
            ": check indentation, quotes and brackets on this line and before it"
        };
        format!("is not YAML ({message}){fix}")
    }

    fn node(&self, tree: Spanned<Tree>) -> Node {
        let line = self.lines_before + line_number(tree.referenced.line());
        let content = match tree.value {
            Tree::Scalar(value) => Content::Scalar(value),
            Tree::Sequence(items) => {
                Content::Sequence(items.into_iter().map(|item| self.node(item)).collect())
            }
            Tree::Mapping(fields) => Content::Mapping(
                fields
                    .into_iter()
                    .map(|(name, value)| {
                        let line = self.lines_before + line_number(name.referenced.line());
                        (name.value, Node { line, ..self.node(value) })
                    })
                    .collect(),
            ),
        };
        Node { line, content }
    }
}

impl Node {
    /// The field of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match &self.content {
            Content::Mapping(fields) => fields.iter().find(|(known, _)| known == name).map(|(_, node)| node),
            Content::Scalar(_) | Content::Sequence(_) => None,
        }
    }

    /// The text, if this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(value) => value.as_str(),
            Content::Sequence(_) | Content::Mapping(_) => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null))
    }

    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Sequence(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Mapping(fields) => {
                let fields = fields.iter().map(|(name, node)| (name.clone(), node.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// The line of every field, by its path from here; this node is the field with the empty name.
    pub(super) fn lines(&self) -> BTreeMap<String, usize> {
        let mut lines = BTreeMap::new();
        self.collect_lines(String::new(), &mut lines);
        lines
    }

    fn collect_lines(&self, path: String, lines: &mut BTreeMap<String, usize>) {
        match &self.content {
            Content::Scalar(_) => {}
            Content::Sequence(items) => {
                for (place, item) in items.iter().enumerate() {
                    item.collect_lines(format!("{path}[{place}]"), lines);
                }
            }
            Content::Mapping(fields) => {
                for (name, node) in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    node.collect_lines(format!("{path}{dot}{name}"), lines);
                }
            }
        }
        lines.insert(path, self.line);
    }
}

/// What the YAML reader fills.
enum Tree {
    Scalar(Value),
    Sequence(Vec<Spanned<Tree>>),
    Mapping(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> de::Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.to_string().into()))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.to_string().into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        // JSON has no infinities; as text they fail where a number is expected.
        Ok(Tree::Scalar(Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut sequence = Vec::new();
        while let Some(item) = items.next_element()? {
            sequence.push(item);
        }
        Ok(Tree::Sequence(sequence))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut mapping = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            mapping.push(entry);
        }
        Ok(Tree::Mapping(mapping))
    }
}

fn line_number(line: u64) -> usize {
    usize::try_from(line).unwrap_or(usize::MAX).max(1)
}
