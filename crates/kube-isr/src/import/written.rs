//! Routes as YAML for people: one document for each, with comments that say where each value is from. The same text for the
//! same build and arguments.

use std::fmt::Write as _;

use super::names::names;
use super::{Build, Every, Framework, ImportArgs, Page};

/// The label by which imported routes are told from those that people write. Its value is the framework.
pub(super) const LABEL: &str = "kube-isr.dev/imported-from";

/// As many paths as a route may name.
const PRERENDER_MOST: usize = 100;

/// A route as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Route {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) hostnames: Vec<String>,
    pub(super) path: String,
    pub(super) interval: Option<String>,
    pub(super) framework: &'static str,
    pub(super) service: String,
    pub(super) port: u16,
    /// Name and key of a Secret.
    pub(super) bypass_token: Option<(String, String)>,
    pub(super) origin_token: Option<(String, String)>,
    pub(super) query: Vec<String>,
    pub(super) default_locale: Option<String>,
    pub(super) vary_by: Vec<String>,
    pub(super) prerender: Vec<String>,
    source: String,
}

/// The routes of these pages, by path.
pub(super) fn routes(args: &ImportArgs, pages: &[Page]) -> Vec<Route> {
    let mut pages: Vec<&Page> = pages.iter().collect();
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    pages.dedup_by(|one, other| one.path == other.path);
    let paths: Vec<&str> = pages.iter().map(|page| page.path.as_str()).collect();
    let secret = |given: &Option<String>, key: &str| {
        given.as_ref().map(|text| match text.split_once('/') {
            Some((name, key)) => (name.to_owned(), key.to_owned()),
            None => (text.clone(), key.to_owned()),
        })
    };
    names(&args.name_prefix, &paths)
        .into_iter()
        .zip(&pages)
        .map(|(name, page)| Route {
            namespace: args.namespace.clone(),
            name,
            hostnames: args.hostnames.clone(),
            path: page.path.clone(),
            interval: interval(page.interval),
            framework: args.framework.preset(),
            service: args.service.clone(),
            port: args.port,
            bypass_token: secret(&args.token_secret, "token"),
            origin_token: secret(&args.origin_token_secret, "previewModeId"),
            query: page.query.clone(),
            default_locale: page.default_locale.clone(),
            vary_by: page.vary_by.clone(),
            // Without an interval nothing can be prerendered.
            prerender: match page.interval {
                Every::Unsaid => Vec::new(),
                _ if !args.prerender => Vec::new(),
                _ => page.known.iter().take(PRERENDER_MOST).cloned().collect(),
            },
            source: page.source.clone(),
        })
        .collect()
}

/// A duration as GEP-2257 writes it, whose numbers have five digits at most.
fn interval(every: Every) -> Option<String> {
    let units = |mut seconds: u64| {
        // More than eleven years are as good as never.
        if seconds >= 100_000 * 3600 {
            return "Never".to_owned();
        }
        let mut text = String::new();
        for (size, unit) in [(3600, "h"), (60, "m"), (1, "s")] {
            if seconds >= size {
                // Writing to a String cannot fail.
                let _ = write!(text, "{}{unit}", seconds / size);
                seconds %= size;
            }
        }
        text
    };
    match every {
        Every::Unsaid => None,
        Every::Never => Some("Never".to_owned()),
        Every::Seconds(seconds) => Some(units(seconds.max(1))),
    }
}

/// All of it.
pub(super) fn text(args: &ImportArgs, build: &Build, routes: &[Route]) -> String {
    let mut text = String::new();
    comment(
        &mut text,
        "",
        &format!("Written by kube-isr import {} from the build of the application.", args.framework.name()),
    );
    comment(
        &mut text,
        "",
        "Fields that the build says nothing about, such as staleFor or tags, may be added: --check leaves them alone.",
    );
    if args.framework == Framework::NextJs && args.origin_token_secret.is_none() {
        comment(
            &mut text,
            "",
            "Next.js caches pages itself, and renders anew for kube-isr with @kube-isr/next in its next.config; without that, with --origin-token-secret, the Secret that holds the previewModeId of this build (.next/prerender-manifest.json).",
        );
    }
    for note in &build.notes {
        comment(&mut text, "", note);
    }
    text.push('\n');
    for (place, route) in routes.iter().enumerate() {
        if place > 0 {
            text.push_str("---\n");
        }
        route.write(&mut text);
    }
    text
}

