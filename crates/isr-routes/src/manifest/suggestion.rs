//! What was probably meant.

use serde_json::Value;

/// The fields that the schema of a kind knows below a path such as `spec.bypassToken`.
///
/// Of Secrets and Services only what kube-isr reads is listed; these fields are what their authors mean here.
pub(super) fn known_fields(kind: &str, path: &str) -> Vec<String> {
    let fixed: &[&str] = match (kind, path) {
        (isr_api::KIND | isr_api::PURGE_KIND, "") => &["apiVersion", "kind", "metadata", "spec", "status"],
        (isr_api::PURGE_KIND, "metadata") => &["name", "generateName", "namespace", "labels", "annotations"],
        (_, "metadata") => &["name", "namespace", "labels", "annotations"],
        (isr_api::KIND | isr_api::PURGE_KIND, _) => return fields_of(kind, path).unwrap_or_default(),
        ("Secret", "") => &["apiVersion", "kind", "metadata", "type", "stringData", "data", "immutable"],
        ("Service", "") => &["apiVersion", "kind", "metadata", "spec"],
        ("Service", "spec") => &["type", "externalName", "ports", "selector"],
        ("Service", path) if path.starts_with("spec.ports[") => {
            &["name", "port", "targetPort", "protocol", "appProtocol"]
        }
        _ => &[],
    };
    fixed.iter().map(ToString::to_string).collect()
}

/// The candidate that differs from `word` by no more than a slip or two.
pub(super) fn closest<'c>(word: &str, candidates: &'c [String]) -> Option<&'c str> {
    /// Two letters changed, left out or added.
    const MAX_DISTANCE: usize = 2;
    let lower = word.to_ascii_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&lower, &candidate.to_ascii_lowercase()), candidate.as_str()))
        .filter(|&(distance, candidate)| distance <= MAX_DISTANCE && distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fields_of(kind: &str, path: &str) -> Option<Vec<String>> {
    let crds = isr_api::crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind)?;
    let crd = serde_json::to_value(crd).ok()?;
    let mut schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema")?;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let (name, index) = step.split_once('[').map_or((step, false), |(name, _)| (name, true));
        schema = schema.get("properties")?.get(name)?;
        if index {
            schema = schema.get("items")?;
        }
    }
    schema.get("properties").and_then(Value::as_object).map(|fields| fields.keys().cloned().collect())
}

/// Levenshtein's distance in characters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, left) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (place, right) in other.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::{closest, known_fields};

    #[test]
    fn slips_are_recognised() {
        let fields = known_fields("IsrRoute", "spec");
        for (word, meant) in [
            ("intervall", Some("interval")),
            ("hostnames", Some("hostnames")),
            ("hostname", Some("hostnames")),
            ("stalefor", Some("staleFor")),
            ("backendref", Some("backendRef")),
            ("pth", Some("path")),
            ("revalidate", None),
        ] {
            assert_eq!(closest(word, &fields), meant, "{word}");
        }
        assert_eq!(known_fields("IsrRoute", "spec.bypass[0]"), ["cookie", "header"]);
        assert_eq!(known_fields("IsrRoute", "spec.nonsense"), [""; 0]);
        assert!(known_fields("IsrPurge", "spec").contains(&"prefixes".to_owned()));
    }
}
