//! What `Prerendered` says: whether the pages are there that the route wants rendered before anybody asks. Pure.
//!
//! Pages that are rendered anew after a purge or in a new proxy are no news: the condition stays what it was until they are there,
//! or one of them fails. Nothing here makes a route unready, because the old pages are served.

use isr_api::{condition, reason};
use isr_routes::Report;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{FALSE, Said, TRUE, UNKNOWN};
use crate::acknowledge::{Acknowledgement, Answers, Pod, Table, UnfinishedRoute};

/// What the ready proxies say about the pages of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// None of them has one left to render.
    There,
    /// One could not render some.
    Failing {
        /// Which one, and how many others besides.
        pod: String,
        others: usize,
        /// What it says.
        route: UnfinishedRoute,
    },
    /// None fails, and one has not rendered all of them.
    Rendering { pod: String },
    /// One does not say, in a clause: it may fail.
    Untold { why: String },
    /// One does not say, in a clause: it is rendering, or does not know yet.
    NotYetTold { why: String },
}

impl Pages {
    /// What is said about the route of this `namespace/name`, which is in `table` as it is since the generation `since`. Of another
    /// form of it nothing counts.
    pub(crate) fn of(route: &str, answers: &Answers, table: Table<'_>, since: u64) -> Self {
        let mut failing: Vec<(&Pod, &UnfinishedRoute)> = Vec::new();
        let mut others = Self::There;
        for (pod, answer) in &answers.0 {
            let says = match answer.as_ref().map(|answer| answer.prerendering.as_ref()) {
                Err(error) => Self::NotYetTold { why: format!("{pod} does not say how far it is: {error}") },
                Ok(_) if !answer.as_ref().is_ok_and(|answer| answer.serves(table, since)) => continue,
                Ok(None) => Self::NotYetTold { why: format!("{pod} does not say how far it is") },
                Ok(Some(unfinished)) => match unfinished.routes.get(route) {
                    Some(known) if known.failing > 0 => {
                        failing.push((pod, known));
                        continue;
                    }
                    Some(_) => Self::Rendering { pod: pod.to_string() },
                    None if unfinished.more_failing > 0 => {
                        let more = unfinished.more_failing;
                        Self::Untold {
                            why: format!("pages of {more} more routes fail in {pod} than it names"),
                        }
                    }
                    None if unfinished.more_rendering > 0 => {
                        let more = unfinished.more_rendering;
                        Self::NotYetTold {
                            why: format!("{pod} is rendering {more} more routes than it names"),
                        }
                    }
                    None => continue,
                },
            };
            // Who may fail is named before who is rendering.
            if others == Self::There || matches!(says, Self::Untold { .. }) {
                others = says;
            }
        }
        let Some((pod, route)) = failing.first() else { return others };
        Self::Failing { pod: pod.to_string(), others: failing.len() - 1, route: (*route).clone() }
    }
}

/// What the condition says of a route in force. `before` is what it said of the same generation.
pub(super) fn prerendered(
    report: &Report,
    acknowledgement: &Acknowledgement,
    pages: &Pages,
    before: Option<&Condition>,
) -> Said {
    let unknown = |reason, message: String| Said { status: UNKNOWN, reason, message };
    let pending = |why: &str| unknown(reason::PENDING, format!("Its pages may not all be there: {why}."));
    let stays = |why: &str| before.and_then(kept).unwrap_or_else(|| pending(why));
    if !report.accepted {
        let message = "No page is rendered before somebody asks for it, because the route is not accepted.";
        return unknown(reason::NOT_ACCEPTED, message.to_owned());
    }
    if let Pages::Failing { pod, others, route } = pages {
        return Said { status: FALSE, reason: reason::PAGES_FAILING, message: failing(pod, *others, route) };
    }
    match (acknowledgement, pages) {
        (Acknowledgement::NoReadyProxies, _) => {
            let message = "No proxy is ready, so none was asked: look at the proxies' pods.".to_owned();
            unknown(reason::NO_READY_PROXIES, message)
        }
        (Acknowledgement::Pending { .. } | Acknowledgement::Rejected { .. }, _) => {
            stays("not every ready proxy serves the route")
        }
        (_, Pages::Untold { why }) => pending(why),
        (_, Pages::NotYetTold { why }) => stays(why),
        (_, Pages::Rendering { pod }) => {
            let was_there = before.filter(|before| before.status == TRUE);
            was_there.and_then(kept).unwrap_or_else(|| pending(&format!("{pod} is rendering them")))
        }
        (_, Pages::There | Pages::Failing { .. }) => Said {
            status: TRUE,
            reason: reason::PRERENDERED,
            message: "No proxy has a page left to render.".to_owned(),
        },
    }
}

/// In the past, because it stays as it is until something else is true: how many fail now is told by the proxies.
fn failing(pod: &str, others: usize, route: &UnfinishedRoute) -> String {
    let UnfinishedRoute { pages, failing, such_as } = route;
    let elsewhere = match others {
        0 => String::new(),
        1 => " (and 1 other proxy)".to_owned(),
        others => format!(" (and {others} other proxies)"),
    };
    let example = such_as.as_ref().map_or_else(String::new, |such_as| {
        format!(", such as {}: {}", such_as.page, such_as.why.trim_end_matches('.'))
    });
    format!(
        "{pod}{elsewhere} could not render {failing} of {pages} pages{example}. It tries again, visitors get the old pages meanwhile, and its admin path /routes says how it is now."
    )
}

/// What was said before, to be said again.
fn kept(before: &Condition) -> Option<Said> {
    let status = [TRUE, FALSE, UNKNOWN].into_iter().find(|status| *status == before.status)?;
    let reasons = [reason::PRERENDERED, reason::PAGES_FAILING, reason::PENDING];
    let reason = reasons.into_iter().find(|reason| *reason == before.reason)?;
    Some(Said { status, reason, message: before.message.clone() })
}

/// What it said of this generation.
pub(super) fn before(conditions: &[Condition], generation: Option<i64>) -> Option<&Condition> {
    conditions
        .iter()
        .find(|known| known.type_ == condition::PRERENDERED && known.observed_generation == generation)
}

#[cfg(test)]
mod tests;
