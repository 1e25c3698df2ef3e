use super::*;

const PERIOD: Duration = Duration::from_mins(1);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn key(name: &str) -> Key {
    ("shop".into(), name.into())
}

fn wanted<const N: usize>(named: [(&str, &str); N]) -> BTreeMap<Key, BTreeSet<String>> {
    let mut wanted: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    for (secret, field) in named {
        wanted.entry(key(secret)).or_default().insert(field.into());
    }
    wanted
}

fn found(value: &str) -> Outcome {
    let data = BTreeMap::from([("token".to_owned(), value.as_bytes().to_vec())]);
    Outcome::Found(Secret { data })
}

fn names(due: &[Read]) -> Vec<&str> {
    due.iter().map(|read| read.secret.1.as_str()).collect()
}

/// A schedule that wants the key `token` of the Secret `isr`, which was found at 0 s and is read next at 30 s.
fn settled() -> Schedule {
    let mut schedule = Schedule::new(Some(PERIOD));
    schedule.want(wanted([("isr", "token")]), &BTreeSet::new(), Duration::ZERO);
    assert!(schedule.learn(&key("isr"), found("one"), Duration::ZERO, 0.5));
    schedule
}

fn value(schedule: &Schedule) -> Option<String> {
    let mut references = References::default();
    schedule.fill(&mut references);
    let secret = references.secrets.get(&key("isr"))?;
    Some(String::from_utf8_lossy(&secret.data["token"]).into_owned())
}

fn wrong(schedule: &Schedule) -> Option<String> {
    let mut references = References::default();
    schedule.fill(&mut references);
    references.unreadable.remove(&key("isr"))
}

#[test]
fn a_new_secret_is_read_at_once_and_exactly() {
    let mut schedule = Schedule::new(Some(PERIOD));
    assert!(schedule.is_complete());
    schedule.want(wanted([("isr", "token"), ("isr", "previous")]), &BTreeSet::new(), seconds(3.0));
    assert!(!schedule.is_complete());
    let due = schedule.due(seconds(3.0));
    let keys = ["previous".to_owned(), "token".to_owned()].into();
    assert_eq!(due, [Read { secret: key("isr"), keys, is_exact: true }]);
    assert!(schedule.learn(&key("isr"), found("one"), seconds(3.0), 0.5));
    assert!(schedule.is_complete());
    assert_eq!(value(&schedule).as_deref(), Some("one"));
}

#[test]
fn the_first_round_is_spread_and_then_each_secret_keeps_its_moment() {
    let mut schedule = settled();
    assert_eq!(schedule.next(), Some(seconds(30.0)));
    assert_eq!(names(&schedule.due(seconds(29.9))), [""; 0]);
    assert!(!schedule.due(seconds(30.0))[0].is_exact);
    assert!(!schedule.learn(&key("isr"), found("one"), seconds(30.0), 0.9), "nothing changed");
    assert_eq!(schedule.next(), Some(seconds(90.0)));
}

#[test]
fn a_thousand_secrets_are_a_steady_trickle() {
    let mut schedule = Schedule::new(Some(PERIOD));
    let all: BTreeMap<Key, BTreeSet<String>> =
        (0..1000).map(|number| (key(&format!("isr-{number}")), ["token".to_owned()].into())).collect();
    schedule.want(all, &BTreeSet::new(), Duration::ZERO);
    let mut random = fastrand::Rng::with_seed(7);
    let mut read_by_second = Vec::new();
    for second in 0..=300 {
        let now = seconds(f64::from(second));
        let due = schedule.due(now);
        for read in &due {
            schedule.learn(&read.secret, found("one"), now, random.f64());
        }
        read_by_second.push(due.len());
    }
    assert_eq!(read_by_second[0], 1000);
    for minute in read_by_second[1..].chunks_exact(60) {
        let reads: usize = minute.iter().sum();
        assert!(
            reads <= 1060,
            "{reads} reads in a minute are more than one a minute and Secret, and one a second"
        );
        assert!(minute.iter().all(|&reads| reads < 50), "no crowds: {minute:?}");
    }
}

#[test]
fn a_change_of_a_route_reads_its_secret_again_at_once() {
    let mut schedule = settled();
    schedule.want(wanted([("isr", "token")]), &[key("isr")].into(), seconds(10.0));
    assert!(schedule.due(seconds(10.0))[0].is_exact);
    assert!(schedule.learn(&key("isr"), found("two"), seconds(10.0), 0.5));
    assert_eq!(value(&schedule).as_deref(), Some("two"));

    schedule.want(wanted([("isr", "token"), ("isr", "previous")]), &BTreeSet::new(), seconds(11.0));
    assert_eq!(schedule.due(seconds(11.0))[0].keys.len(), 2);
    assert_eq!(value(&schedule).as_deref(), Some("two"), "what is known stays known meanwhile");
}

