use proptest::prelude::*;

use super::*;
use crate::Spread;

fn selector(realm: Realm, pages: Pages) -> Selector {
    Selector { realm, pages }
}

fn hard(invalidations: &Invalidations, realm: Realm, pages: Pages, epoch: u64) {
    let bytes = selector(realm, pages).to_bytes();
    invalidations.note(&bytes, Mode::Hard, Epoch(epoch));
}

fn hard_mark(invalidations: &Invalidations, group: &Group) -> u64 {
    invalidations.watermark(group, "shop/blog", &["of-the-route".to_owned()], Timestamp(0)).hard.0
}

fn group(name: &str) -> Group {
    Group::new(name.into())
}

#[test]
fn each_selector_covers_what_it_says() {
    let path =
        |host: Option<&str>, path: &str| Pages::Prefix { host: host.map(Box::from), path: path.into() };
    for (pages, covered, others) in [
        (Pages::All, &["a/x", "b/"][..], &[][..]),
        (Pages::Host("a".into()), &["a/", "a/x"], &["b/", "aa/"]),
        (path(None, "/blog"), &["a/blog", "b/blog/1/2", "a/blog/"], &["a/blogs", "a/", "a/x/blog"]),
        (path(Some("a"), "/blog"), &["a/blog/1"], &["b/blog/1"]),
        (path(Some("a"), ""), &["a/", "a/x"], &["b/x"]),
        (Pages::Tag("t".into()), &["tagged/"], &["a/t"]),
        (Pages::Tag("of-the-route".into()), &["a/"], &[]),
    ] {
        let tagged = |name: &str| {
            let group = group(name);
            if name == "tagged/" {
                group.tag(&["t".into()]);
            }
            group
        };
        let invalidations = Invalidations::default();
        hard(&invalidations, Realm::Namespace("shop".into()), pages.clone(), 7);
        for name in covered {
            assert_eq!(hard_mark(&invalidations, &tagged(name)), 7, "{pages:?} covers {name}");
        }
        for name in others {
            assert_eq!(hard_mark(&invalidations, &tagged(name)), 0, "{pages:?} does not cover {name}");
        }
    }
}

#[test]
fn of_more_invalidations_than_a_group_counts_none_is_missed() {
    let invalidations =
        Invalidations { version: AtomicU64::new(u64::from(u32::MAX) - 2), ..Invalidations::default() };
    let group = group("a/x");
    for epoch in 1..6 {
        hard(&invalidations, Realm::Installation, Pages::All, epoch);
        assert_eq!(hard_mark(&invalidations, &group), epoch);
    }
}

#[test]
fn the_realm_of_a_selector_can_be_read() {
    for realm in [Realm::Installation, Realm::Namespace("shop".into()), Realm::Route("shop/blog".into())] {
        for pages in [Pages::All, Pages::Host("a".into()), Pages::Tag("t".into())] {
            let bytes = selector(realm.clone(), pages).to_bytes();
            assert_eq!(Realm::of(&bytes), Some(realm.clone()));
        }
    }
    for unknown in [&b""[..], b"r", b"x\0a", b"rshop/blog", b"r\xFF\0a"] {
        assert_eq!(Realm::of(unknown), None, "{unknown:?}");
    }
}

#[test]
fn nobody_reaches_beyond_their_realm() {
    for (realm, reaches) in [
        (Realm::Installation, true),
        (Realm::Namespace("shop".into()), true),
        (Realm::Route("shop/blog".into()), true),
        (Realm::Namespace("rival".into()), false),
        (Realm::Route("rival/blog".into()), false),
        (Realm::Route("shop/blo".into()), false),
    ] {
        let invalidations = Invalidations::default();
        hard(&invalidations, realm.clone(), Pages::All, 3);
        assert_eq!(hard_mark(&invalidations, &group("a/x")), if reaches { 3 } else { 0 }, "{realm:?}");
    }
}

#[test]
fn a_group_learns_of_invalidations_before_and_after_it_was_made_or_tagged() {
    let invalidations = Invalidations::default();
    let tag = || Pages::Tag("t".into());
    hard(&invalidations, Realm::Installation, tag(), 1);
    let group = group("a/x");
    assert_eq!(hard_mark(&invalidations, &group), 0);
    group.tag(&["t".into()]);
    assert_eq!(hard_mark(&invalidations, &group), 1, "of one before it was tagged");
    hard(&invalidations, Realm::Installation, tag(), 2);
    assert_eq!(hard_mark(&invalidations, &group), 2, "of one after");
}

