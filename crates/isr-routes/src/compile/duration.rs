//! GEP-2257 durations.

use std::time::Duration;

use isr_api::BackendRollout;

/// Over how long pages turn stale after a rollout, unless the route says otherwise: long enough for pods that have just started to
/// render a site of some thousand pages, and short for pages that name assets which are gone.
const ROLLOUT_OVER: Duration = Duration::from_mins(1);

/// The shortest interval and stale limit. Below it a page is not static in any sense, and every request would render.
const MIN: Duration = Duration::from_secs(1);

/// Parses a duration of a second or more. The error is a phrase whose subject is the field, and ends in what to write.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    match gep_2257(text) {
        Some(duration) if duration >= MIN => Ok(duration),
        Some(_) => Err(format!("`{text}` is shorter than a second: write 1s or more")),
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(format!("`{text}` has no unit: write {text}s for seconds, or {text}m for minutes"))
        }
        None => Err(format!(
            "`{text}` is not a duration: write up to four whole numbers with units h, m, s or ms, such as 10s, 5m or 1h30m"
        )),
    }
}

/// Over how long pages turn stale after a rollout. The error is a phrase that ends in what to write.
pub fn of_rollout(rollout: &BackendRollout) -> Result<Duration, String> {
    let Some(text) = &rollout.over else { return Ok(ROLLOUT_OVER) };
    gep_2257(&text.0)
        .ok_or_else(|| format!("`{}` is no duration: write 1m, or 0s for all pages at once", text.0))
}

/// A GEP-2257 duration, `^([0-9]{1,5}(h|m|s|ms)){1,4}$`, however short.
pub fn gep_2257(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..4 {
        let digits = rest.find(|char: char| !char.is_ascii_digit())?;
        let number: u32 = rest[..digits].parse().ok().filter(|_| digits <= 5)?;
        rest = &rest[digits..];
        let (unit, after) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)].into_iter().find_map(
            |(unit, millis)| rest.strip_prefix(unit).map(|after| (Duration::from_millis(millis), after)),
        )?;
        total += unit * number;
        rest = after;
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn durations() {
        let table = [
            ("10s", Ok(10_000)),
            ("1000ms", Ok(1000)),
            ("1h30m", Ok(5_400_000)),
            ("1h1m1s1ms", Ok(3_661_001)),
            ("99999h", Ok(99_999 * 3_600_000)),
            ("10", Err("write 10s")),
            ("0s", Err("write 1s or more")),
            ("999ms", Err("write 1s or more")),
            ("1.5h", Err("such as 10s")),
            ("", Err("such as 10s")),
            ("s", Err("such as 10s")),
            ("10 s", Err("such as 10s")),
            ("10S", Err("such as 10s")),
            ("-10s", Err("such as 10s")),
            ("100000s", Err("such as 10s")),
            ("1s1s1s1s1s", Err("such as 10s")),
            ("1d", Err("such as 10s")),
            ("١s", Err("such as 10s")),
        ];
        for (text, expected) in table {
            match (parse(text), expected) {
                (Ok(duration), Ok(millis)) => assert_eq!(duration, Duration::from_millis(millis), "{text}"),
                (Err(message), Err(fix)) => assert!(message.contains(fix), "{text}: {message}"),
                (got, expected) => panic!("{text}: {got:?} instead of {expected:?}"),
            }
        }
    }
}
