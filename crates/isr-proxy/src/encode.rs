//! Compressed variants of stored pages, made when somebody has asked for them and nobody is waiting.
//!
//! A variant costs more than all else about a render: some 0.5 ms for 16 KiB, where a miss without any takes 0.3. So each is made when the first visitor asks who can read
//! it, who gets the page as it is; and of a page that is rendered anew, those that were asked for before are made at once.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use isr_cache::{Coding, Compressed, RequestFields, StoredResponse, negotiate};

use crate::page::entity_tag;
use crate::state::Proxy;

/// gzip's default: the levels above it take twice the time for a percent.
const GZIP_LEVEL: u32 = 6;

/// Brotli at 5 is about as fast as gzip at 6 and some 10 % smaller; a page that is rendered every few seconds does not
/// repay the levels above.
const BROTLI_LEVEL: i32 = 5;

/// The window of Brotli, as a power of two: pages are seldom longer than 4 MiB.
const BROTLI_WINDOW: i32 = 22;

/// Has made what the visitor would rather have than what there is.
pub(crate) fn ask(
    proxy: &Arc<Proxy>,
    key: &[u8],
    request: &impl RequestFields,
    response: &Arc<StoredResponse>,
) {
    if !response.asked.is_settled()
        && let Some(coding) = negotiate::choose(request, response).missing
    {
        make(proxy, key, response, coding);
    }
}

/// A response with the variants that were made `before`, if its content is the same as then: most renders change nothing.
pub(crate) fn inherit(before: &StoredResponse, response: &Arc<StoredResponse>) -> Arc<StoredResponse> {
    // The tag is a digest of the media type and the body.
    if before.compressed().is_empty()
        || !response.compressed().is_empty()
        || before.head.etag() != response.head.etag()
        || before.body != response.body
    {
        return Arc::clone(response);
    }
    let mut same = StoredResponse::clone(response);
    same.extra.get_or_insert_default().compressed = before.compressed().into();
    for variant in same.compressed() {
        same.asked.ask(variant.coding);
    }
    Arc::new(same)
}

/// Compresses a stored page, on a thread that serves nobody, and puts the result beside it; unless somebody has asked for that before.
pub(crate) fn make(proxy: &Arc<Proxy>, key: &[u8], response: &Arc<StoredResponse>, coding: Coding) {
    let Ok(permit) = Arc::clone(&proxy.compressing).try_acquire_owned() else { return };
    if !response.asked.ask(coding) {
        return;
    }
    let (proxy, response, key) = (Arc::clone(proxy), Arc::clone(response), key.to_vec());
    let background = proxy.background.clone();
    background.spawn_blocking(move || {
        let _permit = permit;
        let Some(variant) = variant(&response, coding) else { return };
        // Under the entry's lock, as every write of an ISR page is.
        proxy.entries.with(&key, proxy.clock.now(), |_| {
            let present = proxy.pages.peek(&key).filter(|present| is_same(present, &response));
            if let Some(present) = present {
                let mut all = StoredResponse::clone(&present);
                let compressed = present.compressed().iter().cloned().chain([variant]).collect();
                all.extra.get_or_insert_default().compressed = compressed;
                proxy.pages.replace(&key, &present, &Arc::new(all));
            }
        });
    });
}

/// Whether both are of one render. They are not the same object if another variant was added meanwhile.
fn is_same(one: &StoredResponse, other: &StoredResponse) -> bool {
    one.render == other.render && one.body.as_ptr() == other.body.as_ptr()
}

/// The content in this coding. A variant that saves less than a tenth costs more memory than it saves transfer, and is none.
fn variant(response: &StoredResponse, coding: Coding) -> Option<Compressed> {
    let body = &response.body;
    let made = match coding {
        Coding::Identity => None,
        Coding::Gzip => gzip(body),
        Coding::Brotli => brotli(body),
    };
    let made = made.filter(|made| made.len() < body.len() / 10 * 9)?;
    let etag = entity_tag(response.field(&CONTENT_TYPE).unwrap_or_default(), body, coding);
    // No room is kept that was made for more.
    let body = Bytes::from(made.into_boxed_slice());
    Some(Compressed { coding, body, etag: etag.map(|etag| etag.as_bytes().into()) })
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn brotli(body: &[u8]) -> Option<Vec<u8>> {
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_LEVEL,
        lgwin: BROTLI_WINDOW,
        size_hint: body.len(),
        ..Default::default()
    };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &*body, &mut out, &parameters).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};
    use isr_cache::{Asked, Epoch, Extra, Group, Head, Render, Routed, Timestamp};

    use super::*;

    fn page(text: &'static str, began: u64) -> Arc<StoredResponse> {
        let html = HeaderValue::from_static("text/html");
        let body = Bytes::from(text.repeat(500));
        let etag = entity_tag(html.as_bytes(), &body, Coding::Identity);
        let fields = [(&CONTENT_TYPE, &html)].into_iter();
        let head = Head::new(StatusCode::OK, &"shop/route".into(), etag.as_ref(), fields);
        let finished = Timestamp(began * 1000);
        Arc::new(StoredResponse {
            asked: Asked::not_yet(&head, &body),
            head,
            body,
            modified: None,
            render: Render { finished: finished.into(), began: Epoch(began), born_stale: false, spread: 0 },
            routed: Routed::default(),
            group: Arc::new(Group::new("a.example/".into())),
            extra: None,
        })
    }

    #[test]
    fn the_same_content_is_compressed_once() {
        let mut before = StoredResponse::clone(&page("a blog post", 1));
        before.asked.ask(Coding::Gzip);
        let compressed = variant(&before, Coding::Gzip).into_iter().collect();
        before.extra = Extra { compressed, ..Extra::default() }.if_any();
        let again = inherit(&before, &page("a blog post", 2));
        assert_eq!(again.render.began, Epoch(2), "the render is the new one");
        assert_eq!(again.compressed()[0].body, before.compressed()[0].body, "its variant the old one");
        assert!(!again.asked.ask(Coding::Gzip), "which nobody makes again");
        let other = inherit(&before, &page("another one", 2));
        assert!(other.compressed().is_empty(), "other content takes nothing over");
    }

    #[test]
    fn what_was_compressed_reads_as_it_was() {
        let page = "<li>a blog post</li>\n".repeat(500).into_bytes();
        let mut plain = Vec::new();
        let zipped = gzip(&page).unwrap();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*zipped), &mut plain).unwrap();
        assert_eq!(plain, page);
        let mut plain = Vec::new();
        brotli::BrotliDecompress(&mut &*brotli(&page).unwrap(), &mut plain).unwrap();
        assert_eq!(plain, page);
    }
}
