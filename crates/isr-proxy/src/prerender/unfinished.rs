//! The routes whose pages are not all there, in a few kilobytes: what `/configz` tells, and the operator of a cluster makes a
//! condition of.

use serde_json::{Map, Value, json};

use super::progress::Progress;

/// Bytes of the routes that are told, at most, without white space: some 400 of them. An operator asks every proxy, and
/// when more routes are in trouble than that, it is the application that people look at.
const ROOM: usize = 64 * 1024;

/// Characters of what a page is called and why it failed, at most: a sentence.
const TEXT_MOST: usize = 300;

/// Tells of these routes: first of those with pages that failed, then of those that are still rendering, and how many of each
/// there was no room for.
pub(super) fn describe<'p>(routes: impl Iterator<Item = (&'p str, &'p Progress)>) -> Value {
    let unfinished = routes.filter(|(_, progress)| progress.waiting + progress.failing > 0);
    let (failing, rendering): (Vec<_>, Vec<_>) = unfinished.partition(|(_, progress)| progress.failing > 0);
    let mut told = Map::new();
    let mut room = ROOM;
    let mut tell = |routes: &[(&str, &Progress)]| {
        let before = told.len();
        for (route, progress) in routes {
            let entry = one(progress);
            // The name, its quotes, a colon and a comma.
            let size = route.len() + 4 + entry.to_string().len();
            // What is shorter and comes later has no room either.
            room = room.saturating_sub(size);
            if room == 0 {
                break;
            }
            told.insert((*route).to_owned(), entry);
        }
        routes.len() - (told.len() - before)
    };
    let (more_failing, more_rendering) = (tell(&failing), tell(&rendering));
    json!({ "routes": told, "moreFailing": more_failing, "moreRendering": more_rendering })
}

fn one(progress: &Progress) -> Value {
    let Progress { pages, waiting, failing, failing_such_as, .. } = progress;
    let such_as = failing_such_as.as_ref().map(|(page, why)| json!({ "page": cut(page), "why": cut(why) }));
    json!({ "pages": pages, "waiting": waiting, "failing": failing, "suchAs": such_as })
}

fn cut(text: &str) -> String {
    if text.chars().count() <= TEXT_MOST {
        return text.to_owned();
    }
    text.chars().take(TEXT_MOST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(why: &str) -> Progress {
        let such_as = Some(("shop.example.com/1".into(), why.into()));
        Progress { pages: 3, failing: 2, failing_such_as: such_as, ..Progress::default() }
    }

    #[test]
    fn only_what_is_not_finished_is_told() {
        let rendering = Progress { pages: 3, waiting: 1, ..Progress::default() };
        let done = Progress { pages: 3, ..Progress::default() };
        let failing = failing("the application answered 500");
        let routes = [("shop/done", &done), ("shop/failing", &failing), ("shop/rendering", &rendering)];
        let expected = json!({
            "routes": {
                "shop/failing": { "pages": 3, "waiting": 0, "failing": 2,
                    "suchAs": { "page": "shop.example.com/1", "why": "the application answered 500" } },
                "shop/rendering": { "pages": 3, "waiting": 1, "failing": 0, "suchAs": null },
            },
            "moreFailing": 0, "moreRendering": 0,
        });
        assert_eq!(describe(routes.into_iter()), expected);
    }

    #[test]
    fn it_is_bounded_and_failures_come_first() {
        let failing = failing(&"é".repeat(1_000));
        let rendering = Progress { pages: 3, waiting: 1, ..Progress::default() };
        let names: Vec<String> = (0..2_000).map(|number| format!("shop/page-{number:04}")).collect();
        let all = names
            .iter()
            .enumerate()
            .map(|(number, name)| (name.as_str(), if number % 2 == 0 { &rendering } else { &failing }));
        let told = describe(all);
        assert!(told["routes"].to_string().len() <= ROOM);
        let routes = told["routes"].as_object().expect("routes");
        assert!(routes.values().all(|route| route["failing"] == 2), "there is no room for others");
        assert!(routes.len() > 50, "{}", routes.len());
        assert_eq!(told["moreFailing"], 1_000 - routes.len());
        assert_eq!(told["moreRendering"], 1_000);
    }
}
