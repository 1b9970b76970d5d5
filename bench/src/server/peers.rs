//! Peers: servers other than axum to compare with. Their programs are in `bench/peers/`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Kind, Process, START_LIMIT, await_address, lines};
use crate::error::BenchError;

/// The peer's program: where `just bench-peers` installs it, or else on the PATH.
pub(super) fn program(kind: &Kind) -> Option<PathBuf> {
    let file = match kind {
        Kind::Deno => "deno",
        Kind::Bun => "bun",
        Kind::Workerd => "workerd",
        Kind::Node => "node",
        Kind::Nginx => "nginx",
        _ => return None,
    };
    let own = std::env::current_exe().ok()?;
    let installed = own.ancestors().nth(2)?.join("peers/node_modules/.bin").join(file);
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian installs servers there, which is not on every user's PATH.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    std::iter::once(installed).chain(folders.map(|folder| folder.join(file))).find(|path| path.exists())
}

/// The peer's name and version; none for other servers.
pub(crate) fn version(kind: &Kind) -> Option<String> {
    let program = program(kind)?;
    let flag = if *kind == Kind::Nginx { "-v" } else { "--version" };
    let output = Command::new(program).arg(flag).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&said).lines().next()?.to_owned();
    let number = line.split([' ', '/']).find(|word| {
        let word = word.trim_start_matches('v');
        word.starts_with(|first: char| first.is_ascii_digit())
    })?;
    Some(format!("{} {}", kind.text(), number.trim_start_matches('v')))
}

/// Starts a peer, which may use `folder`.
pub(super) fn start(kind: &Kind, folder: &Path) -> Result<(SocketAddr, Vec<Process>), BenchError> {
    let missing = || BenchError::NotBuilt(kind.text().into());
    let mut command = Command::new(program(kind).ok_or_else(missing)?);
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    match kind {
        Kind::Nginx => return nginx(command, &peers, folder),
        Kind::Deno => command.args(["run", "--no-config", "-A"]).arg(peers.join("deno.mjs")).arg(folder),
        Kind::Workerd => command.args(["serve", "--control-fd=1"]).arg(peers.join("workerd.capnp")),
        Kind::Bun => command.arg(peers.join("bun.mjs")).arg(folder),
        _ => command.arg(peers.join("node.mjs")).arg(folder),
    };
    let mut process = Process::start(command.stdout(Stdio::piped()))?;
    let lines = lines(process.0.stdout.take());
    let address = await_address(kind.text(), &lines, listening)?;
    Ok((address, vec![process]))
}

/// The address in a line, or the port in workerd's line of JSON.
fn listening(line: &str) -> Option<SocketAddr> {
    let address = line.trim().parse().ok();
    address.or_else(|| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let port = u16::try_from(line["port"].as_u64()?).ok()?;
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    })
}

/// nginx in front of an axum process of its own, both on the server's CPUs.
fn nginx(
    mut command: Command,
    peers: &Path,
    folder: &Path,
) -> Result<(SocketAddr, Vec<Process>), BenchError> {
    let (upstream, axum) = super::axum::start(folder)?;
    let failed = || BenchError::io("configuring nginx");
    // nginx does not tell which port the kernel chose, so one is chosen for it.
    let free =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(failed())?;
    let template = std::fs::read_to_string(peers.join("nginx.conf")).map_err(failed())?;
    let text = template
        .replace("FOLDER", &folder.display().to_string())
        .replace("PORT", &free.port().to_string())
        .replace("UPSTREAM", &upstream.to_string());
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text).map_err(failed())?;
    let process = Process::start(command.arg("-c").arg(file))?;
    let limit = Instant::now() + START_LIMIT;
    while TcpStream::connect(free).is_err() {
        if Instant::now() > limit {
            let (name, said) = ("nginx".to_owned(), String::new());
            return Err(BenchError::NotListening { name, how: "did not listen in time", said });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((free, vec![process, axum]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_both_forms() {
        let expected = "127.0.0.1:4000".parse().ok();
        assert_eq!(listening("127.0.0.1:4000"), expected);
        assert_eq!(listening(r#"{"event":"listen","socket":"http","port":4000}"#), expected);
        assert_eq!(listening("warning: something"), None);
    }
}
