//! Starting a worker: spawn, setup, and waiting until it is ready.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use fezz_runtime::ffi::log_level;
use fezz_runtime::sys::{Shared, seal, seal_writes, send_with_fds, shared_environment, static_tls};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::{Notify, watch};

use crate::host::file_identities::FileIdentities;
use crate::host::frame_reader::FrameReader;
use crate::host::limits::Group;
use crate::host::output::Output;
use crate::host::process::{Process, describe};
use crate::host::spec::{PoolContext, Spec};
use crate::host::temporary::TemporaryFolder;
use crate::protocol::{Claims, Encoder, FrameKind, HEADER_LEN, ProtocolError, Ready, Setup, WORKER_ARGUMENT};
use crate::sandbox::{Enforced, Profile};

use super::log::log;
use super::{CALL_SLOTS, StartError, StartedWorker, Worker};

/// Starts a worker and waits until it is ready.
pub(in crate::host) async fn start(
    spec: &Spec,
    context: &PoolContext,
    number: u64,
) -> Result<StartedWorker, StartError> {
    let begun = Instant::now();
    // Before the worker makes its rules: seen too early, a change only ends a worker that need not end.
    let files = FileIdentities::now(spec.plan.profile);
    let (control, theirs) = StdStream::pair()?;
    let mut child = context.spawner.spawn(command(spec, context, number, theirs)).await?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let pid = child.id();
    let mut enforced = Enforced::default();
    let temporary = temporary(spec, context, &mut enforced);
    let group = group(spec, pid, &mut enforced);
    let may_leave_orphans = group.is_none() && spec.plan.profile == Profile::Off;
    let process = Process::new(child, may_leave_orphans)?;
    let output = Output::new(spec.name.clone(), pid);
    let mut output_tasks = Vec::new();
    if let Some(stdout) = stdout {
        output_tasks
            .push(tokio::spawn(Arc::clone(&output).forward(ChildStdout::from_std(stdout)?, "stdout")));
    }
    if let Some(stderr) = stderr {
        output_tasks
            .push(tokio::spawn(Arc::clone(&output).forward(ChildStderr::from_std(stderr)?, "stderr")));
    }
    let (flags, flags_fd) = Shared::create("fezz-calls", CALL_SLOTS * size_of::<u32>())?;
    seal_writes(&flags_fd)?;
    let (claims, claims_fd) = Shared::create("fezz-claims", CALL_SLOTS * size_of::<u32>())?;
    // Whoever else has it could forbid the host to map it.
    seal(&claims_fd)?;
    let folder = temporary.as_ref().map(TemporaryFolder::path);
    let (sockets, setup) = set_up(spec, folder, &control, [&flags_fd, &claims_fd])?;
    let worker = Arc::new(Worker {
        process,
        enforced: Mutex::default(),
        files,
        abilities: OnceLock::new(),
        flags,
        claims: Claims(claims),
        started: begun,
        calls: AtomicU64::new(0),
        open_connections: AtomicUsize::new(sockets.len()),
        all_closed: Notify::new(),
        retiring: AtomicBool::new(false),
        kill_reason: Mutex::new(None),
        exit: watch::Sender::new(None),
        output,
        pending: Mutex::new(vec![VecDeque::new(); sockets.len()]),
    });
    control.set_nonblocking(true)?;
    let (control, mut setup_socket) = UnixStream::from_std(control)?.into_split();
    let mut control = FrameReader::new(control);
    let ready = async {
        // If this fails, the worker has ended, which is found out by reading.
        let _ = setup_socket.write_all(&setup).await;
        ready(&mut control, &spec.name, pid).await
    };
    let ready = tokio::time::timeout(context.options.start, ready).await;
    // The host sends nothing more on this socket, and leaves it open.
    setup_socket.forget();
    let ready = match ready {
        Ok(Ok(ready)) => ready,
        Ok(Err(error)) => {
            worker.process.kill();
            let status = worker.process.wait().await?;
            worker.drain_output(output_tasks).await;
            let lines = worker.output.last().join("; ");
            return Err(match error {
                StartError::Ended(_) if lines.is_empty() => StartError::Ended(describe(status)),
                StartError::Ended(_) => StartError::Ended(format!("{}: {lines}", describe(status))),
                error => error,
            });
        }
        Err(_) => {
            worker.process.kill();
            let _ = worker.process.wait().await;
            return Err(StartError::Timeout(context.options.start));
        }
    };
    let _ = worker.abilities.set(ready.abilities);
    enforced.parts.extend(ready.enforced.parts);
    enforced.missing.extend(ready.enforced.missing);
    *worker.enforced.lock().unwrap_or_else(PoisonError::into_inner) = enforced;
    let sockets = sockets.into_iter().map(|socket| {
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket)
    });
    let sockets = sockets.collect::<io::Result<_>>()?;
    Ok(StartedWorker { worker, sockets, control, group, temporary, output_tasks })
}