impl Route {
    fn write(&self, text: &mut String) {
        comment(text, "", &self.source);
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line}");
        };
        line(format_args!("apiVersion: {}", isr_api::API_VERSION));
        line(format_args!("kind: {}", isr_api::KIND));
        line(format_args!("metadata:"));
        line(format_args!("  name: {}", scalar(&self.name)));
        line(format_args!("  namespace: {}", scalar(&self.namespace)));
        line(format_args!("  labels:"));
        line(format_args!("    {LABEL}: {}", self.framework.to_ascii_lowercase()));
        line(format_args!("spec:"));
        let list = |items: &[String]| items.iter().map(|item| scalar(item)).collect::<Vec<_>>();
        line(format_args!("  hostnames:"));
        for hostname in list(&self.hostnames) {
            line(format_args!("    - {hostname}"));
        }
        line(format_args!("  path: {}", scalar(&self.path)));
        match &self.interval {
            Some(interval) => line(format_args!("  interval: {interval}")),
            None => line(format_args!("  # No interval: the application's own Cache-Control governs.")),
        }
        line(format_args!("  framework: {}", self.framework));
        if let Some(locale) = &self.default_locale {
            line(format_args!("  defaultLocale: {}", scalar(locale)));
        }
        line(format_args!("  backendRef:"));
        line(format_args!("    name: {}", scalar(&self.service)));
        line(format_args!("    port: {}", self.port));
        for (field, secret) in [("bypassToken", &self.bypass_token), ("originToken", &self.origin_token)] {
            if let Some((name, key)) = secret {
                line(format_args!("  {field}:"));
                line(format_args!("    secretKeyRef:"));
                line(format_args!("      name: {}", scalar(name)));
                line(format_args!("      key: {}", scalar(key)));
            }
        }
        for (outer, inner, items) in [
            ("query", "allow", &self.query),
            ("varyBy", "headers", &self.vary_by),
            ("prerender", "paths", &self.prerender),
        ] {
            if !items.is_empty() {
                line(format_args!("  {outer}:"));
                line(format_args!("    {inner}:"));
                for item in list(items) {
                    line(format_args!("      - {item}"));
                }
            }
        }
    }
}

/// A text as YAML takes it for a text.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '[' | ']'))
        && !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if is_plain {
        return text.to_owned();
    }
    // JSON is YAML, once what YAML does not print is escaped.
    let json = serde_json::Value::from(text).to_string();
    json.chars().fold(String::with_capacity(json.len()), |mut escaped, c| {
        if is_printable(c) {
            escaped.push(c);
        } else {
            // Writing to a String cannot fail. All that is not printable has four digits at most.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        }
        escaped
    })
}

/// Whether a character may stand in a line of YAML as it is (YAML 1.2.2, productions 1 and 27).
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Lines of comment, of some hundred characters.
fn comment(text: &mut String, indent: &str, sentence: &str) {
    const WIDTH: usize = 100;
    let mut line = String::new();
    for word in sentence.split_whitespace() {
        if !line.is_empty() && line.len() + word.len() >= WIDTH {
            let _ = writeln!(text, "{indent}#{line}");
            line.clear();
        }
        line.push(' ');
        // No character ends a comment or a line, and none makes the file unreadable.
        line.extend(word.chars().map(|c| if is_printable(c) { c } else { '?' }));
    }
    let _ = writeln!(text, "{indent}#{line}");
}
