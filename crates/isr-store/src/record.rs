//! A stored response as bytes: what the tiers behind the memory keep.
//!
//! A record is a head and the bodies that it describes. The head holds the whole key, so that what is found under a digest
//! is never taken for something else, and a digest of each body, so that neither a torn write nor a flipped bit is served.
//! Whatever does not decode is a miss.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use isr_cache::{
    Asked, Coding, Compressed, Epoch, Extra, Governed, Group, Lifetime, Mode, Render, Routed, StoredResponse,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::xxh3_128;

/// The version of everything below. A record of another one is not read.
pub(crate) const FORMAT: u8 = 2;

/// Bytes of the digest that a head begins with: enough against accidents; who could forge one can write the store.
const HEAD_DIGEST: usize = 8;

/// 128 bits.
pub(crate) type Digest = [u8; 16];

/// The digest of a name, a key or a head: 128 bits of SHA-256. Two with the same one are the same.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&Sha256::digest(bytes)[..16]);
    digest
}

/// The digest of a body: 128 bits of XXH3, which shows every accident at a sixth of what SHA-256 takes. It does not show that
/// somebody has made two bodies to have the same one; see [`Described::is`].
fn digest_of_body(bytes: &[u8]) -> Digest {
    xxh3_128(bytes).to_le_bytes()
}

/// Everything of a stored response but its bodies.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) key: Vec<u8>,
    /// The name of its group.
    pub(crate) group: String,
    pub(crate) route: String,
    pub(crate) began: u64,
    /// What began before this epoch is stale, whatever its age.
    pub(crate) soft: u64,
    pub(crate) bodies: Vec<Described>,
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    pub(crate) tags: Vec<String>,
    modified: Option<u64>,
    finished: u64,
    born_stale: bool,
    spread: u8,
    governed: Option<GovernedForm>,
}

/// A body that is kept beside its head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Described {
    /// Position of its coding in [`CODINGS`].
    pub(crate) coding: u8,
    pub(crate) digest: Digest,
    pub(crate) length: u64,
    etag: Option<Vec<u8>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct GovernedForm {
    fresh_for: Duration,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    must_revalidate: bool,
    heuristic: bool,
    initial_age: Duration,
    vary: Vec<String>,
}

/// Positions are part of the format.
const CODINGS: [Coding; 3] = [Coding::Identity, Coding::Gzip, Coding::Brotli];

/// Bytes that are no record, or not the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl Head {
    /// The head of a stored response.
    pub(crate) fn of(key: &[u8], response: &StoredResponse) -> Self {
        let StoredResponse { head, modified, render, group, .. } = response;
        let bodies = response.representations().map(|representation| Described {
            coding: (0..)
                .zip(CODINGS)
                .find(|(_, coding)| *coding == representation.coding)
                .map_or(0, |(at, _)| at),
            digest: digest_of_body(representation.body),
            length: representation.body.len() as u64,
            etag: representation.etag.map(<[u8]>::to_vec),
        });
        let governed = response.governed().map(|governed| GovernedForm {
            fresh_for: governed.lifetime.fresh_for,
            stale_while_revalidate: governed.lifetime.stale_while_revalidate,
            stale_if_error: governed.lifetime.stale_if_error,
            must_revalidate: governed.lifetime.must_revalidate,
            heuristic: governed.lifetime.heuristic,
            initial_age: governed.initial_age,
            vary: governed.vary.iter().map(|name| name.as_str().to_owned()).collect(),
        });
        Self {
            key: key.to_vec(),
            group: group.name().to_string(),
            route: head.route().to_string(),
            began: render.began.0,
            soft: group.watermark().soft.0,
            bodies: bodies.collect(),
            status: head.status().as_u16(),
            fields: head.fields().map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
            tags: response.tags().iter().map(ToString::to_string).collect(),
            modified: modified.map(|modified| Timestamp::from(modified).0),
            finished: render.finished.timestamp().0,
            born_stale: render.born_stale,
            spread: render.spread,
            governed,
        }
    }

    /// As bytes: version, digest of the rest, the rest.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let head = vec![FORMAT; 1 + HEAD_DIGEST];
        // Nothing in a head fails to serialise: no maps, no unknown lengths.
        let mut bytes = postcard::to_extend(self, head).unwrap_or_default();
        if bytes.len() > HEAD_DIGEST {
            let sum = digest(&bytes[1 + HEAD_DIGEST..]);
            bytes[1..=HEAD_DIGEST].copy_from_slice(&sum[..HEAD_DIGEST]);
        }
        bytes
    }

    /// The head that these bytes are.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let (&[FORMAT], rest) = bytes.split_first_chunk::<1>().ok_or(Damaged)? else { return Err(Damaged) };
        let (sum, rest) = rest.split_first_chunk::<HEAD_DIGEST>().ok_or(Damaged)?;
        if digest(rest)[..HEAD_DIGEST] != *sum {
            return Err(Damaged);
        }
        postcard::from_bytes(rest).map_err(|_| Damaged)
    }

    /// The stored response that this head and these bodies are, as a member of `group`, if the key is its own. The group
    /// takes over what the head knows of it.
    pub(crate) fn into_response(
        self,
        key: &[u8],
        group: &Arc<Group>,
        bodies: Vec<Bytes>,
    ) -> Result<StoredResponse, Damaged> {
        if self.key != key || self.group != group.name() || self.bodies.len() != bodies.len() {
            return Err(Damaged);
        }
        let mut described = self.bodies.into_iter().zip(bodies);
        let (identity, body) = described.next().ok_or(Damaged)?;
        if digest_of_body(&body) != identity.digest {
            return Err(Damaged);
        }
        let etag = identity.etag.as_deref().map(HeaderValue::from_bytes).transpose().map_err(|_| Damaged)?;
        let compressed = described.map(|(described, body)| described.compressed(body));
        let compressed: Box<[_]> = compressed.collect::<Result<_, _>>()?;
        let fields: Result<Vec<_>, Damaged> = self
            .fields
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Damaged)?;
                Ok((name, HeaderValue::from_bytes(value).map_err(|_| Damaged)?))
            })
            .collect();
        let governed = self.governed.map(GovernedForm::governed).transpose()?;
        let tags: Box<[Box<str>]> = self.tags.into_iter().map(String::into_boxed_str).collect();
        let (status, fields) = (StatusCode::from_u16(self.status).map_err(|_| Damaged)?, fields?);
        let fields = fields.iter().map(|(name, value)| (name, value));
        group.tag(&tags);
        group.invalidate(Mode::Soft, Epoch(self.soft));
        let head = isr_cache::Head::new(status, &self.route.into(), etag.as_ref(), fields);
        let asked = if governed.is_some() { Asked::never() } else { Asked::not_yet(&head, &body) };
        for made in &compressed {
            asked.ask(made.coding);
        }
        Ok(StoredResponse {
            head,
            body,
            asked,
            modified: self.modified.map(|modified| Timestamp(modified).seconds()),
            render: Render {
                finished: Timestamp(self.finished).into(),
                began: Epoch(self.began),
                born_stale: self.born_stale,
                spread: self.spread,
            },
            routed: Routed::default(),
            group: Arc::clone(group),
            extra: Extra { compressed, governed: governed.map(Box::new), tags }.if_any(),
        })
    }
}

