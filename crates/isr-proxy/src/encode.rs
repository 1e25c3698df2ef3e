//! Compressed variants of stored pages, made when nobody is waiting.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use isr_cache::{Coding, Representation, StoredResponse};

use crate::page::entity_tag;
use crate::state::Proxy;

/// Below this a page fits into one packet as it is.
const WORTH_IT: usize = 1024;

/// gzip's default: the levels above it take twice the time for a percent.
const GZIP_LEVEL: u32 = 6;

/// Brotli at 5 is about as fast as gzip at 6 and some 10 % smaller; a page that is rendered every few seconds does not
/// repay the levels above.
const BROTLI_LEVEL: i32 = 5;

/// The window of Brotli, as a power of two: pages are seldom longer than 4 MiB.
const BROTLI_WINDOW: i32 = 22;

/// Media types that compress. Images, fonts, video and archives are compressed already.
const COMPRESSIBLE: [&str; 9] = [
    "text/",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/wasm",
    "application/manifest+json",
    "application/ld+json",
    "application/xhtml+xml",
    "image/svg+xml",
];

/// Compresses a page that was just stored, on a thread that serves nobody, and puts the result beside it. Until then
/// the page is served uncompressed.
pub(crate) fn compress_later(proxy: &Arc<Proxy>, key: &[u8], response: Arc<StoredResponse>) {
    if !is_worth_it(&response) || !response.compressed.is_empty() {
        return;
    }
    let (proxy, key) = (Arc::clone(proxy), key.to_vec());
    let background = proxy.background.clone();
    background.spawn_blocking(move || {
        let compressed =
            StoredResponse { compressed: variants(&response), ..StoredResponse::clone(&response) };
        // Under the entry's lock, as every write of an ISR page is.
        proxy
            .entries
            .with(&key, proxy.clock.now(), |_| proxy.pages.replace(&key, &response, &Arc::new(compressed)));
    });
}

fn is_worth_it(response: &StoredResponse) -> bool {
    let media_type = response.field(&CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let compresses = COMPRESSIBLE.iter().any(|known| media_type.starts_with(known))
        || media_type
            .split(';')
            .next()
            .is_some_and(|essence| essence.ends_with("+json") || essence.ends_with("+xml"));
    response.identity.body.len() >= WORTH_IT && compresses
}

fn variants(response: &StoredResponse) -> Box<[Representation]> {
    let body = &response.identity.body;
    let made = [(Coding::Gzip, gzip(body)), (Coding::Brotli, brotli(body))];
    let mut headers = HeaderMap::new();
    if let Some(media_type) = response.field(&CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, media_type.clone());
    }
    made.into_iter()
        .filter_map(|(coding, made)| Some((coding, made?)))
        // A variant that saves less than a tenth costs more memory than it saves transfer.
        .filter(|(_, made)| made.len() < body.len() / 10 * 9)
        .map(|(coding, made)| {
            Representation::new(coding, Bytes::from(made), entity_tag(&headers, body, coding))
        })
        .collect()
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
    use super::*;

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
