//! Standard output and error of the functions in this process.
//!
//! They write to both as to files of their own (`println!`, panics, C libraries). A reader that stalls would stop them, and
//! one that is gone would make each `println!` a panic. So both lead into pipes of this process, whose readers pass on what
//! comes, or drop it, and never wait.

use std::io::{self, PipeReader, Read, Write};
use std::thread;

use rustix::stdio::{dup2_stderr, dup2_stdout};

/// The most that is passed on at once; as much as a pipe holds.
const PIECE: usize = 64 << 10;

/// Has standard output and error lead to these, from now on.
///
/// # Errors
/// Those of the system. What is replaced by then stays so.
pub(super) fn replace(
    output: impl Write + Send + 'static,
    error: impl Write + Send + 'static,
) -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    pass_on("stdout", reader, output)?;
    dup2_stdout(&writer)?;
    let (reader, writer) = io::pipe()?;
    pass_on("stderr", reader, error)?;
    dup2_stderr(&writer)?;
    Ok(())
}

/// Passes on whole lines, as far as they fit.
fn pass_on(name: &str, mut from: PipeReader, mut to: impl Write + Send + 'static) -> io::Result<()> {
    let pass = move || {
        let (mut buffer, mut filled) = (vec![0; PIECE], 0);
        while let Ok(count @ 1..) = from.read(&mut buffer[filled..]) {
            filled += count;
            let line_break = buffer[..filled].iter().rposition(|byte| *byte == b'\n');
            // The start of a line waits for its end, which another line of the log might separate it from.
            let whole = line_break.map_or(if filled == PIECE { PIECE } else { 0 }, |at| at + 1);
            let _ = to.write_all(&buffer[..whole]);
            buffer.copy_within(whole..filled, 0);
            filled -= whole;
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(pass).map(drop)
}
