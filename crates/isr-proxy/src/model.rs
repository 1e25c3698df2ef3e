//! Replicas as a model: three of them, the store that they share and its log, on a simulated clock.
//!
//! What runs is the product's own code, from the request of a visitor to the answer: [`respond`](crate::respond::respond),
//! renders, pages, the disk, the following of the log. Imagined are the application ([`site`]), the store ([`store`]) and the
//! network between a replica and the store ([`link`]), which delays, loses and cuts as chance has it. The clock stands
//! still while anybody has something to do, so that minutes take milliseconds.
//!
//! Held against it are the promises ([`world`]): no replica serves a page from before an acknowledged purge as fresh; one
//! that has the whole log and is sure of what it knows does not serve what was purged hard at all; visitors see no error and do not wait for the
//! store; and when all is well again all replicas agree without a restart.
//!
//! What happens is left to chance ([`chance`]), or written down step by step where chance would seldom come to it ([`written`]).

mod chance;
mod link;
mod site;
pub(crate) mod store;
mod world;
mod written;

use chance::Trouble;
use tokio::task::LocalSet;

/// Histories of each kind, of some 80 s each; `HISTORIES` says another number, and `SEED` the first.
const HISTORIES: u64 = 50;

fn histories(trouble: Trouble) {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let first = number("SEED").unwrap_or_default();
    for seed in first..first + number("HISTORIES").unwrap_or(HISTORIES) {
        run(seed, async { chance::history(seed, trouble).await });
    }
}

/// On a clock of its own, by one thread.
fn run(seed: u64, history: impl Future<Output = ()>) {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(LocalSet::new().run_until(history));
}

#[test]
fn replicas_agree_while_all_is_well() {
    histories(Trouble { is_restarted: true, ..Trouble::default() });
}

#[test]
fn replicas_agree_over_messages_that_are_late_or_lost() {
    histories(Trouble { loses_messages: true, is_restarted: true, ..Trouble::default() });
}

#[test]
fn replicas_agree_when_one_is_cut_off_and_comes_back() {
    histories(Trouble { cuts_off: true, loses_messages: true, is_restarted: true, ..Trouble::default() });
}

#[test]
fn replicas_agree_over_a_store_that_loses_its_data() {
    histories(Trouble { loses_data: true, cuts_off: true, is_restarted: true, ..Trouble::default() });
}

#[test]
fn replicas_agree_over_a_log_that_is_too_short() {
    histories(Trouble { forgets: true, is_restarted: true, cuts_off: true, ..Trouble::default() });
}

#[test]
fn replicas_with_disks_agree_when_they_return() {
    histories(Trouble { has_disks: true, is_restarted: true, cuts_off: true, ..Trouble::default() });
}
