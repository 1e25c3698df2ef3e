//! HTTP dates (RFC 9110 §5.6.7): the three formats, without regard to case and to the day of the week.
//!
//! RFC 9111 §4.2 asks caches to match dates without regard to case, and a wrong weekday does not change the instant. All
//! else is strict: a date that is nearly right (`UTC`, a missing comma, one digit for the hour) is no date.

use crate::{Seconds, Timestamp};

/// The instant that a date names; those before 1970 are the epoch. `None` when the text is not an HTTP date.
///
/// A two-digit year (RFC 850 format) is in the century that puts it between 1970 and 2069.
pub(crate) fn parse(text: &[u8]) -> Option<Timestamp> {
    match text.iter().position(|&byte| byte == b',') {
        Some(3) => imf_fixdate(text),
        Some(comma) => rfc850(text, comma),
        None => asctime(text),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Timestamp> {
    let [w1, w2, w3, b',', b' ', d1, d2, b' ', m1, m2, m3, b' ', y1, y2, y3, y4, b' ', time @ ..] = text
    else {
        return None;
    };
    short_weekday(&[*w1, *w2, *w3])?;
    let (year, day) = (number(&[*y1, *y2, *y3, *y4])?, number(&[*d1, *d2])?);
    instant(year, month(&[*m1, *m2, *m3])?, day, before_zone(time)?)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8], comma: usize) -> Option<Timestamp> {
    let (day_name, rest) = text.split_at(comma);
    let [b',', b' ', d1, d2, b'-', m1, m2, m3, b'-', y1, y2, b' ', time @ ..] = rest else { return None };
    LONG_WEEKDAYS.iter().find(|name| name.eq_ignore_ascii_case(day_name))?;
    let (year, day) = (number(&[*y1, *y2])?, number(&[*d1, *d2])?);
    let year = if year < 70 { 2000 + year } else { 1900 + year };
    instant(year, month(&[*m1, *m2, *m3])?, day, before_zone(time)?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<Timestamp> {
    let [w1, w2, w3, b' ', m1, m2, m3, b' ', d1, d2, b' ', time @ .., b' ', y1, y2, y3, y4] = text else {
        return None;
    };
    short_weekday(&[*w1, *w2, *w3])?;
    let tens = if *d1 == b' ' { b'0' } else { *d1 };
    instant(number(&[*y1, *y2, *y3, *y4])?, month(&[*m1, *m2, *m3])?, number(&[tens, *d2])?, time)
}

fn instant(year: u64, month: u64, day: u64, time: &[u8]) -> Option<Timestamp> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    // Second 60 is a leap second, which the grammar allows.
    if !(1..=days_in(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let Some(days) = days_since_epoch(year, month, day) else { return Some(Timestamp(0)) };
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp(seconds * 1000))
}

/// A date as it is to be written: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn format(moment: Seconds) -> [u8; 29] {
    let seconds = moment.get();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years from March again, counted from the last year that ended a cycle of 400, in which there are 146,097 days.
    let day_of_cycle = (days + 719_468) % 146_097;
    let leap_days = day_of_cycle / 1460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = (days + 719_468) / 146_097 * 400 + year_of_cycle + u32::from(month < 2);

    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    text[..3].copy_from_slice(&WEEKDAYS[days as usize % 7]);
    text[8..11].copy_from_slice(&MONTHS[month as usize]);
    for (at, number) in [
        (5, day),
        (12, year / 100),
        (14, year % 100),
        (17, second / 3600),
        (20, second / 60 % 60),
        (23, second % 60),
    ] {
        text[at..at + 2].copy_from_slice(&TWO_DIGITS[number as usize % TWO_DIGITS.len()]);
    }
    text
}

/// The numbers below a hundred, and room up to a power of two: where a number is cut to it, no division is needed.
const TWO_DIGITS: [[u8; 2]; 128] = {
    let mut texts = [[b'0'; 2]; 128];
    let mut number = 0;
    while number < 100_u8 {
        texts[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    texts
};

/// Days since 1970-01-01 in the Gregorian calendar; `None` for earlier ones.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    // Counting years from March puts the leap day last, so that the days before a month follow one formula.
    let shifted = if month > 2 { year } else { year.checked_sub(1)? };
    let month_from_march = (month + 9) % 12;
    let leap_days = shifted / 4 - shifted / 100 + shifted / 400;
    let days = shifted * 365 + leap_days + (month_from_march * 153 + 2) / 5 + day;
    // The same count for 1970-01-01.
    days.checked_sub(719_469)
}

fn days_in(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn before_zone(time: &[u8]) -> Option<&[u8]> {
    let (time, zone) = time.split_at_checked(8)?;
    zone.eq_ignore_ascii_case(b" GMT").then_some(time)
}

fn month(name: &[u8]) -> Option<u64> {
    (1..).zip(MONTHS).find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(month, _)| month)
}

fn short_weekday(name: &[u8]) -> Option<()> {
    WEEKDAYS.iter().any(|known| known.eq_ignore_ascii_case(name)).then_some(())
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

const MONTHS: [[u8; 3]; 12] = [
    *b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov",
    *b"Dec",
];

/// From the day of the epoch on.
const WEEKDAYS: [[u8; 3]; 7] = [*b"Thu", *b"Fri", *b"Sat", *b"Sun", *b"Mon", *b"Tue", *b"Wed"];

const LONG_WEEKDAYS: [&[u8]; 7] =
    [b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday", b"sunday"];
