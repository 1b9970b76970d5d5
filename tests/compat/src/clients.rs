//! Real WebSocket clients, each at the listener and at the hosts: `websockets` (PyPI), `ws` (npm), tokio-tungstenite and
//! Chromium.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fezz_testkit::Browser;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::answer::Seen;
use crate::server::Place;

const PATIENCE: Duration = Duration::from_secs(60);

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Websockets,
    Ws,
    Tungstenite,
    Chromium,
}

impl Client {
    pub(crate) const ALL: [Self; 4] = [Self::Websockets, Self::Ws, Self::Tungstenite, Self::Chromium];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Websockets => "client websockets (PyPI)",
            Self::Ws => "client ws (npm)",
            Self::Tungstenite => "client tokio-tungstenite",
            Self::Chromium => "client Chromium",
        }
    }

    /// Why it cannot be run, if it cannot.
    pub(crate) fn missing(self) -> Option<String> {
        let there = match self {
            Self::Websockets => folder().join("python/websockets").is_dir(),
            Self::Ws => folder().join("node/node_modules/ws").is_dir(),
            Self::Tungstenite => true,
            Self::Chromium => in_path("chromium") && in_path("chromedriver"),
        };
        (!there).then(|| {
            format!(
                "{} is not installed: scripts/compat-clients.sh and scripts/needs.sh do that",
                self.name()
            )
        })
    }

    /// Lets it talk to the application `websocket`, and tells what it has seen.
    pub(crate) fn run(self, runtime: &Handle, place: &Place) -> Seen {
        let (base, port) = (format!("ws://{}", place.host), place.address.port().to_string());
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let told = match self {
            Self::Websockets => output(
                Command::new("python3")
                    .arg(scripts.join("echo.py"))
                    .args([&base, &port])
                    .env("PYTHONPATH", folder().join("python")),
            ),
            Self::Ws => output(
                Command::new("node")
                    .arg(scripts.join("echo.cjs"))
                    .args([&base, &port])
                    .env("NODE_PATH", folder().join("node/node_modules")),
            ),
            Self::Tungstenite => Ok(runtime.block_on(tungstenite(place, &base))),
            Self::Chromium => Ok(vec![chromium(place)]),
        };
        let events = told.unwrap_or_else(|error| vec![format!("it cannot be run: {error}")]);
        Seen { answers: Vec::new(), events }
    }
}

/// Where `scripts/compat-clients.sh` puts libraries: beside what cargo builds.
fn folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(Path::new("target")).join("compat-clients")
}

fn in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn output(command: &mut Command) -> io::Result<Vec<String>> {
    let output = command.stdin(Stdio::null()).output()?;
    let mut lines: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    // The last line of an exception is its message.
    lines.extend(String::from_utf8_lossy(&output.stderr).lines().last().map(str::to_owned));
    Ok(lines)
}

async fn tungstenite(place: &Place, base: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let result = tokio::time::timeout(PATIENCE, echo(place, base, &mut seen)).await;
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => seen.push(error.to_string()),
        Err(_) => seen.push("no end in time".into()),
    }
    seen
}

async fn echo(place: &Place, base: &str, seen: &mut Vec<String>) -> Result<(), Error> {
    let stream = TcpStream::connect(place.address).await?;
    let (mut socket, response) = client_async(format!("{base}/echo"), stream).await?;
    seen.push(format!(
        "{} {:?}",
        response.status(),
        response.headers().get("sec-websocket-accept").is_some()
    ));
    let messages = [
        Message::text("text"),
        Message::text("caf\u{e9}"),
        Message::text(""),
        Message::binary(vec![0, 255, 1]),
        Message::binary(vec![7; 4_000_000]),
        Message::Ping("ping".into()),
    ];
    for message in messages {
        socket.send(message.clone()).await?;
        let answer = socket.next().await.transpose()?;
        let length = answer.as_ref().map_or(0, Message::len);
        seen.push(format!(
            "{length} bytes, {} or a pong: {:?}",
            answer.as_ref() == Some(&message),
            answer.map(|answer| answer.is_pong())
        ));
    }
    socket.close(Some(CloseFrame { code: 3001.into(), reason: "enough".into() })).await?;
    while let Some(message) = socket.next().await {
        seen.push(format!("{:?}", message?));
    }
    Ok(())
}

/// Opens the application's page, whose script puts what it has seen into the title.
fn chromium(place: &Place) -> String {
    let browser = Browser::start(&[(&place.host, place.address)]);
    browser.open(&format!("http://{}/page", place.host));
    let title = |browser: &Browser| browser.evaluate("return document.title");
    browser.until(|browser| title(browser).as_str().is_some_and(|title| title.starts_with("done")), &true);
    title(&browser).as_str().map(str::to_owned).unwrap_or_else(|| Value::Null.to_string())
}
