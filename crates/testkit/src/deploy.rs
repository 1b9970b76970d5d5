//! Deploys to a running host: by renaming, by overwriting, by exchanging folders.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The library's file name.
const ENTRY: &str = "lib.so";

/// A manifest for `id@version`, with one route for any method, and more keys.
pub fn manifest(name: &str, more: &Value) -> String {
    let (id, version) = name.split_once('@').expect("a function's name is id@version");
    let routes = json!([{ "path": "/", "method": "ANY" }]);
    let mut manifest = json!({ "id": id, "version": version, "entry": ENTRY, "routes": routes });
    for (key, value) in more.as_object().into_iter().flatten() {
        manifest[key] = value.clone();
    }
    manifest.to_string()
}

/// A function's folder, in the functions folder of a host.
#[derive(Clone, Debug)]
pub struct Folder {
    functions: PathBuf,
    name: String,
}

impl Folder {
    /// The folder `id@version`, which may not exist yet.
    pub fn new(functions: &Path, name: &str) -> Self {
        Self { functions: functions.to_owned(), name: name.to_owned() }
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.functions.join(&self.name)
    }

    /// The library's path.
    pub fn library(&self) -> PathBuf {
        self.path().join(ENTRY)
    }

    /// Creates the folder with both files.
    #[track_caller]
    pub fn create(&self, library: &[u8]) {
        self.create_with(library, &json!({}));
    }

    /// The same, with more keys in `fezz.json`.
    #[track_caller]
    pub fn create_with(&self, library: &[u8], more: &Value) {
        fill(&self.path(), &manifest(&self.name, more), library);
    }

    /// Replaces the text of `fezz.json`.
    #[track_caller]
    pub fn write_manifest(&self, text: &str) {
        fs::write(self.path().join("fezz.json"), text).expect("fezz.json can be written");
    }

    /// Truncates the library and writes the new one in place, as `cp` does.
    #[track_caller]
    pub fn overwrite(&self, library: &[u8]) {
        fs::write(self.library(), library).expect("the library can be overwritten");
    }

    /// Writes the new library beside the old one, and renames it over that.
    #[track_caller]
    pub fn rename_over(&self, library: &[u8]) {
        let new = self.path().join(".lib.so.new");
        fs::write(&new, library).expect("the library can be written");
        fs::rename(new, self.library()).expect("the library can be renamed");
    }

    /// Prepares a new folder and moves it to the old one's place.
    #[track_caller]
    pub fn exchange(&self, library: &[u8]) {
        let (new, old) = (self.hidden("new"), self.hidden("old"));
        fill(&new, &manifest(&self.name, &json!({})), library);
        fs::rename(self.path(), &old).expect("the old folder can be renamed");
        fs::rename(new, self.path()).expect("the new folder can be renamed");
        fs::remove_dir_all(old).expect("the old folder can be removed");
    }

    /// Deletes the folder.
    #[track_caller]
    pub fn remove(&self) {
        fs::remove_dir_all(self.path()).expect("the folder can be removed");
    }

    fn hidden(&self, what: &str) -> PathBuf {
        self.functions.join(format!(".{}.{what}", self.name))
    }
}

#[track_caller]
fn fill(folder: &Path, manifest: &str, library: &[u8]) {
    fs::create_dir_all(folder).expect("the folder can be made");
    fs::write(folder.join("fezz.json"), manifest).expect("fezz.json can be written");
    fs::write(folder.join(ENTRY), library).expect("the library can be written");
}
