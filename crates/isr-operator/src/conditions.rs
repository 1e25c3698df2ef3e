//! What the status of a route says, as a function of what is known.
//!
//! The rule above all others: `Programmed=True` is a sentence about the proxies, and only they can say it.

mod prerendered;

use isr_api::{IsrRouteStatus, condition, reason};
use isr_routes::{Condition as Judged, Problem, Report, Severity};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::acknowledge::Acknowledgement;
pub(crate) use prerendered::Pages;

/// Characters of a message, at most: what people read in a terminal. (The API allows 32,768.)
const MESSAGE_MOST: usize = 2048;

pub(crate) const TRUE: &str = "True";
pub(crate) const FALSE: &str = "False";
pub(crate) const UNKNOWN: &str = "Unknown";

/// What one condition says.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Said {
    /// The condition of this name; `before` are the conditions as they are.
    pub(crate) fn into_condition(
        self,
        name: &str,
        generation: Option<i64>,
        before: &[Condition],
        now: &Time,
    ) -> Condition {
        let known = before.iter().find(|known| known.type_ == name && known.status == self.status);
        Condition {
            type_: name.to_owned(),
            status: self.status.to_owned(),
            reason: self.reason.to_owned(),
            message: cut(self.message),
            observed_generation: generation,
            last_transition_time: known
                .map_or_else(|| now.clone(), |known| known.last_transition_time.clone()),
        }
    }
}

/// The status of a route.
///
/// `generation` is the `metadata.generation` that was compiled, `pages` what the proxies say of those that the route wants to be
/// rendered before anybody asks, if it does, `before` the status as it is; a condition whose status does not change keeps the time
/// of its last transition.
pub(crate) fn status(
    generation: Option<i64>,
    report: &Report,
    acknowledgement: &Acknowledgement,
    pages: Option<&Pages>,
    before: Option<&IsrRouteStatus>,
    now: &Time,
) -> IsrRouteStatus {
    let before = before.map(|before| &*before.conditions).unwrap_or_default();
    let accepted = accepted(report, "The route is valid, and its hostnames and path are its own.");
    let resolved = resolved(report);
    let programmed = programmed(report, acknowledgement);
    let ready = ready(&[&accepted, &resolved, &programmed]);
    let prerendered = pages.map(|pages| {
        let known = prerendered::before(before, generation);
        prerendered::prerendered(report, acknowledgement, pages, known)
    });
    let all = [
        (condition::ACCEPTED, Some(accepted)),
        (condition::RESOLVED_REFS, Some(resolved)),
        (condition::PROGRAMMED, Some(programmed)),
        (condition::PRERENDERED, prerendered),
        (condition::READY, Some(ready)),
    ];
    let conditions = all
        .into_iter()
        .filter_map(|(name, said)| Some(said?.into_condition(name, generation, before, now)))
        .collect();
    IsrRouteStatus { observed_generation: generation, conditions }
}

/// Whether two statuses say the same to who acts on them. How many proxies a true condition counts, which of them a waiting one
/// names, and which pages fail, is told when something else is; otherwise each scaling of the proxies would write the status of
/// every route, and an application that is away that of its routes with each try.
pub(crate) fn mean_the_same(one: &IsrRouteStatus, other: &IsrRouteStatus) -> bool {
    let mean_the_same = |one: &Condition| {
        let Some(other) = find(other, &one.type_) else { return false };
        let counts_pods = one.type_ == condition::PROGRAMMED || one.type_ == condition::READY;
        let is_bare = one.type_ == condition::PRERENDERED
            || counts_pods && [reason::PROGRAMMED, reason::READY, reason::PENDING].contains(&&*one.reason);
        (&one.status, &one.reason, one.observed_generation)
            == (&other.status, &other.reason, other.observed_generation)
            && (is_bare || one.message == other.message)
    };
    one.observed_generation == other.observed_generation
        && one.conditions.len() == other.conditions.len()
        && one.conditions.iter().all(mean_the_same)
}

