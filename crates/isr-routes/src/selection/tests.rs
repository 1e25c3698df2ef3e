use super::*;

fn select(site: Option<&str>, selection: Selection<'_>) -> (Selected, Vec<Meaningless>) {
    let asker = Asker { site, may_name: &|_| Ok(()) };
    selection.select(&RouteTable::default(), &asker)
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn what_means_nothing_is_told_with_what_to_write() {
    let all = Selection::default();
    let of = |items: &[&str]| strings(items);
    for (site, field, items, expected) in [
        (None, "", of(&[]), "nothing is named: write paths"),
        (None, "paths", of(&["/blog"]), "write the URL, as in https://shop.example.com/blog"),
        (None, "paths", of(&["https://a.example.com/blog"]), "is no page of an IsrRoute"),
        (
            Some("a.example.com"),
            "paths",
            of(&["https://b.example.com/"]),
            "is another host than a.example.com",
        ),
        (Some("a.example.com"), "hosts", of(&["b.example.com"]), "is another host"),
        (Some("a.example.com"), "prefixes", of(&["https://b.example.com/x"]), "is another host"),
        (None, "tags", of(&[""]), "a tag has 1 to 256 bytes"),
        (None, "hosts", of(&["a b"]), "is no host"),
        (None, "prefixes", of(&["/a/../b"]), "a . or .. segment"),
        (None, "prefixes", vec!["/a".repeat(17)], "more than 16 segments"),
    ] {
        let selection = match field {
            "paths" => Selection { paths: &items, ..all },
            "hosts" => Selection { hosts: &items, ..all },
            "prefixes" => Selection { prefixes: &items, ..all },
            "tags" => Selection { tags: &items, ..all },
            _ => all,
        };
        let (selected, wrong) = select(site, selection);
        assert_eq!(selected, Selected::default(), "{items:?}");
        let [wrong] = &wrong[..] else { panic!("{items:?}: {wrong:?}") };
        assert!(wrong.message.contains(expected), "{items:?}: {}", wrong.message);
        assert!(wrong.field.starts_with(field), "{items:?}: {}", wrong.field);
    }
}

#[test]
fn what_is_right_is_selected_beside_what_is_wrong() {
    let (hosts, tags) = (strings(&["a.example.com", "a b"]), strings(&["", "news"]));
    let (selected, wrong) = select(None, Selection { hosts: &hosts, tags: &tags, ..Selection::default() });
    assert_eq!(
        selected.pages,
        [Pages::Host("a.example.com".into()), Pages::Tag("news".into())].into_iter().collect()
    );
    let fields: Vec<&str> = wrong.iter().map(|wrong| &*wrong.field).collect();
    assert_eq!(fields, ["tags[0]", "hosts[1]"]);
}

#[test]
fn prefixes_are_normal_and_stay_on_their_host() {
    let read = |site, text| prefix(site, text).expect("a prefix");
    let pages =
        |host: Option<&str>, path: &str| Pages::Prefix { host: host.map(Into::into), path: path.into() };
    assert_eq!(read(None, "/blog/"), pages(None, "/blog"));
    assert_eq!(read(None, "/"), pages(None, ""));
    assert_eq!(read(None, "https://A.example.com/b%6Cog"), pages(Some("a.example.com"), "/blog"));
    assert_eq!(read(Some("a.example.com"), "/blog"), pages(Some("a.example.com"), "/blog"));
}
