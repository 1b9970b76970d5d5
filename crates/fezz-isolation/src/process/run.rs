//! The life of a worker process: setup, sandbox, load, serve, shut down.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use fezz_runtime::ffi::{HostTable, Identity, Library};
use fezz_runtime::sys::{Shared, THREAD_STACK_BYTES, receive_with_fds, set_environment, static_tls};
use rustix::io::dup;

use crate::protocol::{
    Abilities, Claims, Decoder, Encoder, FrameHeader, FrameKind, HEADER_LEN, Ready, Setup,
};
use crate::sandbox::{self, Enforced};

use super::log;
use super::serve::CallServer;

/// Runs the worker until the host closes its sockets; false if it could not start or the protocol was violated.
#[must_use]
pub fn run() -> bool {
    static_tls::forget();
    // Without its socket the worker cannot report an error.
    let Ok(control) = control() else { return false };
    let worker = match WorkerProcess::start(&control) {
        Ok(worker) => worker,
        Err(reason) => {
            let _ = send(&control, FrameKind::Refused, reason.as_bytes());
            return false;
        }
    };
    let ready = serde_json::to_vec(&Ready {
        enforced: worker.enforced.clone(),
        abilities: Abilities {
            request_bodies: worker.library.request_bodies(),
            takes_upgrades: worker.library.takes_upgrades(),
        },
    });
    if ready.map_err(io::Error::from).and_then(|ready| send(&control, FrameKind::Ready, &ready)).is_err() {
        return false;
    }
    worker.serve()
}

/// Takes the socket that is this process's standard input, and puts `/dev/null` in its place for the function.
fn control() -> io::Result<UnixStream> {
    let control = UnixStream::from(dup(io::stdin())?);
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    rustix::io::fcntl_setfd(&control, rustix::io::FdFlags::CLOEXEC)?;
    Ok(control)
}

fn send(control: &UnixStream, kind: FrameKind, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::new();
    let mut encoder = Encoder::new(&mut frame, kind, 0);
    encoder.rest(payload);
    encoder.finish().map_err(io::Error::other)?;
    io::Write::write_all(&mut &*control, &frame)
}

/// A loaded function and the sockets on which calls arrive.
struct WorkerProcess {
    library: Arc<Library>,
    claims: Arc<Claims>,
    cancelled: Arc<Shared>,
    sockets: Vec<UnixStream>,
    enforced: Enforced,
}

impl WorkerProcess {
    fn start(control: &UnixStream) -> Result<Self, String> {
        let (setup, fds) = receive(control).map_err(|error| format!("the worker's setup: {error}"))?;
        let mut fds = fds.into_iter();
        let mut memory = || fds.next().ok_or("the worker's setup came without its memory");
        let (cancelled, claims) = (memory()?, memory()?);
        let unmapped = |error: io::Error| format!("the worker's memory: {error}");
        let flags = Arc::new(Shared::open_read_only(&cancelled).map_err(unmapped)?);
        let begun = Arc::new(Claims(Shared::open(&claims).map_err(unmapped)?));
        // The mappings stay. The function has no use for these.
        drop((cancelled, claims));
        let records = control.try_clone().map_err(|error| format!("the worker's log: {error}"))?;
        let enforced = sandbox::enter(&setup.confinement).map_err(|error| error.to_string())?;
        let environment = environment(setup.temporary.as_deref(), &setup.variables);
        set_environment(environment).map_err(|error| format!("the worker's environment: {error}"))?;
        log::start(records, setup.log_level);
        let library = Library::open(&setup.library).map_err(|error| error.to_string())?;
        let table = HostTable::leak(Identity {
            id: setup.id,
            version: setup.version,
            data_dir: setup.data_dir,
            variables: setup.variables.into_iter().collect(),
            assets_dir: setup.assets_dir,
        });
        library.init(table).map_err(|error| error.to_string())?;
        let sockets = fds.map(UnixStream::from).collect();
        Ok(Self { library: Arc::new(library), claims: begun, cancelled: flags, sockets, enforced })
    }

    /// Serves until the host has closed all sockets: the first on this thread, each other on its own.
    fn serve(self) -> bool {
        let Self { library, claims, cancelled, sockets, .. } = self;
        let connections =
            sockets.into_iter().map(|socket| CallServer::new(socket, &library, &claims, &cancelled));
        let Ok(connections) = connections.collect::<io::Result<Vec<_>>>() else { return false };
        let mut connections = connections.into_iter();
        let Some(first) = connections.next() else { return false };
        let start = |slot: CallServer| {
            let thread = thread::Builder::new().stack_size(THREAD_STACK_BYTES);
            thread.spawn(move || slot.serve())
        };
        let Ok(others) = connections.map(start).collect::<io::Result<Vec<_>>>() else { return false };
        let mut ended = first.serve();
        for other in others {
            ended = other.join().unwrap_or_else(|_| Err(io::Error::other("panic"))).and(ended);
        }
        library.shutdown();
        // The exit status reports a protocol violation to the host.
        ended.is_ok()
    }
}

/// The environment of the function: a folder for temporary files, unless it has its own, and its variables.
fn environment<'a>(
    temporary: Option<&'a Path>,
    variables: &'a [(String, String)],
) -> impl Iterator<Item = (String, String)> + 'a {
    let temporary = temporary.and_then(Path::to_str).map(|path| ("TMPDIR".to_owned(), path.to_owned()));
    // The last one counts.
    temporary.into_iter().chain(variables.iter().cloned())
}

/// Receives the setup, and the descriptors that came with its first bytes.
fn receive(control: &UnixStream) -> io::Result<(Setup, Vec<OwnedFd>)> {
    let mut header = [0; HEADER_LEN];
    let (received, fds) = receive_with_fds(control.as_fd(), &mut header)?;
    io::Read::read_exact(&mut &*control, &mut header[received..])?;
    let header = FrameHeader::decode(&header).map_err(io::Error::other)?;
    if header.kind != FrameKind::Setup {
        return Err(io::Error::other("the first frame is another one"));
    }
    let mut payload = vec![0; header.length];
    io::Read::read_exact(&mut &*control, &mut payload)?;
    let setup = serde_json::from_slice(&Decoder::new(payload.into()).rest())?;
    Ok((setup, fds))
}
