//! Where the dynamic loader looks for libraries besides its standard folders: `/etc/ld.so.conf`, as ldconfig(8) reads it.

use std::fs;
use std::path::{Path, PathBuf};

const CONFIGURATION: &str = "/etc/ld.so.conf";
/// Files that include each other deeper than this are not read: most likely they do so in a circle.
const MAX_DEPTH: u32 = 8;

/// The folders that the system's loader is configured to search. What cannot be read adds none.
pub(super) fn configured() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    read(Path::new(CONFIGURATION), MAX_DEPTH, &mut folders);
    folders
}

fn read(file: &Path, depth: u32, folders: &mut Vec<PathBuf>) {
    let Ok(text) = fs::read_to_string(file) else { return };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("include") if depth > 0 => {
                for pattern in words {
                    // Relative to the file that includes them.
                    let pattern = file.parent().unwrap_or(Path::new("/")).join(pattern);
                    matching(&pattern).iter().for_each(|file| read(file, depth - 1, folders));
                }
            }
            // `hwcap` is history.
            Some("include" | "hwcap") | None => {}
            Some(_) => {
                let names = line.split([' ', '\t', ':', ',']).map(Path::new);
                // Not the root, which would be everything.
                let is_folder = |path: &&Path| path.is_absolute() && path.parent().is_some();
                folders.extend(names.filter(is_folder).map(Path::to_owned));
            }
        }
    }
}

/// The files that a pattern names, in order; `*` in its last part stands for any text.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    let Some((start, end)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let is_match =
        |name: &str| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_match))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_from_the_file_and_from_those_that_it_includes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("conf.d")).unwrap();
        let main =
            "# the loader's\n/usr/local/lib # ours\n include conf.d/*.conf\nrelative\n/\nhwcap 0 nosegneg\n";
        fs::write(at("ld.so.conf"), main).unwrap();
        fs::write(at("conf.d/b.conf"), "/opt/b/lib\n/opt/b/lib64:/opt/c\n").unwrap();
        fs::write(at("conf.d/a.conf"), "/opt/a\ninclude ../ld.so.conf\n").unwrap();
        fs::write(at("conf.d/c.off"), "/opt/off\n").unwrap();
        let mut folders = Vec::new();
        read(&at("ld.so.conf"), 1, &mut folders);
        let expected = ["/usr/local/lib", "/opt/a", "/opt/b/lib", "/opt/b/lib64", "/opt/c"];
        assert_eq!(folders, expected.map(PathBuf::from));
    }
}
