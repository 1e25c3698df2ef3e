//! What the replicas said, for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::output::Output;
use crate::purge::replica::{Answer, Done, NotDone};

/// Routes named on a line, at most: it is to be read at a glance, and JSON has them all.
const ROUTES_SHOWN: usize = 5;

pub(super) fn print(answers: &[Answer], output: Output, out: &mut impl Write) -> io::Result<()> {
    match output {
        Output::Text => answers.iter().try_for_each(|answer| writeln!(out, "{}", line(answer))),
        Output::Json => writeln!(out, "{:#}", document(answers)),
    }
}

/// One line, whatever a replica answered: what is no text would move the cursor of a terminal.
fn line(Answer { replica, outcome }: &Answer) -> String {
    let line = match outcome {
        Ok(Done { mode, routes, pages, selectors }) => {
            let counted =
                |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
            let shown = routes.iter().take(ROUTES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = match routes.len().saturating_sub(ROUTES_SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let (pages, marks) = (counted(*pages, "page"), counted(*selectors, "mark"));
            format!("{replica} done: {mode}, {pages}, {marks}, of {shown}{more}")
        }
        Err(NotDone { message, .. }) => format!("{replica} not done: {message}"),
    };
    line.replace(char::is_control, " ")
}

fn document(answers: &[Answer]) -> Value {
    let replicas: Vec<Value> = answers
        .iter()
        .map(|Answer { replica, outcome }| {
            let mut about = json!({
                "name": replica.name,
                "address": replica.address,
                "done": outcome.is_ok(),
            });
            match outcome {
                Ok(done) => about["answer"] = json!(done),
                Err(NotDone { status, message }) => {
                    about["status"] = json!(status.map(|status| status.as_u16()));
                    about["message"] = json!(message);
                }
            }
            about
        })
        .collect();
    json!({ "done": answers.iter().all(|answer| answer.outcome.is_ok()), "replicas": replicas })
}
