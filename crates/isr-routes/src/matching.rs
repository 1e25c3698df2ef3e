//! The routes of one host as a trie over path segments.

use std::collections::HashMap;
use std::sync::Arc;

use isr_cache::short::equal;

use crate::index::Index;
use crate::path::{Segment, Tail, is_full, segments_of, split_first};
use crate::route::Route;

/// A trie whose edges are literal segments and one parameter, and whose nodes hold the routes that end there.
///
/// A search visits each node at most once, in order of precedence, so it ends at the first route that it meets. What
/// it costs is waiting for memory, so all nodes of a host lie side by side.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// The literal that leads here; empty for a parameter.
    text: Box<str>,
    literals: Index,
    param: Option<usize>,
    end: Option<Arc<Route>>,
    one_or_more: Option<Arc<Route>>,
    none_or_more: Option<Arc<Route>>,
}

impl Trie {
    /// The trie of some routes. Of two patterns of the same shape the first stays.
    pub(crate) fn new(routes: &[Arc<Route>]) -> Self {
        let mut nodes = vec![Node::default()];
        let mut literals: Vec<HashMap<&str, usize>> = vec![HashMap::new()];
        for route in routes {
            let mut at = 0;
            for segment in &route.path.segments {
                let fresh = nodes.len();
                at = match segment {
                    Segment::Literal(literal) => *literals[at].entry(literal).or_insert(fresh),
                    Segment::Param => *nodes[at].param.get_or_insert(fresh),
                };
                if at == fresh {
                    nodes.push(Node::default());
                    literals.push(HashMap::new());
                }
            }
            let node = &mut nodes[at];
            match route.path.tail {
                Tail::End => &mut node.end,
                Tail::OneOrMore => &mut node.one_or_more,
                Tail::NoneOrMore => &mut node.none_or_more,
            }
            .get_or_insert_with(|| route.clone());
        }
        for (at, literals) in literals.into_iter().enumerate() {
            nodes[at].literals = Index::new(literals.iter().map(|(&text, &to)| (text, to)));
            for (text, to) in literals {
                nodes[to].text = text.into();
            }
        }
        Self { nodes }
    }

    /// The first route, in order of precedence, that matches a normal path and is accepted.
    pub(crate) fn find(&self, path: &str, accepts: impl Fn(&Route) -> bool) -> Option<&Arc<Route>> {
        self.find_below(0, segments_of(path), &accepts)
    }

    fn find_below(
        &self,
        node: usize,
        rest: Option<&str>,
        accepts: &impl Fn(&Route) -> bool,
    ) -> Option<&Arc<Route>> {
        let node = &self.nodes[node];
        let take = |route: &'_ Option<Arc<Route>>| route.as_ref().is_some_and(|route| accepts(route));
        let Some(rest) = rest else {
            return [&node.end, &node.none_or_more].into_iter().find(|route| take(route))?.as_ref();
        };
        let (first, after) = split_first(rest);
        let literal = node.literals.find(first, |to| equal(self.nodes[to].text.as_bytes(), first.as_bytes()));
        let param = node.param.filter(|_| !first.is_empty());
        for child in [literal, param].into_iter().flatten() {
            if let Some(route) = self.find_below(child, after, accepts) {
                return Some(route);
            }
        }
        let catch_all = [&node.one_or_more, &node.none_or_more].into_iter().find(|route| take(route))?;
        if is_full(rest) { catch_all.as_ref() } else { None }
    }
}

#[cfg(test)]
mod tests;
