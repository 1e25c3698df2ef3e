use isr_routes::manifest::{self, Manifests};
use proptest::prelude::*;

use super::*;

fn urlset(inner: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{inner}</urlset>"#
    )
}

fn urls(list: &[&str]) -> Urls {
    Urls { urls: list.iter().map(|&url| url.to_owned()).collect(), beyond: 0 }
}

#[test]
fn urls_are_read_as_they_are_meant() {
    let text = urlset(
        "<url>\n  <loc> https://a.example/?x=1&amp;y=%C3%A9 </loc><lastmod>2026-01-01</lastmod></url>\
         <!-- <url><loc>https://a.example/comment</loc></url> -->\
         <url><loc><![CDATA[https://a.example/c]]></loc><image:image><image:loc>https://a.example/i.png</image:loc></image:image></url>\
         <url><loc>https://a.example/&#x64;&#101;</loc><xhtml:link rel=\"alternate\" href=\"https://a.example/fr\"/></url><url/>",
    );
    let expected = urls(&["https://a.example/?x=1&y=%C3%A9", "https://a.example/c", "https://a.example/de"]);
    assert_eq!(read(text.as_bytes()), Ok(Listed::Pages(expected)));
    assert_eq!(read(format!("\u{FEFF}{}", urlset("")).as_bytes()), Ok(Listed::Pages(Urls::default())));
    assert_eq!(read(b"<urlset/>"), Ok(Listed::Pages(Urls::default())));
    let index =
        "<s:sitemapindex><s:sitemap><s:loc>https://a.example/1.xml</s:loc></s:sitemap></s:sitemapindex>";
    assert_eq!(read(index.as_bytes()), Ok(Listed::Sitemaps(urls(&["https://a.example/1.xml"]))));
}

/// Each row: a text that is no sitemap, and what is said about it.
#[test]
fn what_is_no_sitemap_is_refused_in_words() {
    let bomb = r#"<!DOCTYPE urlset [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>"#;
    for (text, why) in [
        (&b"<!doctype html><html><body>Not Found</body></html>"[..], "has a document type"),
        (b"<html><body>Not Found</body></html>", "begins with <html>"),
        (b"", "is no XML"),
        (b"https://a.example/1\nhttps://a.example/2", "is no XML"),
        (br#"{"urls": []}"#, "is no XML"),
        (bomb.as_bytes(), "has a document type"),
        (b"<urlset><url><loc>&lol;</loc></url></urlset>", "uses &lol;"),
        (b"<urlset><url><loc>&#xFFFFFFFF;</loc></url></urlset>", "uses &#xFFFFFFFF;"),
        (b"<urlset><url><loc>https://a.example/1</loc></url>", "ends in the middle"),
        (b"<urlset><url></urlset>", "is not well-formed XML"),
        (b"<urlset><url><loc>", "ends in the middle"),
        (b"<urlset><url><loc>\xFF</loc></url></urlset>", "is not UTF-8"),
        (b"\x1F\x8B\x08\0\0\0\0\0\0\xFF", "is compressed"),
    ] {
        let said = read(text).expect_err("no sitemap");
        assert!(said.contains(why), "{:?}: {said}", String::from_utf8_lossy(text));
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let many = "<url><loc>https://a.example/</loc></url>".repeat(URLS_MOST + 3);
    let Ok(Listed::Pages(listed)) = read(urlset(&many).as_bytes()) else { panic!("a sitemap") };
    assert_eq!((listed.urls.len(), listed.beyond), (URLS_MOST, 3));
    let long = format!("<url><loc>https://a.example/{}</loc></url>", "a".repeat(100 * URL_MOST));
    let Ok(Listed::Pages(listed)) = read(urlset(&long).as_bytes()) else { panic!("a sitemap") };
    assert_eq!(listed.urls[0].len(), URL_MOST + 1, "enough to know that it is too long");
    assert_eq!(absolute(&listed.urls[0]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_fall(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn any_pieces_are_read_without_a_fall(pieces in prop::collection::vec(prop::sample::select(vec![
        "<urlset>", "</urlset>", "<url>", "</url>", "<loc>", "</loc>", "&amp;", "&#0;", "&", ";", "<", ">", "<![CDATA[",
        "]]>", "<!--", "-->", "<?xml?>", "<!DOCTYPE a [", "]>", "https://a.example/é", " ", "<loc/>",
    ]), 0..30)) {
        let _ = read(pieces.concat().as_bytes());
    }

    #[test]
    fn what_is_written_is_read(paths in prop::collection::vec("[a-z&<>'\"é]{0,20}", 0..20)) {
        let escaped = |path: &String| quick_xml::escape::escape(path.as_str()).into_owned();
        let text: Vec<String> = paths.iter().map(|path| format!("<url><loc>{}</loc></url>", escaped(path))).collect();
        let listed = Listed::Pages(Urls { urls: paths, beyond: 0 });
        prop_assert_eq!(read(urlset(&text.concat()).as_bytes()), Ok(listed));
    }
}

const MANIFESTS: &str = "
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: blog, namespace: shop }
spec:
  hostnames: [a.example, b.example]
  path: /blog/[slug]
  interval: 1h
  query: { allow: [page] }
  backendRef: { name: web, port: 80 }
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: new, namespace: shop }
spec: { hostnames: [a.example], path: /blog/new, interval: 1h, backendRef: { name: web, port: 80 } }
";

fn take(list: &[&str]) -> Taken {
    let manifests = Manifests::from_files(vec![manifest::read("routes.yaml", MANIFESTS)]);
    let compiled = isr_routes::compile(&manifests.routes, &manifests.references, &crate::active::STANDALONE);
    let route = compiled.table.routes().find(|route| &*route.id == "shop/blog").expect("the route");
    let mut taken = Taken::default();
    taken.add(&urls(list), "a.example", route, &compiled.table);
    taken
}

#[test]
fn of_a_sitemap_a_route_takes_its_own_pages_on_one_host_once() {
    let taken = take(&[
        "https://a.example/blog/1",
        "http://A.example:8080/blog/1#part",
        "https://a.example/blog/1?utm_source=x",
        "https://a.example/blog/1?page=2&utm_source=x",
        "https://a.example/blog/caf%c3%a9",
        "https://b.example/blog/1",
        "https://elsewhere.example/blog/1",
        "https://a.example/about",
        "https://a.example/blog/new",
        "/blog/2",
        "https://a.example/blog/é",
        "https://a.example/blog/../about",
        "ftp://a.example/blog/1",
        "",
    ]);
    let pages: Vec<(&str, &str)> = taken.pages.iter().map(|page| (&*page.path, &*page.query)).collect();
    let expected = [("/blog/1", ""), ("/blog/1", "page=2"), ("/blog/caf%C3%A9", ""), ("/blog/%C3%A9", "")];
    assert_eq!(pages, expected, "characters beyond ASCII are encoded");
    assert!(taken.pages.iter().all(|page| &*page.host == "a.example"));
    assert_eq!((taken.foreign, taken.elsewhere, taken.malformed, taken.beyond), (2, 2, 4, 0));
}

#[test]
fn a_route_takes_so_many_pages_and_no_more() {
    let list: Vec<String> =
        (0..PAGES_MOST + 7).map(|number| format!("https://a.example/blog/{number}")).collect();
    let taken = take(&list.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((taken.pages.len(), taken.beyond), (PAGES_MOST, 7));
}