/// A whole record in one piece: the length of its head, the head, the bodies.
pub(crate) fn pack(key: &[u8], response: &StoredResponse) -> Vec<u8> {
    let head = Head::of(key, response).to_bytes();
    let bodies: usize = response.representations().map(|representation| representation.body.len()).sum();
    let mut bytes = Vec::with_capacity(4 + head.len() + bodies);
    // Heads are bounded by what HTTP allows, far below 4 GiB.
    bytes.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&head);
    for representation in response.representations() {
        bytes.extend_from_slice(representation.body);
    }
    bytes
}

/// The response that was packed under this key. Its bodies are parts of `bytes`.
pub(crate) fn unpack(bytes: &Bytes, key: &[u8], group: &Arc<Group>) -> Result<StoredResponse, Damaged> {
    let length = bytes.first_chunk().map(|length| u32::from_le_bytes(*length)).ok_or(Damaged)?;
    let mut at = usize::try_from(length).ok().and_then(|length| length.checked_add(4)).ok_or(Damaged)?;
    let head = Head::from_bytes(bytes.get(4..at).ok_or(Damaged)?)?;
    let mut bodies = Vec::with_capacity(head.bodies.len());
    for described in &head.bodies {
        let end = usize::try_from(described.length).ok().and_then(|length| at.checked_add(length));
        let end = end.filter(|end| *end <= bytes.len()).ok_or(Damaged)?;
        bodies.push(bytes.slice(at..end));
        at = end;
    }
    if at != bytes.len() {
        return Err(Damaged);
    }
    head.into_response(key, group, bodies)
}

impl Described {
    /// Bytes of the body; of a length that is not possible here as many as are, which are not there.
    pub(crate) fn length(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// Whether another one describes the same bytes. The entity tag is made of a SHA-256 of them: whoever writes into pages cannot
    /// have one body taken for another.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self == other
    }

    /// The compressed representation that this describes, if these are its bytes.
    fn compressed(self, body: Bytes) -> Result<Compressed, Damaged> {
        if digest_of_body(&body) != self.digest {
            return Err(Damaged);
        }
        let coding = *CODINGS.get(usize::from(self.coding)).ok_or(Damaged)?;
        let etag = self.etag.as_deref().map(HeaderValue::from_bytes).transpose().map_err(|_| Damaged)?;
        Ok(Compressed { coding, body, etag: etag.map(|etag| etag.as_bytes().into()) })
    }
}

impl GovernedForm {
    fn governed(self) -> Result<Governed, Damaged> {
        let vary: Result<Box<[_]>, _> =
            self.vary.iter().map(|name| HeaderName::from_bytes(name.as_bytes())).collect();
        Ok(Governed {
            lifetime: Lifetime {
                fresh_for: self.fresh_for,
                stale_while_revalidate: self.stale_while_revalidate,
                stale_if_error: self.stale_if_error,
                must_revalidate: self.must_revalidate,
                heuristic: self.heuristic,
            },
            initial_age: self.initial_age,
            vary: vary.map_err(|_| Damaged)?,
        })
    }
}

#[cfg(test)]
mod tests;