#[test]
fn a_group_with_too_many_tags_is_covered_by_any() {
    let invalidations = Invalidations::default();
    let group = group("a/x");
    let tags: Vec<Box<str>> = (0..=crate::group::TAGS_OF_GROUP).map(|tag| tag.to_string().into()).collect();
    group.tag(&tags);
    hard(&invalidations, Realm::Namespace("rival".into()), Pages::Tag("unheard-of".into()), 1);
    assert_eq!(hard_mark(&invalidations, &group), 0);
    hard(&invalidations, Realm::Namespace("shop".into()), Pages::Tag("unheard-of".into()), 2);
    assert_eq!(hard_mark(&invalidations, &group), 2);
}

fn tag(name: &dyn ToString) -> Pages {
    Pages::Tag(name.to_string().into())
}

#[test]
fn marks_are_bounded_over_the_years_and_nothing_is_covered_by_less() {
    let invalidations = Invalidations::default();
    let (busy, quiet) = (Realm::Route("shop/blog".into()), Realm::Route("rival/blog".into()));
    let tagged = |name: &dyn ToString| {
        let group = group("a/x");
        group.tag(&[name.to_string().into()]);
        group
    };
    hard(&invalidations, quiet.clone(), tag(&"quiet"), 1);
    let purges = 2 * MARKS_MOST as u64;
    for purge in 2..purges {
        hard(&invalidations, busy.clone(), tag(&purge), purge);
        assert!(invalidations.len() <= MARKS_MOST, "{} marks", invalidations.len());
    }
    for purge in (2..purges).step_by(997) {
        assert!(hard_mark(&invalidations, &tagged(&purge)) >= purge, "the purge of {purge} is still known");
    }
    let latest = purges - 1;
    assert!(
        hard_mark(&invalidations, &group("a/y")) < latest - 1000,
        "what was rendered lately is not reached"
    );
    let other = |group: &Group| invalidations.watermark(group, "rival/blog", &[], Timestamp(0)).hard.0;
    assert_eq!(other(&tagged(&"quiet")), 1);
    assert_eq!(other(&group("b/x")), 0, "who purges little pays nothing for who purges much");
}

#[test]
fn marks_of_very_many_routes_are_bounded_too() {
    let invalidations = Invalidations::default();
    let routes = MARKS_MOST as u64 * 5 / 4;
    for number in 1..=routes {
        hard(&invalidations, Realm::Route(format!("shop/{number}").into()), tag(&"t"), number);
        assert!(invalidations.len() <= MARKS_MOST, "{} marks", invalidations.len());
    }
    for number in (1..=routes).step_by(1999) {
        let group = group("a/x");
        group.tag(&["t".into()]);
        assert!(
            invalidations.watermark(&group, &format!("shop/{number}"), &[], Timestamp(0)).hard.0 >= number
        );
    }
}

#[test]
fn an_invalidation_of_a_tag_touches_no_page_and_a_page_only_when_it_is_asked_for() {
    let invalidations = Invalidations::default();
    let members: Vec<Group> = (0..10_000).map(|page| group(&format!("a/{page}"))).collect();
    for member in &members {
        member.tag(&["t".into()]);
    }
    hard(&invalidations, Realm::Installation, tag(&"t"), 1);
    assert_eq!(invalidations.len(), 1, "one mark for all of them");
    assert!(members.iter().all(|member| member.watermark() == Watermark::default()), "nobody was touched");
    assert_eq!(hard_mark(&invalidations, &members[7]), 1, "who is asked for knows of it");
    let touched = members.iter().filter(|member| member.watermark().hard == Epoch(1)).count();
    assert_eq!(touched, 1, "and nobody else");
    let version = invalidations.version.load(Ordering::Relaxed);
    assert!(members[7].is_checked(version, Timestamp(0)), "from now on it compares one number");
}

/// Something that happens to the pages of three routes.
#[derive(Clone, Debug)]
enum Event {
    /// A render of a page lands.
    Render { page: usize },
    /// All pages of a route turn stale.
    Soft { route: usize },
    /// All pages of some routes turn stale over a time of milliseconds.
    Gradual { routes: Vec<usize>, over: u64 },
    /// Milliseconds pass.
    Pass(u64),
    /// What has taken effect is noted as any other, as its owner does some time after.
    Settle,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_usize..12).prop_map(|page| Event::Render { page }),
        (0_usize..3).prop_map(|route| Event::Soft { route }),
        (proptest::collection::vec(0_usize..3, 1..3), 0_u64..5_000)
            .prop_map(|(routes, over)| Event::Gradual { routes, over }),
        (0_u64..2_000).prop_map(Event::Pass),
        Just(Event::Settle),
    ]
}

