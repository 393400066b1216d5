//! What processes take of the machine, as the kernel counts it.

use std::fs::{read_dir, read_to_string};

/// Ticks of processor time per second, as the kernel counts them for everybody.
const TICKS: f64 = 100.0;

/// Processor time of a process in seconds, that of its children that have ended included.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |stat| stat.seconds)
}

/// The same of a process and of all its children, such as a postmaster's.
pub(crate) fn family_cpu_seconds(parent: u32) -> f64 {
    let children: f64 =
        processes().filter_map(stat).filter(|stat| stat.parent == parent).map(|stat| stat.seconds).sum();
    cpu_seconds(parent) + children
}

/// What a process has resident, and the most that it ever had, in KiB.
pub(crate) fn memory_kib(pid: u32) -> (u64, u64) {
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
    };
    (kib("VmRSS:"), kib("VmHWM:"))
}

/// What was spent on a round by each of those who took part, in percent of the machine.
pub(crate) fn shares(seconds: f64, spent: &[(&str, f64)]) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let share = |(name, cpu): &(&str, f64)| format!("{name} {:.0} %", cpu / seconds / cores * 100.0);
    format!("of the machine: {}", spent.iter().map(share).collect::<Vec<_>>().join(", "))
}

/// What the kernel tells of a process.
struct Stat {
    parent: u32,
    seconds: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may contain anything.
    let fields: Vec<&str> = text.rsplit(") ").next()?.split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    // utime and stime, and those of the children that were waited for.
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        seconds: (ticks(11) + ticks(12) + ticks(13) + ticks(14)) / TICKS,
    })
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
