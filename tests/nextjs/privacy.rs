//! What a visitor sends stays with the visitor; draft mode is for who knows the token.

use crate::page::{ROUTERS, generation};
use crate::site::{SECRET, Site};
use crate::support::{TOKEN, get};

#[tokio::test]
async fn no_render_sees_a_visitor() {
    let site = Site::of_example("1h").tapped().start().await;
    let private = [
        ("Cookie", "session=visitors-own; __next_preview_data=visitors-own"),
        ("Authorization", "Bearer visitors-own"),
        ("X-Api-Key", "visitors-own"),
        ("If-None-Match", "\"visitors-own\""),
        ("Range", "bytes=0-9"),
        ("Accept-Language", "visitors-own"),
        ("x-middleware-subrequest", "visitors-own"),
        ("x-middleware-prefetch", "visitors-own"),
        ("x-now-route-matches", "visitors-own"),
        ("x-matched-path", "visitors-own"),
        ("x-invoke-path", "visitors-own"),
        ("Next-Action", "visitors-own"),
    ];
    for router in ROUTERS {
        let path = router.post("1");
        for request in [get(&format!("{path}?utm_source=visitors-own")), router.data(site.build(), &path)] {
            let request = private.iter().fold(request, |request, (name, value)| request.header(name, *value));
            let answer = site.send(&request).await;
            assert!(matches!(answer.status, 200 | 206), "{}: {:?}", request.target, answer.headers);
            assert_eq!(answer.cache(), "MISS", "{}: a page as any other", request.target);
        }
        let page = site.get(&path).await;
        assert_eq!((page.status, page.cache()), (200, "HIT"), "{path}: which all others get");
        assert_eq!(site.data(&router, &path).await.cache(), "HIT", "{path}: and its data");
    }
    let heads = site.tap().heads();
    assert_eq!(heads.len(), 4, "a page and its data for each router");
    for head in heads {
        assert!(!head.contains("visitors-own"), "nothing of the visitor's: {head:?}");
        let lines: Vec<String> = head.lines().map(str::to_ascii_lowercase).collect();
        for name in [
            "cookie:",
            "authorization:",
            "range:",
            "if-none-match:",
            "next-action:",
            "x-prerender-revalidate:",
        ] {
            assert!(!lines.iter().any(|line| line.starts_with(name)), "{name} {head:?}");
        }
    }
}

/// The routes let whoever has the cookie of draft mode pass, and Next.js looks whether it is its own `previewModeId`.
#[tokio::test]
async fn the_draft_cookie_shows_a_draft_to_who_has_the_right_one() {
    let site = Site::of_example("1h").start().await;
    for router in ROUTERS {
        let path = router.post("1");
        let page = site.get(&path).await;
        // Next.js has a page of its own by then, as a visitor who is passed would get it.
        let own = site.send(&get(&path).header("Cookie", "__prerender_bypass=none")).await;
        let version = site.edit(1, "A draft").await;
        let draft = format!("theme=dark; __prerender_bypass={}", site.preview_mode_id());
        let mut last = generation(&page);
        for _ in 0..2 {
            let draft = site.send(&get(&path).header("Cookie", draft.as_str())).await;
            assert_eq!((draft.status, draft.cache()), (200, "BYPASS"), "{path}");
            assert_eq!(generation(&draft).version, version, "{path}: the newest data");
            assert!(generation(&draft) > last, "{path}: rendered for this visitor");
            assert!(draft.text().contains("A draft"), "{path}: the draft");
            last = generation(&draft);
        }
        for wrong in ["", "wrong", SECRET, TOKEN, &site.preview_mode_id()[..31]] {
            let request = get(&path).header("Cookie", format!("__prerender_bypass={wrong}"));
            let answer = site.send(&request).await;
            assert_eq!(answer.cache(), "BYPASS", "{path}: {wrong:?}");
            assert_eq!(generation(&answer), generation(&own), "{path}: {wrong:?} shows no draft");
        }
        let public = site.get(&path).await;
        assert_eq!((public.cache(), public.text()), ("HIT", page.text()), "{path}: nothing was stored");
    }
}

/// With the `previewModeId` as origin token only the right cookie passes.
#[tokio::test]
async fn with_the_origin_token_a_wrong_draft_cookie_is_no_cookie() {
    let site = Site::of_routes(|route, preview| route.interval("1h").origin_token(preview));
    let site = site.without_package().start().await;
    for router in ROUTERS {
        let path = router.post("1");
        let page = site.get(&path).await;
        let version = site.edit(1, "A draft").await;
        let draft = format!("__prerender_bypass={}", site.preview_mode_id());
        let draft = site.send(&get(&path).header("Cookie", draft)).await;
        assert_eq!((draft.cache(), generation(&draft).version), ("BYPASS", version), "{path}: the draft");
        for wrong in ["", "wrong", SECRET, &TOKEN[..31], &site.preview_mode_id()[..31]] {
            let request = get(&path).header("Cookie", format!("__prerender_bypass={wrong}"));
            let answer = site.send(&request).await;
            assert_eq!(
                (answer.cache(), answer.text()),
                ("HIT", page.text()),
                "{path}: {wrong:?} is no token"
            );
        }
    }
}

/// The routes' own token goes past the cache as well. Next.js does not know it and gives the page as it has it.
#[tokio::test]
async fn the_routes_token_in_the_draft_cookie_goes_past_the_cache() {
    let site = Site::of_example("1h").tapped().start().await;
    for router in ROUTERS {
        let path = router.post("1");
        let page = site.get(&path).await;
        let request = get(&path).header("Cookie", format!("__prerender_bypass={TOKEN}"));
        let passed = site.send(&request).await;
        assert_eq!((passed.status, passed.cache()), (200, "BYPASS"), "{path}");
        assert_eq!(site.tap().count_of(&path), 2, "{path}: to the application");
        let again = site.get(&path).await;
        assert_eq!((again.cache(), again.text()), ("HIT", page.text()), "{path}: nothing was stored");
    }
}
