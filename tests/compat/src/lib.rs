//! Compares applications on axum's own listener with the same applications on the host, in process and isolated.
//!
//! Nothing that is expected is written by hand: the listener's answer is the reference.

mod answer;
mod clients;
mod compare;
mod grpc;
mod http1;
mod http2;
mod jar;
mod known;
mod report;
mod server;
mod socket;
mod variants;

use std::path::Path;
use std::{io, panic, thread};

use fezz_compat_apps::script::Step;
use fezz_compat_apps::{APPS, App};
use fezz_testkit::Running;
use tokio::runtime::Handle;

use answer::Seen;
use clients::Client;
use known::Known;
use report::{Report, Row};
use server::{Mode, Place};
use variants::{Protocol, Sent};

/// The name of the threads on which applications run in this process.
const LISTENER: &str = "listener";

/// What is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Sends each request in every way, and not only as it is written.
    pub full: bool,
    /// These applications alone, if there are any.
    pub apps: Vec<String>,
    /// Differences to show of each application.
    pub show: usize,
    /// Compares the listener with more listeners, and not with the host: finds answers that differ by chance.
    pub itself: bool,
}

/// Runs the suite and prints its table. False if there is a difference that is not known.
///
/// # Errors
/// A server cannot be started, or the list of known differences cannot be read.
pub fn run(options: &Options) -> io::Result<bool> {
    let chosen = |app: &&App| options.apps.is_empty() || options.apps.iter().any(|name| name == app.name);
    let apps: Vec<_> = APPS.iter().filter(chosen).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name(LISTENER).enable_all().build()?;
    silence_panics();
    let folder = tempfile::tempdir()?;
    let hosts = if options.itself { Vec::new() } else { start_hosts(&apps)? };
    let mut report = Report::new(Known::read()?, options.show);
    for app in &apps {
        let listener = server::serve(runtime.handle(), app, folder.path())?;
        let others = if options.itself {
            let more = ["second", "third"]
                .map(|name| server::serve(runtime.handle(), app, &folder.path().join(name)));
            more.into_iter().collect::<io::Result<Vec<_>>>()?
        } else {
            hosts.iter().map(|hosts| hosts.place(app)).collect()
        };
        let row = compare(runtime.handle(), app, &listener, &others, options.full, &mut report);
        report.row(&row)?;
    }
    report.end(options.full && options.apps.is_empty() && !options.itself)
}

/// The hosts of one way of running functions: one for most applications, and one for each that needs it.
struct Hosts {
    shared: Running,
    alone: Vec<(&'static str, Running)>,
}

impl Hosts {
    fn start(mode: Mode, apps: &[&App], library: &Path) -> io::Result<Self> {
        let (alone, shared): (Vec<&App>, Vec<&App>) = apps.iter().partition(|app| app.alone());
        let alone =
            alone.into_iter().map(|app| Ok((app.name, server::start_host(mode, &[app], true, library)?)));
        Ok(Self {
            alone: alone.collect::<io::Result<_>>()?,
            shared: server::start_host(mode, &shared, false, library)?,
        })
    }

    fn place(&self, app: &App) -> Place {
        let own = self.alone.iter().find(|(name, _)| *name == app.name);
        server::place(own.map_or(&self.shared, |(_, host)| host), app)
    }
}

/// Hosts for each way of running functions.
fn start_hosts(apps: &[&App]) -> io::Result<Vec<Hosts>> {
    let library = server::library();
    Mode::ALL.into_iter().map(|mode| Hosts::start(mode, apps, &library)).collect()
}

/// Sends an application's script to its listener and to the others at once, and compares.
fn compare(
    runtime: &Handle,
    app: &App,
    listener: &Place,
    others: &[Place],
    full: bool,
    report: &mut Report,
) -> Row {
    let sent = variants::of((app.script)(), full);
    let seen: Vec<Vec<Option<Seen>>> = thread::scope(|scope| {
        let places = std::iter::once(listener).chain(others);
        let clients: Vec<_> = places.map(|place| scope.spawn(|| play(runtime, place, &sent))).collect();
        clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect()
    });
    let mut row = Row::new(app.name);
    if app.name == "websocket" {
        for client in Client::ALL {
            clients(runtime, client, listener, others, &mut row, report);
        }
    }
    for (at, sent) in sent.iter().enumerate() {
        let Some(reference) = &seen[0][at] else { continue };
        row.requests += 1;
        for (mode, answers) in Mode::ALL.into_iter().zip(&seen[1..]) {
            let Some(answer) = &answers[at] else { continue };
            report.step(&mut row, mode, &sent.name, compare::compare(reference, answer));
        }
    }
    row
}

/// Lets a real client talk to the listener and to the others, one after the other.
fn clients(
    runtime: &Handle,
    client: Client,
    listener: &Place,
    others: &[Place],
    row: &mut Row,
    report: &mut Report,
) {
    if let Some(missing) = client.missing() {
        report.left_out(missing);
        return;
    }
    let reference = client.run(runtime, listener);
    row.requests += 1;
    for (mode, place) in Mode::ALL.into_iter().zip(others) {
        let seen = client.run(runtime, place);
        report.step(row, mode, client.name(), compare::compare(&reference, &seen));
    }
}

/// Sends everything in turn. None where no client can send a request.
fn play(runtime: &Handle, place: &Place, sent: &[Sent]) -> Vec<Option<Seen>> {
    let mut jar = jar::Jar::default();
    let mut one = |sent: &Sent| match (&sent.step, sent.protocol) {
        (Step::Raw(raw), _) => Some(http1::send_raw(place, raw)),
        (Step::Call(call), _) => Some(runtime.block_on(grpc::call(place, call))),
        (Step::Socket(socket), _) => Some(socket::play(place, socket)),
        (Step::Request(request), Protocol::Http1) => Some(http1::send(place, request, "HTTP/1.1", &mut jar)),
        (Step::Request(request), Protocol::Http10) => Some(http1::send(place, request, "HTTP/1.0", &mut jar)),
        (Step::Request(request), Protocol::Http2) => runtime.block_on(http2::send(place, request)),
    };
    sent.iter().map(&mut one).collect()
}

/// Applications panic on purpose. What they say then is of no use in the report.
fn silence_panics() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() != Some(LISTENER) {
            hook(info);
        }
    }));
}
