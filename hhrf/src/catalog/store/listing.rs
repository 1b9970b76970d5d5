//! The list of the files that belong to an application, with their digests: what identifies a tree of assets.
//!
//! Its text, of which the digest is made, has an entry for each file, ended by NUL: `- <sha256> <size> <path>`, with `x` for
//! an executable file; and `d <path>` for a folder with nothing in it. Paths are bytes, relative to the function's folder,
//! and in order.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use fezz_runtime::Digest;

/// All assets of a function.
#[derive(Clone, Debug)]
pub(in crate::catalog) struct Listing {
    entries: Vec<Entry>,
    text: Vec<u8>,
    digest: Digest,
}

/// One file, or an empty folder.
#[derive(Clone, Debug)]
pub(in crate::catalog) struct Entry {
    /// Relative to the function's folder.
    pub(in crate::catalog) path: PathBuf,
    /// None for an empty folder.
    pub(in crate::catalog) file: Option<Content>,
    /// When the dropped file was modified; none where only the history knows it.
    pub(in crate::catalog) modified: Option<SystemTime>,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::catalog) struct Content {
    pub(in crate::catalog) digest: Digest,
    pub(in crate::catalog) size: u64,
    pub(in crate::catalog) executable: bool,
}

impl Listing {
    /// The listing of these, in any order.
    pub(in crate::catalog) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
        let text = text(&entries);
        Self { digest: super::digest(&text), entries, text }
    }

    /// Reads what [`text`](Self::text) gave.
    pub(in crate::catalog) fn parse(text: &[u8]) -> io::Result<Self> {
        let entries = text.strip_suffix(b"\0").ok_or(io::ErrorKind::InvalidData)?.split(|byte| *byte == 0);
        let entries = entries.map(|entry| parse(entry).ok_or(io::ErrorKind::InvalidData.into()));
        Ok(Self::new(entries.collect::<io::Result<_>>()?))
    }

    pub(in crate::catalog) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Identifies names, contents and executable bits.
    pub(in crate::catalog) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(in crate::catalog) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(in crate::catalog) fn files(&self) -> impl Iterator<Item = Content> {
        self.entries.iter().filter_map(|entry| entry.file)
    }

    /// The size of all files, in bytes.
    pub(in crate::catalog) fn bytes(&self) -> u64 {
        self.files().map(|file| file.size).sum()
    }
}

fn text(entries: &[Entry]) -> Vec<u8> {
    let mut text = Vec::new();
    for Entry { path, file, .. } in entries {
        // Writing to memory does not fail.
        let _ = match file {
            Some(Content { digest, size, executable }) => {
                write!(text, "{} {digest} {size} ", if *executable { 'x' } else { '-' })
            }
            None => write!(text, "d "),
        };
        text.extend_from_slice(path.as_os_str().as_bytes());
        text.push(0);
    }
    text
}

fn parse(entry: &[u8]) -> Option<Entry> {
    let mut fields = entry.splitn(2, |byte| *byte == b' ');
    let (kind, mut rest) = (fields.next()?, fields.next()?);
    let mut file = None;
    if kind != b"d" {
        let mut fields = rest.splitn(3, |byte| *byte == b' ');
        let digest = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let size = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        rest = fields.next()?;
        file = Some(Content { digest, size, executable: kind == b"x" });
    }
    let path = Path::new(OsStr::from_bytes(rest));
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
    is_below.then(|| Entry { path: path.to_owned(), file, modified: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &[u8], executable: bool) -> Entry {
        let file = Content { digest: super::super::digest(b"x"), size: 1, executable };
        Entry { path: OsStr::from_bytes(path).into(), file: Some(file), modified: None }
    }

    #[test]
    fn a_listing_is_read_as_it_was_written() {
        let empty = Entry { path: "no files".into(), file: None, modified: None };
        let listing = Listing::new(vec![entry(b"z z", false), empty, entry(b"a/\xff\n", true)]);
        let read = Listing::parse(listing.text()).unwrap();
        assert_eq!((read.text(), read.digest()), (listing.text(), listing.digest()));
        assert_eq!((read.entries().len(), read.bytes()), (3, 2));
        assert!(read.entries()[0].file.unwrap().executable);
    }

    #[test]
    fn names_and_executable_bits_count() {
        let digest = |path: &[u8], executable| Listing::new(vec![entry(path, executable)]).digest();
        assert_ne!(digest(b"a", false), digest(b"A", false));
        assert_ne!(digest(b"a", false), digest(b"a", true));
    }

    #[test]
    fn what_leads_out_of_the_folder_is_no_listing() {
        for path in [&b"../x"[..], b"/x", b"a/../../x"] {
            assert!(Listing::parse(Listing::new(vec![entry(path, false)]).text()).is_err());
        }
        assert!(Listing::parse(b"").is_err());
        assert!(Listing::parse(b"- 00 1 x\0").is_err());
    }
}
