//! The file in a folder of the machine's disk.

use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, Builder, Database, StorageBackend};

use super::Medium;
use crate::give_way;

/// The file in a folder of the disk.
pub(super) struct Folder {
    pub(super) folder: PathBuf,
}

impl Folder {
    fn file(&self) -> PathBuf {
        self.folder.join("pages.redb")
    }
}

impl Medium for Folder {
    fn open(&self, builder: &Builder) -> Result<Database, redb::Error> {
        std::fs::create_dir_all(&self.folder)?;
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // Pages are their visitors' business, not that of everybody on the machine.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = FileBackend::new(options.open(self.file())?)?;
        Ok(builder.create_with_backend(Courteous { file, writes: AtomicU64::new(0) })?)
    }

    fn discard(&self) -> io::Result<()> {
        match std::fs::remove_file(self.file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes in a row, of up to ten microseconds each as a rule, before visitors' threads may have the processor.
const IN_A_ROW: u64 = 32;

/// A file whose writer lets visitors' threads go first now and then: the end of a transaction writes all of its pages in one go,
/// which is milliseconds of the processor.
#[derive(Debug)]
struct Courteous {
    file: FileBackend,
    /// Since the last wait for the disk.
    writes: AtomicU64,
}

impl StorageBackend for Courteous {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.writes.store(0, Ordering::Relaxed);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)?;
        if self.writes.fetch_add(1, Ordering::Relaxed) % IN_A_ROW == IN_A_ROW - 1 {
            give_way();
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    // Two processes never have one file.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
