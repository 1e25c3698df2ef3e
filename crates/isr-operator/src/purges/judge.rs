//! What a purge is, as a function of what is known, and what its status says. Pure.
//!
//! The rule above all others: `Complete=True` is a sentence about the proxies, and only they can say it.

use std::sync::Arc;

use isr_api::{IsrPurge, IsrPurgeStatus, PURGE_KIND, condition, reason};
use isr_routes::purges::{Purge, PurgeLog};
use isr_routes::{
    Condition as About, ObjectRef, Problem, Report, RouteTable, Severity, compile_purge, time_to_live,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::acknowledge::{Answer, Answers, Pod};
use crate::conditions::{FALSE, Said, TRUE, UNKNOWN, accepted};
use crate::object::Stored;

/// A purge and how far it is.
pub(super) struct Judged {
    pub(super) stored: Arc<Stored<IsrPurge>>,
    /// The status as it is, or as it was written last.
    before: Option<IsrPurgeStatus>,
    report: Report,
    stage: Stage,
}

/// How far a purge is.
enum Stage {
    /// It makes no sense, so that nothing is done.
    Refused,
    /// It is to be appended to the list.
    New(Purge),
    /// It is in the list.
    Issued,
    /// Every ready proxy has said that it is done.
    Complete,
}

/// Looks at a purge. `written` is its status if the one that the watch shows is older.
pub(super) fn judge(
    stored: &Arc<Stored<IsrPurge>>,
    written: Option<&IsrPurgeStatus>,
    log: Option<&PurgeLog>,
    table: &RouteTable,
) -> Judged {
    let object = &stored.object;
    let before = written.or(object.status.as_ref()).cloned();
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let is_complete = before.as_ref().is_some_and(|before| says(before, condition::COMPLETE) == Some(TRUE));
    let is_issued = log.is_some_and(|log| log.number_of(uid).is_some());
    let (report, stage) = match &stored.unreadable {
        Some(unreadable) => {
            let problem = Problem {
                severity: Severity::Error,
                condition: About::Accepted,
                reason: reason::INVALID,
                field: unreadable.field.clone(),
                message: unreadable.message.clone(),
                other: None,
            };
            (Report { problems: vec![problem], ..unquestioned(object) }, Stage::Refused)
        }
        None if is_complete => (unquestioned(object), Stage::Complete),
        None if is_issued => (unquestioned(object), Stage::Issued),
        None => match compile_purge(object, table, Severity::Error) {
            (report, Some(purge)) => (report, Stage::New(purge)),
            (report, None) => (report, Stage::Refused),
        },
    };
    Judged { stored: Arc::clone(stored), before, report, stage }
}

/// The report of a purge that was looked at before.
fn unquestioned(object: &IsrPurge) -> Report {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let object = ObjectRef::new(PURGE_KIND, &text(&object.metadata.namespace), &text(&object.metadata.name));
    Report { object, accepted: true, problems: Vec::new() }
}

impl Judged {
    pub(super) fn uid(&self) -> &str {
        self.stored.object.metadata.uid.as_deref().unwrap_or_default()
    }

    /// What is to be appended to the list, which it is from now on.
    pub(super) fn issue(&mut self) -> Option<Purge> {
        match std::mem::replace(&mut self.stage, Stage::Issued) {
            Stage::New(purge) => Some(purge),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// Whether the proxies have to be asked about it.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::New(_) | Stage::Issued)
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_done(&self, log: Option<&PurgeLog>, answers: &Answers) -> bool {
        !self.is_under_way()
            || matches!(self.carried_out(log, answers), Carried { example: None, ready: 1.., .. })
    }

    /// The status, if it means something else than before.
    pub(super) fn change(
        &self,
        log: Option<&PurgeLog>,
        answers: &Answers,
        now: &Time,
    ) -> Option<IsrPurgeStatus> {
        let before = self.before.as_ref();
        if matches!(self.stage, Stage::Complete) {
            return None;
        }
        let carried = self.is_under_way().then(|| self.carried_out(log, answers));
        let accepted = accepted(&self.report, "The purge names pages of this namespace's routes.");
        let complete = complete(carried.as_ref());
        let generation = self.stored.object.metadata.generation;
        let known: &[Condition] = before.map(|before| &*before.conditions).unwrap_or_default();
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let status = IsrPurgeStatus {
            observed_generation: generation,
            replicas: carried.as_ref().map(|carried| count(carried.ready)),
            done_replicas: carried.as_ref().map(|carried| count(carried.done)),
            conditions: vec![
                accepted.into_condition(condition::ACCEPTED, generation, known, now),
                complete.clone().into_condition(condition::COMPLETE, generation, known, now),
                Said { reason: ready_reason(&complete), ..complete }.into_condition(
                    condition::READY,
                    generation,
                    known,
                    now,
                ),
            ],
        };
        (before != Some(&status)).then_some(status)
    }

    /// What of a new status is an event: that the purge is done, waits for a proxy, or makes no sense.
    pub(super) fn news<'s>(&self, status: &'s IsrPurgeStatus) -> Option<&'s Condition> {
        let is_refused = says(status, condition::ACCEPTED) == Some(FALSE);
        let told = if is_refused { condition::ACCEPTED } else { condition::COMPLETE };
        let was = self.before.as_ref().and_then(|before| says(before, told));
        let now = status.conditions.iter().find(|now| now.type_ == told)?;
        (now.status != UNKNOWN && was != Some(&now.status)).then_some(now)
    }

    /// When it is to be deleted; `None` before it is finished, and if it is to stay.
    pub(super) fn gone_at(&self) -> Option<Timestamp> {
        let before = self.before.as_ref()?;
        let finished = match self.stage {
            Stage::Complete => transition(before, condition::COMPLETE, TRUE)?,
            Stage::Refused => transition(before, condition::ACCEPTED, FALSE)?,
            Stage::New(_) | Stage::Issued => return None,
        };
        let stays = time_to_live(&self.stored.object.spec).ok().flatten()?;
        finished.checked_add(SignedDuration::try_from(stays).ok()?).ok()
    }

    fn carried_out(&self, log: Option<&PurgeLog>, answers: &Answers) -> Carried {
        let mut carried = Carried { ready: answers.0.len(), ..Carried::default() };
        let Some((log, number)) = log.and_then(|log| Some((log, log.number_of(self.uid())?))) else {
            return carried;
        };
        for (pod, answer) in &answers.0 {
            match lacks(pod, answer, &log.id, number) {
                None => carried.done += 1,
                Some(why) => {
                    carried.example.get_or_insert(why);
                }
            }
        }
        carried
    }
}

/// What the ready proxies say about a purge.
#[derive(Debug, Default)]
struct Carried {
    ready: usize,
    done: usize,
    /// What one says that has not done it, in a clause.
    example: Option<String>,
}

/// Why a proxy has not carried out a purge, in a clause; nothing if it has.
fn lacks(pod: &Pod, answer: &Result<Answer, String>, log: &str, number: u64) -> Option<String> {
    match answer {
        Err(error) => Some(format!("{pod} does not say whether it has: {error}")),
        Ok(Answer { purges, .. }) if purges.log == log && purges.position >= number => None,
        Ok(Answer { purges, .. }) => Some(match &purges.problem {
            Some(problem) => format!("{pod} cannot, and tries again: {problem}"),
            None => format!("{pod} has not yet"),
        }),
    }
}

fn complete(carried: Option<&Carried>) -> Said {
    let (status, reason, message) = match carried {
        None => {
            (FALSE, reason::NOT_ACCEPTED, "Nothing was done, because the purge is not accepted.".to_owned())
        }
        Some(Carried { ready: 0, .. }) => {
            let message = "No proxy is ready, so none was asked: look at the proxies' pods.".to_owned();
            (UNKNOWN, reason::NO_READY_PROXIES, message)
        }
        Some(Carried { ready: 1, example: None, .. }) => {
            (TRUE, reason::COMPLETE, "Done by the one ready proxy.".to_owned())
        }
        Some(Carried { ready, example: None, .. }) => {
            (TRUE, reason::COMPLETE, format!("Done by all {ready} ready proxies."))
        }
        Some(Carried { ready, done, example: Some(example) }) => {
            (FALSE, reason::PENDING, format!("{done} of {ready} ready proxies have done it; {example}."))
        }
    };
    Said { status, reason, message }
}

fn ready_reason(complete: &Said) -> &'static str {
    if complete.status == TRUE { reason::READY } else { complete.reason }
}

fn says<'s>(status: &'s IsrPurgeStatus, name: &str) -> Option<&'s str> {
    status.conditions.iter().find(|known| known.type_ == name).map(|known| &*known.status)
}

/// Since when a condition says this.
fn transition(status: &IsrPurgeStatus, name: &str, said: &str) -> Option<Timestamp> {
    let condition = status.conditions.iter().find(|known| known.type_ == name && known.status == said)?;
    Some(condition.last_transition_time.0)
}

#[cfg(test)]
mod tests;
