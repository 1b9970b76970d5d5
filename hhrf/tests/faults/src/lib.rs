//! A function that fails in many ways, for the tests of isolation: crashes, hangs, leaks, exhausts resources.

#![expect(unsafe_code, reason = "some faults are impossible in safe code")]

mod forbidden;

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use fezz_sdk::http::StatusCode;
use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};

/// Dispatches by the matched route.
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

/// Logs before it sleeps, for tests that wait for its start.
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
        #[expect(clippy::exit, reason = "the fault")]
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
        // Also removes the limit by which the host recognizes it, as root can.
        "unmarked-stray" => stray("/usr/bin/setsid /usr/bin/prlimit --locks=unlimited"),
        "hidden-memory" => hide_memory(),
        _ => FezzHttpResponse::new(StatusCode::NOT_FOUND),
    }
}

fn segfault() -> ! {
    // SAFETY: none; this is the fault.
    unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) };
    std::process::abort()
}

#[expect(unconditional_recursion, reason = "the fault")]
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

/// Uses this much CPU time, however long that takes.
fn busy(time: Duration) -> FezzHttpResponse {
    let used = || {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the struct is valid.
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

/// Fills a memfd without mapping it: no limit of a process counts that memory.
fn hide_memory() -> FezzHttpResponse {
    // SAFETY: the name ends in NUL.
    let file = unsafe { libc::memfd_create(c"hidden".as_ptr(), 0) };
    let bytes = [1_u8; 1 << 16];
    // SAFETY: the buffer is valid; an invalid descriptor is an error.
    while unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) } > 0 {}
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

/// Writes invalid data to every open socket.
fn garbage() -> FezzHttpResponse {
    for fd in 3..64 {
        // SAFETY: the buffer is valid; an invalid descriptor is an error.
        unsafe { libc::send(fd, b"garbage garbage garbage\n".as_ptr().cast(), 24, 0) };
    }
    FezzHttpResponse::ok().text("written")
}

/// Exits while a large response is being sent.
fn mid_response() -> FezzHttpResponse {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(2));
        // SAFETY: exits the process.
        unsafe { libc::_exit(3) }
    });
    FezzHttpResponse::ok().bytes(vec![7; 256 << 20])
}

/// Starts long-running child processes, and returns their ids.
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

/// Starts a process with `wrapper` that leaves its group and session, and whose parent exits; returns its id.
fn stray(wrapper: &str) -> FezzHttpResponse {
    let script = format!("{wrapper} /bin/sleep 1000 </dev/null >/dev/null 2>&1 & echo $!");
    let started = std::process::Command::new("/bin/sh").args(["-c", &script]).output();
    match started {
        Ok(output) => FezzHttpResponse::ok().text(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(error) => FezzHttpResponse::new(StatusCode::FORBIDDEN).text(error.to_string()),
    }
}

/// Writes to the data directory until that fails, and returns the error.
fn fill_disk() -> FezzHttpResponse {
    let path = fezz_sdk::data_dir().unwrap_or(std::path::Path::new(".")).join("large");
    let written = File::create(&path).and_then(|mut file| {
        let bytes = vec![7_u8; 1 << 20];
        (0..4096).try_for_each(|_| file.write_all(&bytes))
    });
    let _ = std::fs::remove_file(&path);
    match written {
        Ok(()) => FezzHttpResponse::ok().text("never full"),
        Err(error) => FezzHttpResponse::new(StatusCode::INSUFFICIENT_STORAGE).text(error.to_string()),
    }
}
