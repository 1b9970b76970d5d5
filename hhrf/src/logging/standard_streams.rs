//! Standard output and error of the functions in this process.
//!
//! They write to both as to files of their own (`println!`, panics, C libraries). A reader that stalls would stop them, and
//! one that is gone would make each `println!` a panic. So both lead into pipes of this process, whose readers pass on what
//! comes, or drop it, and never wait.

use std::io::{self, PipeReader, Write};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::stdio::{dup2_stderr, dup2_stdout};
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Builder;

/// The most that is passed on at once; as much as a pipe holds.
const PIECE: usize = 64 << 10;
/// How long lines are left in the pipe, while it is not half full: if the process crashes by then, its supervisor finds there
/// what it printed last.
const LEAVE: Duration = Duration::from_millis(20);

/// Has standard output and error lead to these, from now on.
///
/// # Errors
/// Those of the system. What is replaced by then stays so.
pub(super) fn replace(
    output: impl Write + Send + 'static,
    error: impl Write + Send + 'static,
) -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    read_on_a_thread("stdout", reader, output)?;
    dup2_stdout(&writer)?;
    let (reader, writer) = io::pipe()?;
    read_on_a_thread("stderr", reader, error)?;
    dup2_stderr(&writer)?;
    Ok(())
}

/// A thread of its own, and a runtime on it: functions can block all others.
fn read_on_a_thread(name: &str, from: PipeReader, to: impl Write + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let read = move || {
        // Without a reader, writing fails; that ends the functions' output and nothing else.
        let _ = runtime.block_on(pass_on(from.into(), to));
    };
    thread::Builder::new().name(name.to_owned()).spawn(read).map(drop)
}

/// Passes on whole lines, as far as they fit.
async fn pass_on(from: OwnedFd, mut to: impl Write) -> io::Result<()> {
    let from = Receiver::from_owned_fd(from)?;
    let (mut buffer, mut filled) = (vec![0; PIECE], 0);
    loop {
        from.readable().await?;
        if ioctl_fionread(&from).is_ok_and(|bytes| bytes < PIECE as u64 / 2) {
            tokio::time::sleep(LEAVE).await;
        }
        match from.try_read(&mut buffer[filled..]) {
            Ok(0) => return Ok(()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        let line_break = buffer[..filled].iter().rposition(|byte| *byte == b'\n');
        // The start of a line waits for its end, which another line of the log might separate it from.
        let whole = line_break.map_or(if filled == PIECE { PIECE } else { 0 }, |at| at + 1);
        to.write_all(&buffer[..whole])?;
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}
