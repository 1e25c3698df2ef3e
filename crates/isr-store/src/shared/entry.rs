//! What an entry of the log says, in the fields of a stream: what it reaches, its mark, and a digest of all that.

use isr_cache::{Epoch, Invalidation, Mode, Reach};

use super::server::digest;
use super::text;

/// The fields of an entry.
pub(super) struct Entry<'i> {
    /// Whether `reach` names a group or is a selector: `group` or `selected`.
    pub(super) kind: &'static str,
    pub(super) mode: &'static str,
    pub(super) reach: &'i [u8],
    /// The epoch of the invalidation, in digits.
    pub(super) mark: String,
}

impl Entry<'_> {
    /// A digest of what it says.
    pub(super) fn sum(&self) -> String {
        sum(self.kind.as_bytes(), self.mode.as_bytes(), self.reach, self.mark.as_bytes())
    }
}

pub(super) fn write(Invalidation { reach, mode, epoch }: &Invalidation) -> Entry<'_> {
    let (kind, reach) = match reach {
        Reach::Group(group) => ("group", group.as_bytes()),
        Reach::Selected(selector) => ("selected", &**selector),
    };
    let mode = match mode {
        Mode::Hard => "hard",
        Mode::Soft => "soft",
    };
    Entry { kind, mode, reach, mark: text(*epoch) }
}

/// What the fields of an entry say, if they are whole. Fields are told by their names.
pub(super) fn read(field: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Invalidation> {
    let (kind, mode, reach, mark) = (field("kind")?, field("mode")?, field("reach")?, field("mark")?);
    if field("sum")? != sum(&kind, &mode, &reach, &mark).as_bytes() {
        return None;
    }
    let reach = match &*kind {
        b"group" => Reach::Group(std::str::from_utf8(&reach).ok()?.into()),
        b"selected" => Reach::Selected(reach.into()),
        _ => return None,
    };
    let mode = match &*mode {
        b"hard" => Mode::Hard,
        b"soft" => Mode::Soft,
        _ => return None,
    };
    let epoch = Epoch(std::str::from_utf8(&mark).ok()?.parse().ok()?);
    Some(Invalidation { reach, mode, epoch })
}

pub(super) fn sum(kind: &[u8], mode: &[u8], reach: &[u8], mark: &[u8]) -> String {
    // Of these only what is reached may hold a 0, and it is between others of few forms.
    digest(&[kind, mode, reach, mark].join(&0))
}
