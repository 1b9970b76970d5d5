//! Folders of all kinds, found.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

const LIMITS: AssetLimits = AssetLimits { bytes: 100, files: 10, depth: 3 };

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[&str]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for file in files {
            let path = folder.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn walk(&self) -> (Vec<String>, Option<AssetsError>) {
        let (found, problem) = walk(self.0.path(), LIMITS, &|name| name == "fezz.json");
        (found.iter().map(|found| found.path.display().to_string()).collect(), problem)
    }

    #[track_caller]
    fn refused(&self) -> String {
        self.walk().1.expect("it is refused").to_string()
    }
}

#[test]
fn hidden_names_and_those_of_editors_are_passed_over() {
    let folder = Folder::new(&[
        "fezz.json",
        "a/.git/x",
        "a/x~",
        "a/#x#",
        ".env",
        ".x.swp",
        ".well-known/security.txt",
        "a/fezz.json",
        "ä b/\u{1f600}",
    ]);
    let (found, problem) = folder.walk();
    assert!(problem.is_none());
    let expected = [".well-known", ".well-known/security.txt", "a", "a/fezz.json", "ä b", "ä b/\u{1f600}"];
    assert_eq!(found, expected);
}

#[test]
fn links_within_the_folder_are_followed() {
    let folder = Folder::new(&["a/x", ".data/y"]);
    symlink("a", folder.path("b")).unwrap();
    symlink(".data/y", folder.path("y")).unwrap();
    let (found, problem) = folder.walk();
    assert!(problem.is_none(), "{problem:?}");
    assert_eq!(found, ["a", "a/x", "b", "b/x", "y"]);
}

#[test]
fn what_is_no_file_or_leads_elsewhere_is_refused_by_name() {
    for target in ["../x", "/etc/passwd", "/", ".."] {
        let folder = Folder::new(&["a/x"]);
        symlink(target, folder.path("link")).unwrap();
        assert!(folder.refused().starts_with("`link` is a symbolic link that leads out"), "{target}");
    }
    let folder = Folder::new(&["a/x"]);
    symlink("missing", folder.path("a/link")).unwrap();
    assert!(folder.refused().starts_with("`a/link` is a symbolic link to nothing"));
    for target in ["link", "..", "../a", "."] {
        let folder = Folder::new(&["a/x"]);
        symlink(target, folder.path("a/link")).unwrap();
        assert!(folder.refused().contains("leads in a circle"), "{target}: {}", folder.refused());
    }
    let folder = Folder::new(&["a/x"]);
    let _socket = UnixListener::bind(folder.path("a/s")).unwrap();
    assert!(folder.refused().starts_with("`a/s` is a socket"));
    let folder = Folder::new(&["a/x"]);
    let pipe = std::process::Command::new("mkfifo").arg(folder.path("p")).status().unwrap();
    assert!(pipe.success());
    assert!(folder.refused().starts_with("`p` is a pipe"));
}

#[test]
fn the_limits_hold() {
    let many: Vec<_> = (0..11).map(|number| format!("{number}")).collect();
    let folder = Folder::new(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(folder.refused().contains("more than 10 files"));
    let folder = Folder::new(&["a/b/c/x"]);
    assert!(folder.walk().1.is_none());
    let folder = Folder::new(&["a/b/c/d/x"]);
    assert!(folder.refused().contains("`a/b/c/d` is more than 3 folders deep"));
    let folder = Folder::new(&["a"]);
    fs::write(folder.path("b"), [0; 100]).unwrap();
    assert!(folder.refused().contains("more than 100 bytes"));
}
