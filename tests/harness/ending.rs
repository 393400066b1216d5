use std::fmt::Write;
use std::fs::{read_dir, read_to_string};
use std::path::Path;
use std::process::{Child, ExitStatus};

use super::until_or;

/// Waits until a process ends. One that does not is ended, and what its threads were waiting for is told:
/// whoever looks later finds nothing left to look at.
pub(crate) async fn ended(child: &mut Child, log: &Path) -> ExitStatus {
    let mut status = None;
    let in_time = until_or(async || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if in_time.await {
        return status.unwrap();
    }
    let (threads, log) = (threads(child.id()), read_to_string(log).unwrap_or_default());
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("a process does not end. Its threads:\n{threads}It said:\n{log}");
}

/// What each thread of a process does, as the kernel sees it.
fn threads(process: u32) -> String {
    let mut told = String::new();
    let tasks = read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    for task in tasks {
        let said = |what| read_to_string(task.path().join(what)).unwrap_or_default();
        let (stat, call) = (said("stat"), said("syscall"));
        // What follows the name in brackets begins with the state; the processor time has places 14 and 15.
        let state: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let at = |place: usize| state.get(place).copied().unwrap_or("?");
        writeln!(
            told,
            "  {:<24} {} in {:<24} ticks {}+{}, call {}",
            said("comm").trim(),
            at(0),
            said("wchan"),
            at(11),
            at(12),
            call.trim(),
        )
        .unwrap();
    }
    told
}

#[tokio::test]
async fn a_process_that_ends_is_not_waited_for() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    assert!(ended(&mut child, Path::new("/nowhere")).await.success());
}

#[test]
fn the_threads_of_a_process_are_told() {
    let told = threads(std::process::id());
    assert!(told.lines().count() >= 2, "{told}");
}
