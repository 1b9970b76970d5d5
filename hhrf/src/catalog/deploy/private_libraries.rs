//! Private libraries: those beside a function's library that it is linked with. The dynamic loader knows one library of a
//! name in a process, so that two functions must not bring different ones.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;

use fezz_runtime::Digest;
use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader};

use crate::catalog::store::{Content, Listing, Store};

/// The private libraries of the function's library, which is in `data`, with their own ones: names and contents.
pub(super) fn find(data: &[u8], listing: &Listing, store: &Store) -> Vec<(String, Digest)> {
    let files = listing.entries().iter().filter_map(|entry| Some((entry.path.file_name()?, entry.file?)));
    let files: HashMap<&OsStr, Content> = files.collect();
    let (mut found, mut todo) = (BTreeMap::new(), needed(data).unwrap_or_default());
    while let Some(name) = todo.pop() {
        let Some(content) = files.get(OsStr::new(&name)) else { continue };
        if found.insert(name, content.digest).is_none() {
            // What cannot be read now cannot be loaded either.
            let data = store.contents(content).unwrap_or_default();
            todo.extend(needed(&data).unwrap_or_default());
        }
    }
    found.into_iter().collect()
}

/// The names of the libraries that this one is linked with; none where it is no ELF file.
fn needed(data: &[u8]) -> Option<Vec<String>> {
    let header = FileHeader64::<LittleEndian>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let (entries, link) = sections.dynamic(endian, data).ok()??;
    let strings = sections.strings(endian, data, link).ok()?;
    let needed = entries.iter().filter(|entry| entry.tag(endian) == elf::DT_NEEDED);
    let names = needed.filter_map(|entry| entry.string(endian, strings).ok());
    Some(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}
