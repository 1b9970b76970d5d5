//! The application's state: notes in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// All notes, shared by all requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

/// One note.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Note {
    pub(crate) id: usize,
    pub(crate) text: String,
}

/// A note without an id.
#[derive(Debug, Deserialize)]
pub(crate) struct Draft {
    text: String,
}

impl Notes {
    pub(crate) fn add(&self, draft: Draft) -> Note {
        let mut notes = self.lock();
        let note = Note { id: notes.len(), text: draft.text };
        notes.push(note.clone());
        note
    }

    pub(crate) fn get(&self, id: usize) -> Option<Note> {
        self.lock().get(id).cloned()
    }

    pub(crate) fn containing(&self, text: &str) -> Vec<Note> {
        self.lock().iter().filter(|note| note.text.contains(text)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
