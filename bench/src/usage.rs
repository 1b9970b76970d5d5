//! Processor time and memory of processes. All but the own time is read from /proc, and unknown where there is none.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
pub(crate) use linux::{busy_time, cpu_time_of, processor, resident_kib, serving};
#[cfg(not(target_os = "linux"))]
pub(crate) use unknown::{busy_time, cpu_time_of, processor, resident_kib, serving};

/// Processor time of this process so far.
pub(crate) fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use procfs::process::Process;
    use procfs::{CpuInfo, CpuTime, CurrentSI, KernelStats, ProcResult};

    /// Processor time so far of a process and its descendants.
    pub(crate) fn cpu_time_of(process: u32) -> Option<Duration> {
        let process = open(process).ok()?;
        let stat = process.stat().ok()?;
        // A child that has ended meanwhile counts no more.
        let children = children(&process).into_iter().filter_map(cpu_time_of).sum::<Duration>();
        Some(to_time(stat.utime + stat.stime) + children)
    }

    /// Processor time of all programs together, on all CPUs. Without interrupts: the network's belong to no program.
    pub(crate) fn busy_time() -> Option<Duration> {
        Some(to_time(busy_ticks(&KernelStats::current().ok()?.total)))
    }

    fn busy_ticks(total: &CpuTime) -> u64 {
        total.user + total.nice + total.system + total.steal.unwrap_or_default()
    }

    /// The process that a supervisor runs to serve; none if this process is no supervisor.
    pub(crate) fn serving(supervisor: u32) -> Option<u32> {
        let is_serving = |child: &u32| {
            let arguments = open(*child).and_then(|child| child.cmdline()).unwrap_or_default();
            arguments.iter().any(|argument| argument == "--supervised")
        };
        children(&open(supervisor).ok()?).into_iter().find(is_serving)
    }

    /// Resident memory of a process, in KiB.
    pub(crate) fn resident_kib(process: u32) -> Option<u64> {
        open(process).and_then(|process| process.status()).ok()?.vmrss
    }

    /// The processor's model and the number of CPUs.
    pub(crate) fn processor() -> Option<String> {
        use procfs::Current;
        let info = CpuInfo::current().ok()?;
        let model = info.model_name(0).unwrap_or("unknown processor");
        Some(format!("{model}, {} CPUs", info.num_cores()))
    }

    fn open(process: u32) -> ProcResult<Process> {
        Process::new(i32::try_from(process).unwrap_or_default())
    }

    fn children(process: &Process) -> Vec<u32> {
        let threads = process.tasks().into_iter().flatten().flatten();
        threads.filter_map(|thread| thread.children().ok()).flatten().collect()
    }

    fn to_time(ticks: u64) -> Duration {
        Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64)
    }

    #[cfg(test)]
    mod tests {
        use std::process::Command;

        use super::*;

        #[test]
        fn children_count_for_their_parent() {
            let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
            let found = children(&open(std::process::id()).expect("this process"));
            let (time, memory) = (cpu_time_of(child.id()), resident_kib(child.id()));
            child.kill().expect("a kill");
            child.wait().expect("its end");
            assert!(found.contains(&child.id()), "{found:?}");
            assert!(time.is_some() && memory.is_some_and(|kib| kib > 0));
            assert_eq!(cpu_time_of(child.id()), None);
        }

        #[test]
        fn busy_time_leaves_out_idling_and_interrupts() {
            let text = "cpu  100 20 3 9000 800 70 60 5 0 0\nctxt 1\nbtime 1\nprocesses 1\n";
            let info = procfs::ExplicitSystemInfo {
                boot_time_secs: 0,
                ticks_per_second: 100,
                page_size: 4096,
                is_little_endian: true,
            };
            let stats = <KernelStats as procfs::FromReadSI>::from_read(text.as_bytes(), &info);
            assert_eq!(stats.map(|stats| busy_ticks(&stats.total)).ok(), Some(128));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod unknown {
    use std::time::Duration;

    pub(crate) const fn cpu_time_of(_process: u32) -> Option<Duration> {
        None
    }

    pub(crate) const fn busy_time() -> Option<Duration> {
        None
    }

    pub(crate) const fn serving(_supervisor: u32) -> Option<u32> {
        None
    }

    pub(crate) const fn resident_kib(_process: u32) -> Option<u64> {
        None
    }

    pub(crate) const fn processor() -> Option<String> {
        None
    }
}
