//! The digest of a file: plain BLAKE3, as `b3sum` prints it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use blake3::Hasher;

use crate::{Error, pool};

/// How much is read at a time: large enough to be shared between threads with profit (BLAKE3's own
/// advice is 128 KiB and more), small enough to stay in the second-level caches.
const BLOCK: usize = 1 << 20;

/// Digest the file at `path`.
///
/// The file is read, not mapped: a mapped file that another process cuts short ends this one.
///
/// # Errors
///
/// The file cannot be opened or read.
pub fn digest(path: &Path) -> Result<[u8; 32], Error> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let block = usize::try_from(size.saturating_add(1)).map_or(BLOCK, |size| size.min(BLOCK));
    // Special files say that their size is 0.
    let mut buffer = vec![0; block.max(4096)];
    let mut hasher = Hasher::new();
    loop {
        let filled = fill(&mut file, &mut buffer)?;
        if filled < BLOCK {
            hasher.update(&buffer[..filled]);
        } else {
            pool::update(&mut hasher, &buffer[..filled]);
        }
        if filled < buffer.len() {
            return Ok(*hasher.finalize().as_bytes());
        }
    }
}

/// Read until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_an_error() {
        let error = digest(Path::new("no/such/file")).unwrap_err();
        assert!(matches!(error, Error::Io(_)));
    }

    #[test]
    fn lengths_around_a_block_give_the_digest_of_their_bytes() {
        let path = std::env::temp_dir().join(format!("ato-file-{}", std::process::id()));
        for length in [0, 1, 4095, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let data: Vec<u8> = (0..=250).cycle().take(length).collect();
            std::fs::write(&path, &data).unwrap();
            assert_eq!(digest(&path).unwrap(), *blake3::hash(&data).as_bytes());
        }
        std::fs::remove_file(&path).unwrap();
    }
}
