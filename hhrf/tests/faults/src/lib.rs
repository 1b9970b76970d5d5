//! A function that goes wrong in every way there is, for the tests of isolation.

#![expect(unsafe_code, reason = "going wrong takes what safe code cannot do")]

mod forbidden;

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use fezz_sdk::http::StatusCode;
use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// Picks what to do by the last word of the matched route.
#[fezz_function]
pub fn faults(req: FezzHttpRequest) -> FezzHttpResponse {
    let ok = FezzHttpResponse::ok();
    match req.matched_route() {
        "/ping" => ok.text("pong"),
        "/pid" => ok.text(std::process::id().to_string()),
        "/env" => ok.text(environment()),
        "/sleep/{ms}" => sleep(&req),
        "/fault/{kind}" => fault(req.param("kind").unwrap_or_default()),
        "/forbidden/{what}" => ok.text(forbidden::attempt(
            req.param("what").unwrap_or_default(),
            std::str::from_utf8(req.body()).unwrap_or_default(),
        )),
        _ => FezzHttpResponse::new(StatusCode::NOT_IMPLEMENTED),
    }
}

fn environment() -> String {
    let mut names: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    names.sort();
    names.join("\n")
}

/// Says that it is there before it sleeps, for tests that have to know.
fn sleep(req: &FezzHttpRequest) -> FezzHttpResponse {
    let ms = req.param("ms").and_then(|ms| ms.parse().ok()).unwrap_or(0);
    log::info!("sleeping");
    std::thread::sleep(Duration::from_millis(ms));
    FezzHttpResponse::ok().text("slept")
}

fn fault(kind: &str) -> FezzHttpResponse {
    let ok = FezzHttpResponse::ok();
    match kind {
        "segfault" => segfault(),
        "abort" => std::process::abort(),
        #[expect(clippy::exit, reason = "it is the fault that is asked for")]
        "exit" => std::process::exit(0),
        "overflow" => ok.text(overflow(1).to_string()),
        "double-panic" => double_panic(),
        "loop" => forever(),
        "busy" => busy(Duration::from_millis(300)),
        "deadlock" => deadlock(),
        // SAFETY: raising a signal has no requirements.
        "stop" => ok.text(unsafe { libc::raise(libc::SIGSTOP) }.to_string()),
        "memory" => ok.text(exhaust_memory().to_string()),
        "descriptors" => ok.text(exhaust_descriptors().to_string()),
        "threads" => ok.text(leak_threads().to_string()),
        "garbage" => garbage(),
        "mid-response" => mid_response(),
        "disk" => fill_disk(),
        "children" => children(),
        "stray" => stray("/usr/bin/setsid"),
        // As it could where it runs as root: it is not known by its mark any more.
        "unmarked-stray" => stray("/usr/bin/setsid /usr/bin/prlimit --locks=unlimited"),
        "hidden-memory" => hide_memory(),
        _ => FezzHttpResponse::new(StatusCode::NOT_FOUND),
    }
}

fn segfault() -> ! {
    // SAFETY: none; this is the fault that is asked for.
    unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) };
    std::process::abort()
}

#[expect(unconditional_recursion, reason = "it is the fault that is asked for")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 256]);
    overflow(depth + 1) + frame[usize::from(depth > 7)]
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("and again while the first one unwinds");
    }
}

fn double_panic() -> ! {
    let _guard = PanicsInDrop;
    panic!("the first of two");
}

fn forever() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// Uses so much of the processor's time, however long that takes.
fn busy(time: Duration) -> FezzHttpResponse {
    let used = || {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the struct is there.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
    };
    let begin = used();
    while used() < begin + time {
        std::hint::spin_loop();
    }
    FezzHttpResponse::ok().text("worked")
}

fn deadlock() -> ! {
    static LOCK: Mutex<()> = Mutex::new(());
    let _first = LOCK.lock();
    let _second = LOCK.lock();
    unreachable!("a lock was taken twice")
}

fn exhaust_memory() -> usize {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&kept);
    }
}

/// Fills memory that is mapped nowhere: no limit of a process counts it.
fn hide_memory() -> FezzHttpResponse {
    // SAFETY: the name is there, and ends with a zero.
    let file = unsafe { libc::memfd_create(c"hidden".as_ptr(), 0) };
    let piece = [1_u8; 1 << 16];
    // SAFETY: the bytes are there; a descriptor that is none is an error.
    while unsafe { libc::write(file, piece.as_ptr().cast(), piece.len()) } > 0 {}
    FezzHttpResponse::ok().text("never too much")
}

fn exhaust_descriptors() -> usize {
    static KEPT: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().expect("no thread panics with it");
    while let Ok(file) = File::open("/dev/null") {
        kept.push(file);
    }
    kept.len()
}

fn leak_threads() -> usize {
    let leak = |_: &usize| {
        let thread = std::thread::Builder::new().stack_size(64 << 10);
        thread.spawn(|| std::thread::sleep(Duration::from_secs(3600))).is_ok()
    };
    (0..200).filter(leak).count()
}

/// Writes what is no protocol to every socket that there is.
fn garbage() -> FezzHttpResponse {
    for fd in 3..64 {
        // SAFETY: the bytes are there; a descriptor that is none is an error.
        unsafe { libc::send(fd, b"garbage garbage garbage\n".as_ptr().cast(), 24, 0) };
    }
    FezzHttpResponse::ok().text("written")
}

/// A body that takes a while to be sent, and an end before that.
fn mid_response() -> FezzHttpResponse {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(2));
        // SAFETY: ends the process.
        unsafe { libc::_exit(3) }
    });
    FezzHttpResponse::ok().bytes(vec![7; 256 << 20])
}

/// Starts processes that go on for longer than anybody waits, and tells which.
fn children() -> FezzHttpResponse {
    let start = |_| std::process::Command::new("/bin/sleep").arg("1000").spawn();
    let started: Result<Vec<_>, _> = (0..3).map(start).collect();
    match started {
        Ok(started) => {
            let ids: Vec<_> = started.iter().map(|child| child.id().to_string()).collect();
            FezzHttpResponse::ok().text(ids.join(" "))
        }
        Err(error) => FezzHttpResponse::new(StatusCode::FORBIDDEN).text(error.to_string()),
    }
}

/// Starts a process through `how`, which leaves its group and session, and whose parent ends; tells which.
fn stray(how: &str) -> FezzHttpResponse {
    let script = format!("{how} /bin/sleep 1000 </dev/null >/dev/null 2>&1 & echo $!");
    let started = std::process::Command::new("/bin/sh").args(["-c", &script]).output();
    match started {
        Ok(output) => FezzHttpResponse::ok().text(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(error) => FezzHttpResponse::new(StatusCode::FORBIDDEN).text(error.to_string()),
    }
}

/// Writes to the data directory until that fails, and tells how.
fn fill_disk() -> FezzHttpResponse {
    let path = fezz_sdk::data_dir().unwrap_or(std::path::Path::new(".")).join("large");
    let written = File::create(&path).and_then(|mut file| {
        let piece = vec![7_u8; 1 << 20];
        (0..4096).try_for_each(|_| file.write_all(&piece))
    });
    let _ = std::fs::remove_file(&path);
    match written {
        Ok(()) => FezzHttpResponse::ok().text("never full"),
        Err(error) => FezzHttpResponse::new(StatusCode::INSUFFICIENT_STORAGE).text(error.to_string()),
    }
}
