//! What the suite's results come to, counted as its own page counts them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A test of the suite.
#[derive(Debug, Deserialize)]
pub struct Test {
    /// Its identifier.
    pub id: String,
    /// What it asserts, in words.
    pub name: String,
    /// How much it weighs.
    #[serde(rename = "kind")]
    pub grade: Grade,
    /// Tests without which this one says nothing.
    pub depends_on: Vec<String>,
}

/// How much a test weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Conformance.
    Required,
    /// What a good cache does beyond that.
    Optimal,
    /// A question without a right answer.
    Check,
}

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    /// A test that it depends on has failed, or was answered with no.
    NotJudged,
}

/// The verdict on each test. A test without a result has failed.
pub fn judge<'t>(tests: &'t [Test], results: &BTreeMap<String, Value>) -> BTreeMap<&'t str, Verdict> {
    let by_id: BTreeMap<&str, &Test> = tests.iter().map(|test| (&*test.id, test)).collect();
    tests.iter().map(|test| (&*test.id, verdict(test, &by_id, results))).collect()
}

fn verdict(test: &Test, tests: &BTreeMap<&str, &Test>, results: &BTreeMap<String, Value>) -> Verdict {
    let holds =
        |id: &String| tests.get(&**id).is_some_and(|test| verdict(test, tests, results) == Verdict::Passed);
    if !test.depends_on.iter().all(holds) {
        return Verdict::NotJudged;
    }
    if results.get(&test.id) == Some(&Value::Bool(true)) { Verdict::Passed } else { Verdict::Failed }
}

/// One line: how many tests of each grade have passed.
pub fn summary(tests: &[Test], verdicts: &BTreeMap<&str, Verdict>) -> String {
    let count = |grade, verdict: Option<Verdict>| {
        let of_grade = tests.iter().filter(|test| test.grade == grade);
        of_grade.filter(|test| verdict.is_none_or(|wanted| verdicts[&*test.id] == wanted)).count()
    };
    let part = |name: &str, grade| {
        let (passed, all) = (count(grade, Some(Verdict::Passed)), count(grade, None));
        format!("{name} {passed}/{all} ({} not judged)", count(grade, Some(Verdict::NotJudged)))
    };
    format!("{}, {}", part("required", Grade::Required), part("optimal", Grade::Optimal))
}
