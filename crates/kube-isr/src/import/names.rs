//! Names of routes, made of their paths.

use std::collections::BTreeMap;

/// Characters of a name, at most: those of a DNS label, so that it can stand in labels too.
const NAME_MOST: usize = 63;

/// A name for each path, in their order; the same paths get the same names whatever else there is, unless two would be
/// called alike.
pub(super) fn names(prefix: &str, paths: &[&str]) -> Vec<String> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let plain: Vec<String> = paths.iter().map(|path| plain(prefix, path)).collect();
    plain
        .into_iter()
        .map(|name| {
            let count = taken.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { shortened(&name, &format!("-{count}")) }
        })
        .collect()
}

fn plain(prefix: &str, path: &str) -> String {
    let mut name = prefix.to_ascii_lowercase();
    for character in path.chars() {
        match character {
            'a'..='z' | '0'..='9' => name.push(character),
            'A'..='Z' => name.push(character.to_ascii_lowercase()),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = shortened(name.trim_matches('-'), "");
    if path.chars().any(|c| c.is_ascii_alphanumeric()) { name } else { join(prefix, "index") }
}

fn join(prefix: &str, name: &str) -> String {
    let prefix = prefix.to_ascii_lowercase();
    let prefix = prefix.trim_matches('-');
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}") }
}

fn shortened(name: &str, end: &str) -> String {
    let most = NAME_MOST - end.len();
    let kept: String = name.chars().take(most).collect();
    format!("{}{end}", kept.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_names() {
        let paths = ["/", "/blog/[slug]", "/blog/[[...slug]]", "/Caf%C3%A9", "/blog/slug", "/**"];
        let expected = ["index", "blog-slug", "blog-slug-2", "caf-c3-a9", "blog-slug-3", "index-2"];
        assert_eq!(names("", &paths), expected);
        assert_eq!(names("web-", &["/", "/a"]), ["web-index", "web-a"]);
        let long = format!("/{}", "long/".repeat(40));
        let long = names("", &[&long, &long]);
        assert!(long.iter().all(|name| name.len() <= 63 && !name.ends_with('-')), "labels of DNS: {long:?}");
        assert_ne!(long[0], long[1]);
    }
}