proptest! {
    /// At each moment of a random history each page is stale exactly if a naive model says so: an invalidation covers it that began
    /// after its render, and whose moment for this page has come. Nothing turns fresh by itself.
    #[test]
    fn gradual_invalidations_are_as_the_model_says(events in proptest::collection::vec(event(), 1..60)) {
        let names = |route: usize| format!("shop/{route}");
        let groups: Vec<Group> = (0..12).map(|page| group(&format!("a/{page}"))).collect();
        let invalidations = Invalidations::default();
        let (mut now, mut epoch) = (Timestamp(1_000), 0);
        let mut began = [0; 12];
        // Route, epoch, and the time over which it takes effect.
        let mut model: Vec<(usize, u64, Spread)> = Vec::new();
        for event in events {
            match event {
                Event::Render { page } => began[page] = epoch,
                Event::Soft { route } => {
                    epoch += 1;
                    let bytes = selector(Realm::Route(names(route).into()), Pages::All).to_bytes();
                    invalidations.note(&bytes, Mode::Soft, Epoch(epoch));
                    model.push((route, epoch, Spread { begins: now, over: std::time::Duration::ZERO }));
                }
                Event::Gradual { routes, over } => {
                    epoch += 1;
                    let spread = Spread { begins: now, over: std::time::Duration::from_millis(over) };
                    model.extend(routes.iter().map(|route| (*route, epoch, spread)));
                    let routes = routes.iter().map(|route| names(*route).into()).collect();
                    invalidations.begin(Gradual { routes, epoch: Epoch(epoch), spread });
                }
                Event::Pass(millis) => now = Timestamp(now.0 + millis),
                Event::Settle => {
                    for (route, epoch, _) in model.iter().filter(|(_, _, spread)| spread.ends() <= now) {
                        let bytes = selector(Realm::Route(names(*route).into()), Pages::All).to_bytes();
                        invalidations.note(&bytes, Mode::Soft, Epoch(*epoch));
                    }
                    for (_, epoch, _) in model.iter().filter(|(_, _, spread)| spread.ends() <= now) {
                        invalidations.end(Epoch(*epoch));
                    }
                }
            }
            for (page, group) in groups.iter().enumerate() {
                let route = page % 3;
                let expected = model.iter().any(|(of, epoch, spread)| {
                    *of == route && *epoch > began[page] && spread.moment(group.name()) <= now
                });
                let watermark = invalidations.watermark(group, &names(route), &[], now);
                prop_assert_eq!(watermark.judge(Epoch(began[page])) == Some(Mode::Soft), expected, "page {}", page);
            }
        }
    }

    /// A prefix covers a path exactly if the path is it or goes on with a slash, up to the depth that is told apart.
    #[test]
    fn prefixes_are_whole_segments(
        path in "(/[ab]{0,2}){1,20}",
        prefix in "(/[ab]{1,2}){0,4}",
    ) {
        let invalidations = Invalidations::default();
        hard(&invalidations, Realm::Installation, Pages::Prefix { host: None, path: prefix.as_str().into() }, 1);
        let covers = path == prefix || path.starts_with(&format!("{prefix}/"));
        prop_assert_eq!(hard_mark(&invalidations, &group(&format!("host{path}"))) == 1, covers);
    }

    /// Different selectors never share a mark.
    #[test]
    fn selectors_are_told_apart(
        one in ("[a-c/]{0,3}", "[a-c]{0,2}", "[a-c/]{0,3}"),
        other in ("[a-c/]{0,3}", "[a-c]{0,2}", "[a-c/]{0,3}"),
    ) {
        let all = |(name, host, rest): (String, String, String)| {
            let pages = [
                Pages::All,
                Pages::Host(host.as_str().into()),
                Pages::Prefix { host: None, path: rest.as_str().into() },
                Pages::Prefix { host: Some(host.as_str().into()), path: rest.as_str().into() },
                Pages::Tag(rest.as_str().into()),
            ];
            let name: Box<str> = name.as_str().into();
            let realms = [Realm::Installation, Realm::Namespace(name.clone()), Realm::Route(name)];
            realms.into_iter().flat_map(move |realm| {
                pages.clone().into_iter().map(move |pages| selector(realm.clone(), pages))
            })
        };
        for one in all(one) {
            for other in all(other.clone()) {
                // A prefix on the host without a name is one on any host.
                let empty_host = |selector: &Selector| {
                    matches!(&selector.pages, Pages::Prefix { host: Some(host), .. } if host.is_empty())
                };
                if !empty_host(&one) && !empty_host(&other) {
                    prop_assert_eq!(one.to_bytes() == other.to_bytes(), one == other);
                }
            }
        }
    }
}