#[test]
fn a_secret_that_no_route_names_is_forgotten() {
    let mut schedule = settled();
    schedule.want(wanted([]), &BTreeSet::new(), seconds(10.0));
    assert_eq!(schedule.next(), None);
    assert_eq!(value(&schedule), None);
}

#[test]
fn a_missing_secret_is_looked_for_soon_and_then_ever_less_often() {
    let mut schedule = Schedule::new(Some(PERIOD));
    schedule.want(wanted([("isr", "token")]), &BTreeSet::new(), Duration::ZERO);
    let mut now = Duration::ZERO;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        schedule.learn(&key("isr"), Outcome::Gone, now, 0.5);
        let next = schedule.next().expect("it is looked for");
        pauses.push(next.saturating_sub(now).as_secs());
        now = next;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(schedule.is_complete(), "that it does not exist is known");
    assert!(schedule.learn(&key("isr"), found("one"), now, 0.5));
    assert_eq!(value(&schedule).as_deref(), Some("one"));
}

#[test]
fn a_deleted_secret_is_gone_but_one_that_cannot_be_read_keeps_its_value() {
    let mut schedule = settled();
    assert!(!schedule.learn(&key("isr"), Outcome::Failed(None), seconds(30.0), 0.5));
    assert!(!schedule.learn(&key("isr"), Outcome::Failed(Some("500".into())), seconds(90.0), 0.5));
    assert!(!schedule.learn(&key("isr"), Outcome::Refused("grant it".into()), seconds(150.0), 0.5));
    assert_eq!(value(&schedule).as_deref(), Some("one"));
    assert!(schedule.learn(&key("isr"), Outcome::Gone, seconds(210.0), 0.5));
    assert_eq!((value(&schedule), wrong(&schedule)), (None, None));
}

#[test]
fn a_refusal_is_told_if_the_secret_was_never_read() {
    let mut schedule = Schedule::new(Some(PERIOD));
    schedule.want(wanted([("isr", "token")]), &BTreeSet::new(), Duration::ZERO);
    assert!(schedule.learn(&key("isr"), Outcome::Refused("grant it".into()), Duration::ZERO, 0.5));
    assert!(schedule.is_complete());
    assert_eq!(wrong(&schedule).as_deref(), Some("grant it"));
    assert!(schedule.learn(&key("isr"), found("one"), seconds(30.0), 0.5));
    assert_eq!((value(&schedule).as_deref(), wrong(&schedule)), (Some("one"), None));
}

/// Lets every attempt fail this way until the schedule is complete, for ten minutes at most.
fn fail(why: Option<&str>) -> (Schedule, Duration, usize) {
    let mut schedule = Schedule::new(Some(PERIOD));
    schedule.want(wanted([("isr", "token")]), &BTreeSet::new(), Duration::ZERO);
    let (mut now, mut attempts) = (Duration::ZERO, 0);
    while !schedule.is_complete() && now < seconds(600.0) {
        schedule.learn(&key("isr"), Outcome::Failed(why.map(Into::into)), now, 0.5);
        attempts += 1;
        now = schedule.next().expect("it is tried again");
    }
    (schedule, now, attempts)
}

#[test]
fn one_secret_that_the_server_cannot_show_does_not_hold_up_the_table_for_long() {
    let (schedule, now, attempts) = fail(Some("the API server answers 500"));
    assert!(schedule.is_complete());
    assert!((seconds(10.0)..seconds(20.0)).contains(&now), "{now:?}");
    assert_eq!(attempts, 10);
    assert!(wrong(&schedule).expect("it is told").starts_with("the API server answers 500"));
}

#[test]
fn while_the_server_is_away_nothing_is_taken_for_known_and_it_is_not_pestered() {
    let (schedule, _, attempts) = fail(None);
    assert!(!schedule.is_complete());
    assert!(attempts < 320, "{attempts} attempts in ten minutes");
}

#[test]
fn where_secrets_are_watched_nothing_is_read_without_a_reason() {
    let mut schedule = Schedule::new(None);
    schedule.want(wanted([("isr", "token")]), &BTreeSet::new(), Duration::ZERO);
    schedule.learn(&key("isr"), found("one"), Duration::ZERO, 0.5);
    assert_eq!(schedule.next(), None);
    schedule.want(wanted([("isr", "token")]), &[key("isr"), key("another")].into(), seconds(100.0));
    assert_eq!(names(&schedule.due(seconds(100.0))), ["isr"]);
    schedule.learn(&key("isr"), Outcome::Gone, seconds(100.0), 0.5);
    assert_eq!(schedule.next(), None);
}