/// The conditions of a status whose transition is an event: readiness at each, prerendering when the proxies have come to know.
pub(crate) fn news<'s>(before: Option<&IsrRouteStatus>, status: &'s IsrRouteStatus) -> Vec<&'s Condition> {
    let is_new = |now: &&Condition| {
        let was = before.and_then(|before| find(before, &now.type_)).map(|was| &was.status);
        let is_told = match &*now.type_ {
            condition::READY => true,
            condition::PRERENDERED => now.status != UNKNOWN,
            _ => false,
        };
        is_told && was != Some(&now.status)
    };
    status.conditions.iter().filter(is_new).collect()
}

/// A condition of a status.
pub(crate) fn find<'s>(status: &'s IsrRouteStatus, name: &str) -> Option<&'s Condition> {
    status.conditions.iter().find(|condition| condition.type_ == name)
}

/// What `Accepted` says of something that is right in this way unless the report says otherwise.
pub(crate) fn accepted(report: &Report, rightly: &str) -> Said {
    let warnings = || {
        let of_route = report.problems.iter().filter(|problem| problem.severity == Severity::Warning);
        let sentences: Vec<String> = of_route.map(sentence).collect();
        if sentences.is_empty() { rightly.to_owned() } else { sentences.join(" ") }
    };
    first_error(report, Judged::Accepted).unwrap_or_else(|| Said {
        status: TRUE,
        reason: reason::ACCEPTED,
        message: warnings(),
    })
}

fn resolved(report: &Report) -> Said {
    first_error(report, Judged::ResolvedRefs).unwrap_or_else(|| {
        if report.accepted {
            let message = "The Service and the Secrets that the route names can be used.".to_owned();
            Said { status: TRUE, reason: reason::RESOLVED_REFS, message }
        } else {
            let message = "The route is not accepted, so what it names was not looked at.".to_owned();
            Said { status: UNKNOWN, reason: reason::PENDING, message }
        }
    })
}

fn programmed(report: &Report, acknowledgement: &Acknowledgement) -> Said {
    let (status, reason, message) = match acknowledgement {
        _ if !report.accepted => (
            FALSE,
            reason::NOT_ACCEPTED,
            "The route is in no route table, because it is not accepted.".to_owned(),
        ),
        Acknowledgement::NoReadyProxies => {
            let message = "No proxy is ready, so none was asked: look at the proxies' pods.".to_owned();
            (UNKNOWN, reason::NO_READY_PROXIES, message)
        }
        Acknowledgement::Served { ready: 1 } => {
            (TRUE, reason::PROGRAMMED, "Served by the one ready proxy.".to_owned())
        }
        Acknowledgement::Served { ready } => {
            (TRUE, reason::PROGRAMMED, format!("Served by all {ready} ready proxies."))
        }
        Acknowledgement::Pending { ready, serving, example } => {
            let message = format!("{serving} of {ready} ready proxies serve it; {example}.");
            (FALSE, reason::PENDING, message)
        }
        Acknowledgement::Rejected { pod, message } => {
            (FALSE, reason::REJECTED_BY_PROXY, format!("{pod} cannot put it in force: {message}"))
        }
    };
    Said { status, reason, message }
}

/// What a person waits for: true if all is, else what the first says that is not.
fn ready(others: &[&Said]) -> Said {
    match others.iter().find(|said| said.status != TRUE) {
        None => Said {
            status: TRUE,
            reason: reason::READY,
            message: others.last().map(|programmed| programmed.message.clone()).unwrap_or_default(),
        },
        Some(said) => Said { status: said.status, reason: said.reason, message: said.message.clone() },
    }
}

fn first_error(report: &Report, judged: Judged) -> Option<Said> {
    let mut errors = report
        .problems
        .iter()
        .filter(|problem| problem.condition == judged && problem.severity == Severity::Error);
    let first = errors.next()?;
    let more = match errors.count() {
        0 => String::new(),
        more => format!(" (And {more} more: see `kube-isr check`.)"),
    };
    Some(Said { status: FALSE, reason: first.reason, message: sentence(first) + &more })
}

/// `spec.path: …` as a sentence.
fn sentence(problem: &Problem) -> String {
    let end = if problem.message.ends_with(['.', '!', '?', '`']) { "" } else { "." };
    format!("{}: {}{end}", problem.field, problem.message)
}

fn cut(message: String) -> String {
    if message.chars().count() <= MESSAGE_MOST {
        return message;
    }
    message.chars().take(MESSAGE_MOST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
