//! The chat room: broadcasts each message to all connected participants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use tokio::sync::broadcast::{Receiver, Sender, channel, error::RecvError};

/// How many events wait for a participant who does not read.
const BACKLOG: usize = 64;

/// What participants are told.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// Somebody has come or gone; so many are here now.
    Present { present: usize },
    /// Somebody has said something.
    Said { name: String, text: String },
    /// So many events were missed.
    Missed { missed: u64 },
}

/// A room. Clones are the same room.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    events: Sender<Event>,
    present: AtomicUsize,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Shared { events: channel(BACKLOG).0, present: AtomicUsize::new(0) }))
    }
}

impl Room {
    /// Enters the room, until the result is dropped.
    pub(crate) fn enter(&self) -> Participant {
        let events = self.0.events.subscribe();
        let present = self.0.present.fetch_add(1, Ordering::SeqCst) + 1;
        self.tell(Event::Present { present });
        Participant { room: self.clone(), events }
    }

    /// Says something to everybody.
    pub(crate) fn say(&self, name: String, text: String) {
        self.tell(Event::Said { name, text });
    }

    fn tell(&self, event: Event) {
        // Fails only where nobody is there.
        let _ = self.0.events.send(event);
    }
}

/// A connected participant, who receives the events of the room.
#[derive(Debug)]
pub(crate) struct Participant {
    room: Room,
    events: Receiver<Event>,
}

impl Participant {
    /// The next event.
    pub(crate) async fn recv(&mut self) -> Result<Event, RecvError> {
        self.events.recv().await
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        let present = self.room.0.present.fetch_sub(1, Ordering::SeqCst) - 1;
        self.room.tell(Event::Present { present });
    }
}
