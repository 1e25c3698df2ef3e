//! What a visitor sends stays with the visitor; drafts are for who has the token.

use crate::framework::Framework;
use crate::site::Site;
use crate::support::{Request, get};

/// No render sees a visitor, whatever they send; parameters make no other page; forms go to the application.
pub async fn privacy(framework: &Framework) {
    let site = Site::start(framework, "1h").await;
    let path = framework.post("1");
    let private = [
        ("Cookie", "session=visitors-own; __prerender_bypass=visitors-own"),
        ("Authorization", "Bearer visitors-own"),
        ("Accept-Language", "visitors-own"),
        ("Accept", "application/visitors-own+json"),
        ("Range", "bytes=0-9"),
        ("If-None-Match", "\"visitors-own\""),
        ("x-deployment-id", "visitors-own"),
        ("x-sveltekit-pathname", "visitors-own"),
        ("Next-Router-State-Tree", "visitors-own"),
        ("Next-Url", "/visitors-own"),
    ];
    let others = |request: &Request| {
        let target = &request.target;
        let mark = if target.contains('?') { '&' } else { '?' };
        let target = format!("{target}{mark}utm_source=visitors-own&gclid=visitors-own");
        private.iter().fold(Request { target, ..request.clone() }, |request, (name, value)| {
            request.header(name, *value)
        })
    };
    for request in [get(&path), site.data_request(&path)] {
        let why = format!("{}, {}", framework.name, request.target);
        let first = site.send(&others(&request)).await;
        assert!(matches!(first.status, 200 | 206), "{why}: {:?}", first.headers);
        assert_eq!(first.cache(), "MISS", "{why}: a page as any other");
        let second = site.send(&request).await;
        assert_eq!((second.status, second.cache()), (200, "HIT"), "{why}: which all others get");
        assert!(!second.text().contains("visitors-own"), "{why}: nothing of the first one's is in it");
        assert_eq!(second.header("set-cookie"), "", "{why}");
        framework.generation(&second);
    }
    let heads = site.tap.heads();
    assert_eq!(heads.len(), 2, "{}: one render of the page and one of its data", framework.name);
    for head in &heads {
        assert!(!head.contains("visitors-own"), "{}: nothing of the visitor's: {head:?}", framework.name);
    }

    let before = site.get(&path).await;
    let form = Request { body: b"title=x".to_vec(), ..Request::new("POST", &path) };
    let form = form.header("Content-Type", "application/x-www-form-urlencoded");
    let posted = site.send(&form).await;
    assert_eq!(
        posted.cache(),
        "BYPASS",
        "{}: a form is the application's: {}",
        framework.name,
        posted.status
    );
    let is_form = |head: &String| head.starts_with(&format!("POST {path} "));
    assert!(site.tap.heads().iter().any(is_form), "{}: which got it", framework.name);
    let now = site.get(&path).await;
    assert_eq!((now.cache(), now.text()), ("HIT", before.text()), "{}: and the page stays", framework.name);
}

/// The cookie with the token shows the newest data to who has it, and to nobody else.
pub async fn drafts(framework: &Framework) {
    let site = Site::start(framework, "1h").await;
    let path = framework.post("1");
    for request in [get(&path), site.data_request(&path)] {
        let why = format!("{}, {}", framework.name, request.target);
        let public = site.send(&request).await;
        let version = site.edit(1, "A draft").await;
        let draft = site.send(&request.clone().header("Cookie", site.draft_cookie())).await;
        assert_eq!((draft.status, draft.cache()), (200, "BYPASS"), "{why}: for the editor");
        assert_eq!(framework.generation(&draft).version, version, "{why}: the newest data");
        for cookie in [site.wrong_draft_cookie(), "__prerender_bypass=".to_owned(), "theme=dark".to_owned()] {
            let answer = site.send(&request.clone().header("Cookie", cookie.as_str())).await;
            assert_eq!((answer.cache(), answer.text()), ("HIT", public.text()), "{why}: not for {cookie:?}");
        }
        let now = site.send(&request).await;
        assert_eq!((now.cache(), now.text()), ("HIT", public.text()), "{why}: nothing was stored");
    }
}
