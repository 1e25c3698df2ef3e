//! The HTML. Anything a visitor sent is escaped before it is shown.

use std::time::{SystemTime, UNIX_EPOCH};

const POSTS: [(&str, &str); 3] = [
    ("1", "Pages that are never rebuilt"),
    ("2", "Stale for a moment, never wrong"),
    ("3", "What the last good page is worth"),
];

/// The page that explains the others.
pub(crate) const INDEX: &str = "<h1>Example origin</h1>
<p>Each page counts renders and says when it was rendered. Reload one: what does not change came from a cache.</p>
<ul>
  <li><a href=/blog-posts>/blog-posts</a> and its posts: regenerated every 10 seconds</li>
  <li><a href=/search?page=1>/search?page=1</a>: one stored page per <code>page</code>, other parameters are ignored</li>
  <li><a href=/clock>/clock</a>: its own <code>Cache-Control</code> says for how long</li>
  <li><a href=/slow>/slow</a>: takes two seconds, once</li>
  <li><a href=/account>/account</a>: greets by the cookie <code>name</code>, so it is never stored</li>
  <li><a href=/missing>/missing</a> and <a href=/redirect>/redirect</a>: 404 and 307</li>
  <li><a href=/events>/events</a>: server-sent events, passed through</li>
</ul>
<p><code>POST /control/fail</code> makes every page fail, <code>/control/slow</code> makes it take two seconds,
<code>/control/ok</code> ends both.</p>";

/// `/clock`.
pub(crate) const CLOCK: &str =
    "<h1>Clock</h1>\n<p><code>Cache-Control: public, max-age=5, stale-while-revalidate=60</code></p>";

/// `/slow`.
pub(crate) const SLOW: &str = "<h1>Slow</h1>\n<p>This page took two seconds to render.</p>";

/// Every path that is not a page.
pub(crate) const MISSING: &str = "<h1>Not found</h1>\n<p><a href=/>What there is</a></p>";

/// `/blog-posts`.
pub(crate) fn blog_posts() -> String {
    let items = POSTS.map(|(slug, title)| format!("  <li><a href=/blog-posts/{slug}>{title}</a></li>\n"));
    format!("<h1>Blog posts</h1>\n<ul>\n{}</ul>", items.concat())
}

/// `/blog-posts/{slug}`, when there is such a post.
pub(crate) fn blog_post(slug: &str) -> Option<String> {
    let (_, title) = POSTS.iter().find(|(known, _)| *known == slug)?;
    Some(format!("<h1>{title}</h1>\n<p><a href=/blog-posts>All posts</a></p>"))
}

/// `/search`.
pub(crate) fn search(page: &str) -> String {
    let next = page.parse::<u32>().unwrap_or(1).saturating_add(1);
    format!("<h1>Results, page {}</h1>\n<p><a href=/search?page={next}>Next page</a></p>", escape(page))
}

/// `/account`.
pub(crate) fn account(name: &str) -> String {
    format!("<h1>Hello, {}.</h1>\n<p>No two visitors share this page.</p>", escape(name))
}

/// A whole document around `body`.
pub(crate) fn layout(path: &str, body: &str, render: u64) -> String {
    let (path, now) = (escape(path), now());
    format!(
        "<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content=\"width=device-width\">
<title>{path}</title>
<style>
  body {{ margin: 4rem auto; max-width: 38rem; padding: 0 1rem; font: 1.05rem/1.6 system-ui, sans-serif; color: #1c1e21; background: #fcfcfa }}
  a {{ color: #0b57d0 }}
  footer {{ margin-top: 3rem; border-top: 1px solid #ddd; color: #666; font-size: .9rem }}
</style>
{body}
<footer><p>Render {render}, at {now}.</p></footer>
</html>
"
    )
}

/// The time of day, which is all that a page regenerated every few seconds needs.
pub(crate) fn now() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since_epoch.as_secs() % 86_400, since_epoch.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_visitor_sent_is_escaped() {
        let evil = "<script>alert(\"1 & 2\")</script>";
        for page in [account(evil), search(evil), layout(evil, "", 1)] {
            assert!(!page.contains("<script>"), "{page}");
            assert!(page.contains("&lt;script&gt;alert(&quot;1 &amp; 2&quot;)"), "{page}");
        }
    }

    #[test]
    fn only_known_posts_are_pages() {
        assert!(blog_post("1").is_some_and(|page| page.contains("never rebuilt")));
        assert_eq!(blog_post("9"), None);
        assert_eq!(blog_post("1/"), None);
    }
}
