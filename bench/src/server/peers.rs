//! The servers that hhrf is held against besides bare axum. What they do is in `bench/peers/`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Name, Process, START_LIMIT, await_address, lines};
use crate::error::BenchError;

/// The peer's program: where `just bench-peers` has put it, or else on the PATH.
pub(super) fn program(name: Name) -> Option<PathBuf> {
    let file = match name {
        Name::Deno => "deno",
        Name::Bun => "bun",
        Name::Workerd => "workerd",
        Name::Node => "node",
        Name::Nginx => "nginx",
        Name::BareAxum | Name::Contract | Name::Hhrf => return None,
    };
    let own = std::env::current_exe().ok()?;
    let installed = own.ancestors().nth(2)?.join("peers/node_modules/.bin").join(file);
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian's servers are where a user's PATH does not always lead.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    std::iter::once(installed).chain(folders.map(|folder| folder.join(file))).find(|path| path.exists())
}

/// What the peer says of its version.
pub(crate) fn version(name: Name) -> Option<String> {
    let program = program(name)?;
    let flag = if name == Name::Nginx { "-v" } else { "--version" };
    let output = Command::new(program).arg(flag).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&said).lines().next()?.to_owned();
    let number = line.split([' ', '/']).find(|word| {
        let word = word.trim_start_matches('v');
        word.starts_with(|first: char| first.is_ascii_digit())
    })?;
    Some(format!("{} {}", name.text(), number.trim_start_matches('v')))
}

/// Starts a peer; `folder` is its own.
pub(super) fn start(name: Name, folder: &Path) -> Result<(SocketAddr, Vec<Process>), BenchError> {
    let missing = || BenchError::NotBuilt(name.text().into());
    let mut command = Command::new(program(name).ok_or_else(missing)?);
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    match name {
        Name::Nginx => return nginx(command, &peers, folder),
        Name::Deno => command.args(["run", "--no-config", "-A"]).arg(peers.join("deno.mjs")).arg(folder),
        Name::Workerd => command.args(["serve", "--control-fd=1"]).arg(peers.join("workerd.capnp")),
        Name::Bun => command.arg(peers.join("bun.mjs")).arg(folder),
        _ => command.arg(peers.join("node.mjs")).arg(folder),
    };
    let mut process = Process::start(command.stdout(Stdio::piped()))?;
    let lines = lines(process.0.stdout.take());
    let address = await_address(name.text(), &lines, listening)?;
    Ok((address, vec![process]))
}

/// An address, or workerd's line of JSON, which has the port.
fn listening(line: &str) -> Option<SocketAddr> {
    let address = line.trim().parse().ok();
    address.or_else(|| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let port = u16::try_from(line["port"].as_u64()?).ok()?;
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    })
}

/// nginx in front of an axum process of its own, both on the server's core.
fn nginx(
    mut command: Command,
    peers: &Path,
    folder: &Path,
) -> Result<(SocketAddr, Vec<Process>), BenchError> {
    let (upstream, axum) = super::axum::start(folder)?;
    let failed = || BenchError::io("configuring nginx");
    // It cannot say which port the kernel chose, so that one is chosen for it.
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
            let (name, said) = ("nginx", String::new());
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
