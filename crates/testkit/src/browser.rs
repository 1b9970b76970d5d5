//! [`Browser`]: a real Chromium without a window, for tests of what a browser does.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::build::find_program;

/// Timeout for any one command; a browser on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END: Duration = Duration::from_secs(5);

/// No window, no sandbox of its own (which root cannot have), and no connections but those of the test.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
    "--window-size=1000,800",
];

/// A running browser with an empty profile. Dropping it ends the browser.
///
/// ```ignore
/// let browser = Browser::start(&[("*.example.test", host.address())]);
/// browser.open("http://one.example.test/login");
/// browser.fill("input[name=user]", "ann");
/// browser.click("button");
/// assert_eq!(browser.text("h1"), "Hello, ann");
/// ```
#[derive(Debug)]
pub struct Browser {
    client: Client,
    runtime: Runtime,
    driver: Driver,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium. Host names that match a pattern, such as `*.example.test`, lead to the address beside it,
    /// whatever port the URL names.
    #[track_caller]
    pub fn start(hosts: &[(&str, SocketAddr)]) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let driver = Driver::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let rules: Vec<_> = hosts.iter().map(|(name, address)| format!("MAP {name} {address}")).collect();
        let mut flags: Vec<_> = FLAGS.map(str::to_owned).into();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        flags.push(format!("--host-resolver-rules={}", rules.join(", ")));
        let millis = PATIENCE.as_millis();
        let capabilities = json!({
            "goog:chromeOptions": { "binary": program("chromium"), "args": flags },
            "timeouts": { "script": millis, "pageLoad": millis, "implicit": 0 }
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().expect("an object").clone());
        let url = format!("http://127.0.0.1:{}", driver.port);
        let started = bounded(&runtime, "the start", builder.connect(&url));
        Self { client: started.expect("Chromium starts"), runtime, driver, _profile: profile }
    }

    /// Runs commands of [`fantoccini`] that have no method here.
    #[track_caller]
    pub fn run<T>(&self, commands: impl AsyncFnOnce(Client) -> Result<T, CmdError>) -> T {
        self.command("the commands", commands(self.client.clone()))
    }

    /// Opens a page, and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.command(url, self.client.goto(url));
    }

    /// The address of the page.
    #[track_caller]
    pub fn url(&self) -> String {
        self.command("its address", self.client.current_url()).to_string()
    }

    /// The visible text of an element (a CSS selector), as soon as it is there.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        self.command(css, async { self.find(css).await?.text().await })
    }

    /// Whether the page has such an element now.
    #[track_caller]
    pub fn has(&self, css: &str) -> bool {
        !self.command(css, self.client.find_all(Locator::Css(css))).is_empty()
    }

    /// Clicks an element, as soon as it is there. A page that follows may still be loading.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.command(css, async { self.find(css).await?.click().await });
    }

    /// Types into an element that is emptied before.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        self.command(css, async {
            let element = self.find(css).await?;
            element.clear().await?;
            element.send_keys(text).await
        });
    }

    /// The result of an async function's body in the page, such as `return (await fetch("/")).status`.
    #[track_caller]
    pub fn evaluate(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; (async () => {{ {body} }})()\
             .then(value => done({{ value: value ?? null }}), error => done({{ error: String(error) }}))"
        );
        let result = self.command(body, self.client.execute_async(&script, Vec::new()));
        assert!(result["error"].is_null(), "{body}: {}", result["error"]);
        result["value"].clone()
    }

    /// Asks until the answer is this one.
    #[track_caller]
    pub fn until<T: PartialEq + std::fmt::Debug>(&self, ask: impl Fn(&Self) -> T, expected: &T) {
        crate::wait::until_within(
            PATIENCE,
            || ask(self),
            |found| found == expected,
            || format!("{expected:?} at {}", self.url()),
        );
    }

    /// Opens one more tab, in which the next commands run. It shares its cookies with the others.
    #[track_caller]
    pub fn new_tab(&self) -> Tab {
        self.run(async |client| {
            let handle = client.new_window(true).await?.handle;
            client.switch_to_window(handle.clone()).await?;
            Ok(Tab(handle))
        })
    }

    /// The tab in which commands run now.
    #[track_caller]
    pub fn tab(&self) -> Tab {
        Tab(self.command("the tab", self.client.window()))
    }

    /// Runs the next commands in this tab.
    #[track_caller]
    pub fn switch_to(&self, tab: &Tab) {
        self.command("the tab", self.client.switch_to_window(tab.0.clone()));
    }

    /// The page as it looks, as a PNG image.
    #[track_caller]
    pub fn screenshot(&self) -> Vec<u8> {
        self.command("a screenshot", self.client.screenshot())
    }

    async fn find(&self, css: &str) -> Result<fantoccini::elements::Element, CmdError> {
        self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await
    }

    #[track_caller]
    fn command<T>(&self, what: &str, command: impl Future<Output = Result<T, CmdError>>) -> T {
        bounded(&self.runtime, what, command).unwrap_or_else(|error| panic!("{what}: {error}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = self.client.clone().close();
        // Whether it has ended or not: the driver ends it too.
        let _ = self.runtime.block_on(async { tokio::time::timeout(END, close).await });
        self.driver.end();
    }
}

/// A tab of a [`Browser`].
#[derive(Clone, Debug)]
pub struct Tab(fantoccini::wd::WindowHandle);

#[track_caller]
fn bounded<T>(runtime: &Runtime, what: &str, future: impl Future<Output = T>) -> T {
    let result = runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await });
    result.unwrap_or_else(|_| panic!("the browser took more than {PATIENCE:?} for {what}"))
}

/// chromedriver, which starts and ends the browser.
#[derive(Debug)]
struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// On a port that the kernel has chosen.
    #[track_caller]
    fn start() -> Self {
        let mut child = Command::new(program("chromedriver"))
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port: port.expect("chromedriver says which port it listens on") }
    }

    /// With SIGTERM it ends its browsers before itself.
    fn end(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn program(name: &str) -> std::path::PathBuf {
    find_program(name, [])
        .unwrap_or_else(|| panic!("{name} is not installed: apt-get install chromium chromium-driver"))
}
