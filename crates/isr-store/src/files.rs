//! Bodies in files of the kernel's own memory, which it sends without copying them.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use rustix::fs::{MemfdFlags, memfd_create};

/// Shorter bodies gain nothing: sent from a file, 16 KiB cost the kernel as much as copied, 128 KiB less than half.
const LEAST: usize = 64 * 1024;

/// Longer bodies are not worth the copy that is made of them first, by a thread that others wait for.
const MOST: usize = 1024 * 1024;

/// The part of the memory tier's size that these copies may take beside it: 16 MiB of the usual 256, in no more files than a
/// process may well keep open.
const SHARE: u64 = 16;

/// The long bodies that were sent last, each in a file without a name. What the kernel is still sending stays as it is when
/// the file is closed, because nobody writes to it again.
#[derive(Debug)]
pub struct Files(Cache<usize, Arc<BodyFile>, Length>);

/// A body and the file that holds it.
#[derive(Debug)]
pub struct BodyFile {
    /// Keeps the place in memory by which the file is found from being used for another body.
    body: Bytes,
    file: File,
}

impl Files {
    /// Files beside a memory tier of so many bytes.
    pub fn new(memory: u64) -> Self {
        let capacity = memory / SHARE;
        let files = usize::try_from(capacity / LEAST as u64).unwrap_or(usize::MAX).max(1);
        let options =
            OptionsBuilder::new().estimated_items_capacity(files).weight_capacity(capacity).shards(1).build();
        Self(match options {
            Ok(options) => Cache::with_options(
                options,
                Length,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // The options are complete.
            Err(_) => Cache::with_weighter(files, capacity, Length),
        })
    }

    /// The file of a body; `None` if it is too short or too long for one, or none can be had.
    pub fn of(&self, body: &Bytes) -> Option<Arc<BodyFile>> {
        if !(LEAST..=MOST).contains(&body.len()) {
            return None;
        }
        let place = body.as_ptr() as usize;
        let known = self.0.get(&place).filter(|known| known.body.len() == body.len());
        known.or_else(|| {
            let mut file = File::from(memfd_create("page", MemfdFlags::CLOEXEC).ok()?);
            file.write_all(body).ok()?;
            let file = Arc::new(BodyFile { body: body.clone(), file });
            self.0.insert(place, Arc::clone(&file));
            Some(file)
        })
    }
}

impl BodyFile {
    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its length in bytes, which is the body's.
    #[allow(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> usize {
        self.body.len()
    }
}

#[derive(Clone, Debug)]
struct Length;

impl Weighter<usize, Arc<BodyFile>> for Length {
    fn weight(&self, _place: &usize, file: &Arc<BodyFile>) -> u64 {
        file.body.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn a_file_holds_its_body_and_is_found_again() {
        let files = Files::new(64 << 20);
        let body = Bytes::from(vec![b'a'; 100_000]);
        let file = files.of(&body).expect("a file");
        let mut read = vec![0; 100_000];
        file.file().read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, body);
        assert!(Arc::ptr_eq(&file, &files.of(&body.clone()).expect("the same body")), "it is found again");
        let part = files.of(&body.slice(..70_000)).expect("another body at the same place");
        assert_eq!(part.file().metadata().unwrap().len(), 70_000);
        assert!(files.of(&Bytes::from(vec![0; LEAST - 1])).is_none(), "too short");
        assert!(files.of(&Bytes::from(vec![0; MOST + 1])).is_none(), "too long");
    }

    #[test]
    fn there_are_only_so_many() {
        let files = Files::new(64 << 20);
        let bodies: Vec<_> = (0..100).map(|_| Bytes::from(vec![0; 100_000])).collect();
        for body in &bodies {
            files.of(body).expect("a file");
        }
        assert!(files.0.weight() <= 4 << 20, "{} bytes", files.0.weight());
    }
}
