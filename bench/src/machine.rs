//! The machine: pinning, processor time, and what a recorded figure has to say about where it was taken.

use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Pins this thread, and what it starts from now on, to one core; whether that was done.
#[cfg(target_os = "linux")]
pub(crate) fn pin(core: usize) -> bool {
    let enough = std::fs::read_dir("/sys/devices/system/cpu/cpu1").is_ok();
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    enough && rustix::thread::sched_setaffinity(None, &set).is_ok()
}

/// Nothing to pin with.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_core: usize) -> bool {
    false
}

/// Processor time of this process so far.
pub(crate) fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Processor, system, compiler, date, commit.
pub(crate) fn describe() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    format!(
        "{model}, {cores} cores; {}; {}; {}; commit {}",
        output("uname", &["-sr"]),
        output("rustc", &["--version"]),
        output("date", &["-u", "+%Y-%m-%d"]),
        output("git", &["rev-parse", "--short", "HEAD"]),
    )
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
