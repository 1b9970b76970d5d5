//! The machine: pinning, processor time, and what a recorded figure has to say about where it was taken.

use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::error::BenchError;

/// How much of a CPU others may use without disturbing: a clock tick or two in a look, or the system's own chores.
pub(crate) const QUIET: f64 = 0.1;

/// Which core each side runs on, or why they are not pinned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cores {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux pins"))]
    Pinned {
        server: usize,
        load: usize,
    },
    Free(&'static str),
}

impl Cores {
    /// The first two cores that this process may use: not always 0 and 1, in a container or under `taskset`.
    #[cfg(target_os = "linux")]
    pub(crate) fn plan() -> Self {
        use rustix::thread::{CpuSet, sched_getaffinity};
        let Ok(allowed) = sched_getaffinity(None) else {
            return Self::Free("the system does not tell its cores");
        };
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        match (cores.next(), cores.next()) {
            (Some(server), Some(load)) => Self::Pinned { server, load },
            _ => Self::Free("there is one core only, so server and load share it"),
        }
    }

    /// Nothing to pin with.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn plan() -> Self {
        Self::Free("this system cannot pin")
    }

    /// Moves to the server's core; children that are started from now on stay there.
    pub(crate) fn be_server(self) -> Result<(), BenchError> {
        if let Self::Pinned { server, .. } = self { pin(server) } else { Ok(()) }
    }

    /// Moves to the load's core.
    pub(crate) fn be_load(self) -> Result<(), BenchError> {
        if let Self::Pinned { load, .. } = self { pin(load) } else { Ok(()) }
    }

    /// For the report.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Free(why) => format!("NOT pinned ({why})"),
            Self::Pinned { server, load } if siblings(server, load) => {
                format!("server on CPU {server}, load on CPU {load}, which are two threads of ONE core")
            }
            Self::Pinned { server, load } => format!("server on CPU {server}, load on CPU {load}"),
        }
    }
}

#[cfg(target_os = "linux")]
fn pin(core: usize) -> Result<(), BenchError> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| BenchError::io(format!("pinning to CPU {core}"))(error.into()))
}

#[cfg(not(target_os = "linux"))]
fn pin(_core: usize) -> Result<(), BenchError> {
    Ok(())
}

/// Whether two CPUs are hyper-threads of one core. Linux writes such a list as "0-1" or "0,64".
fn siblings(one: usize, other: usize) -> bool {
    let file = format!("/sys/devices/system/cpu/cpu{one}/topology/thread_siblings_list");
    let list = std::fs::read_to_string(file).unwrap_or_default();
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&other))
    })
}

/// Processor time of this process so far.
pub(crate) fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Processor time so far of another process and of those that it has started; none where the system does not tell.
pub(crate) fn cpu_time_of(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let own = ticks(&stat).map(to_time)?;
    // A child that has ended meanwhile has no time any more.
    Some(own + children(process).into_iter().filter_map(cpu_time_of).sum::<Duration>())
}

/// What the threads of a process have started.
fn children(process: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Processor time of all programs together, on all CPUs; none where the system does not tell. Interrupts are left out:
/// the network's belong to no program.
pub(crate) fn busy_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    Some(to_time(busy_ticks(&stat)?))
}

/// User, nice, system and stolen time of the line of all CPUs.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    Some(fields.get(..3)?.iter().sum::<u64>() + fields.get(7)?)
}

/// Waits for a moment in which nobody else uses the machine, at most so long.
pub(crate) fn await_quiet(limit: Duration) {
    const LOOK: Duration = Duration::from_millis(200);
    let end = std::time::Instant::now() + limit;
    while let Some(before) = busy_time().filter(|_| std::time::Instant::now() < end) {
        std::thread::sleep(LOOK);
        let used = busy_time().map_or(Duration::ZERO, |now| now.saturating_sub(before));
        if used.as_secs_f64() <= LOOK.as_secs_f64() * QUIET {
            return;
        }
    }
}

fn to_time(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// User and system time, the 14th and 15th field. The 2nd, the name, may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Processor, system, compiler, date, and the commit where it is known.
pub(crate) fn describe() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = std::fs::read_dir("/sys/devices/system/cpu").map_or(0, |entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter(|name| is_cpu(&name.to_string_lossy())).count()
    });
    let mut parts = vec![format!("{model}, {cores} CPUs")];
    parts.extend(output("uname", &["-sr"]));
    parts.extend(output("rustc", &["--version"]));
    parts.extend(output("date", &["-u", "+%Y-%m-%d"]));
    // "-dirty" where the tree holds changes: such a figure belongs to no commit.
    let commit = output("git", &["describe", "--always", "--dirty", "--exclude=*"]);
    parts.extend(commit.map(|commit| format!("commit {commit}")));
    parts.join("; ")
}

/// "cpu0", not "cpufreq".
fn is_cpu(name: &str) -> bool {
    name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// What a command prints; nothing where it fails.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 30 12 5 5 20 0 1 0 99 1 1";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn busy_time_leaves_out_idling_and_interrupts() {
        assert_eq!(busy_ticks("cpu  100 20 3 9000 800 70 60 5 0 0\ncpu0 1 1 1"), Some(128));
        assert_eq!(busy_ticks("cpu"), None);
    }

    #[test]
    fn cpu_entries_are_counted_not_their_neighbours() {
        assert!(is_cpu("cpu0") && is_cpu("cpu127"));
        assert!(!is_cpu("cpufreq") && !is_cpu("cpuidle") && !is_cpu("online"));
    }
}
