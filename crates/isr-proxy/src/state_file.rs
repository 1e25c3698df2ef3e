//! Small files in the folder for what outlives the process, each replaced as a whole.
//!
//! A file is a line with the SHA-256 of the rest, then the rest. It is readable by its owner alone.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use isr_routes::snapshot::shard_name;

/// Bytes of a file, at most: a table of 100,000 routes takes about 40 MB.
const MOST: u64 = 256 * 1024 * 1024;

/// Why a file that is there cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("{path} cannot be read: {cause}")]
    Unreadable { path: String, cause: io::Error },
    #[error("{path} is damaged ({why})")]
    Damaged { path: String, why: String },
}

/// Writes a file: after a crash at any moment it holds this content or the one before.
pub(crate) fn save(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let staged = folder.join(format!("{name}.new"));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    writeln!(file, "{}", shard_name(content))?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&staged, folder.join(name))?;
    // The new name is durable with the folder.
    std::fs::File::open(folder)?.sync_all()
}

/// Reads what a file holds, in the way that `read` says; nothing if it was never written.
pub(crate) fn load<T>(
    folder: &Path,
    name: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Unusable> {
    let path = folder.join(name);
    let shown = || path.display().to_string();
    let Some(bytes) = bytes(&path).map_err(|cause| Unusable::Unreadable { path: shown(), cause })? else {
        return Ok(None);
    };
    let damaged = |why: String| Unusable::Damaged { path: shown(), why };
    let text = std::str::from_utf8(&bytes).map_err(|error| damaged(error.to_string()))?;
    let (sum, content) = text.split_once('\n').ok_or_else(|| damaged("it has no checksum".into()))?;
    if shard_name(content.as_bytes()) != sum {
        return Err(damaged("its checksum is not that of its content".into()));
    }
    read(content).map(Some).map_err(damaged)
}

fn bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
