use proptest::prelude::*;

use super::*;

fn selector(realm: Realm, pages: Pages) -> Selector {
    Selector { realm, pages }
}

fn hard(invalidations: &Invalidations, realm: Realm, pages: Pages, epoch: u64) {
    let bytes = selector(realm, pages).to_bytes();
    invalidations.note(&bytes, Mode::Hard, Epoch(epoch)).expect("there is room");
}

fn hard_mark(invalidations: &Invalidations, group: &Group) -> u64 {
    invalidations.watermark(group, "shop/blog", &["of-the-route".to_owned()]).hard.0
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

#[test]
fn marks_are_bounded_and_a_known_selector_always_fits() {
    let invalidations = Invalidations::default();
    for tag in 0..MARKS_MOST {
        hard(&invalidations, Realm::Installation, Pages::Tag(tag.to_string().into()), 1);
    }
    let one_more = selector(Realm::Installation, Pages::Tag("one more".into())).to_bytes();
    assert_eq!(invalidations.note(&one_more, Mode::Hard, Epoch(2)), Err(TooManyMarks));
    hard(&invalidations, Realm::Installation, Pages::Tag("7".into()), 3);
    let old: Vec<_> = invalidations.marks().into_iter().filter(|(_, mark)| mark.hard == Epoch(1)).collect();
    invalidations.forget(&old);
    assert_eq!(invalidations.len(), 1, "what was added to since is not forgotten");
}

proptest! {
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