fn command(spec: &Spec, context: &PoolContext, number: u64, socket: StdStream) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(&context.program);
    command
        .arg0(format!("hhrf: worker {} #{number}", spec.name))
        .arg(WORKER_ARGUMENT)
        // The function's variables come with the setup.
        .env_clear()
        .envs(static_tls::variable())
        .envs(shared_environment())
        .current_dir(spec.assets_dir.as_ref().unwrap_or(&spec.data_dir))
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn group(spec: &Spec, pid: u32, enforced: &mut Enforced) -> Option<Group> {
    let group = Group::new(spec.plan.limits.memory_bytes, spec.plan.threads)
        .and_then(|group| group.add(pid).map(|()| group));
    match group {
        Ok(group) => {
            enforced.parts.push("control group with memory.max and pids.max".to_owned());
            Some(group)
        }
        Err(error) => {
            tracing::debug!(function = spec.name, "no control group: {error}");
            enforced.lacks(
                "control group with memory.max and pids.max; resident memory and threads are polled instead, and \
                 memory of a memfd that is not mapped is not counted",
            );
            None
        }
    }
}

/// The worker's temporary folder. Without one, because the disk is full, most functions work as well.
fn temporary(spec: &Spec, context: &PoolContext, enforced: &mut Enforced) -> Option<TemporaryFolder> {
    match context.temporary.create() {
        Ok(folder) => Some(folder),
        Err(error) => {
            tracing::warn!(function = spec.name, "a worker has no temporary folder: {error}");
            enforced.lacks(&format!("temporary folder: {error}"));
            None
        }
    }
}

/// Sends the header of the setup's frame, with the worker's sockets and shared memory. Returns the host's ends of the
/// sockets, and the rest of the frame, which may be longer than a socket takes at once.
fn set_up(
    spec: &Spec,
    temporary: Option<&Path>,
    control: &StdStream,
    memory: [&OwnedFd; 2],
) -> Result<(Vec<StdStream>, Vec<u8>), StartError> {
    let mut confinement = spec.plan.confinement(&spec.library, spec.assets_dir.as_deref(), &spec.data_dir);
    confinement.writable.extend(temporary.map(Path::to_owned));
    let setup = Setup {
        library: spec.library.clone(),
        id: spec.id.clone(),
        version: spec.version.clone(),
        data_dir: spec.data_dir.clone(),
        assets_dir: spec.assets_dir.clone(),
        log_level: log_level(),
        confinement,
        variables: spec.variables.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        temporary: temporary.map(Path::to_owned),
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..spec.plan.concurrency {
        let (our, their) = StdStream::pair()?;
        ours.push(our);
        theirs.push(their);
    }
    let mut frame = Vec::new();
    let mut encoder = Encoder::new(&mut frame, FrameKind::Setup, 0);
    encoder.rest(&serde_json::to_vec(&setup).map_err(io::Error::from)?);
    encoder.finish().map_err(io::Error::other)?;
    let mut handed: Vec<_> = memory.into_iter().map(AsFd::as_fd).collect();
    handed.extend(theirs.iter().map(AsFd::as_fd));
    let rest = frame.split_off(HEADER_LEN);
    send_with_fds(control, &frame, &handed)?;
    Ok((ours, rest))
}

async fn ready(control: &mut FrameReader, function: &str, worker: u32) -> Result<Ready, StartError> {
    loop {
        let frame = control.next().await.map_err(|error| StartError::Refused(error.to_string()))?;
        let Some((header, payload)) = frame else { return Err(StartError::Ended(String::new())) };
        match header.kind {
            FrameKind::Ready => {
                return serde_json::from_slice(&payload)
                    .map_err(|error| StartError::Refused(error.to_string()));
            }
            FrameKind::Refused => {
                return Err(StartError::Refused(String::from_utf8_lossy(&payload).into_owned()));
            }
            FrameKind::Log => log(function, worker, &payload),
            found => {
                let error = ProtocolError::Unexpected { found, expected: "ready" };
                return Err(StartError::Refused(error.to_string()));
            }
        }
    }
}
