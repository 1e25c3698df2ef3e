//! What the kernel says about processes: the time they took, the memory they hold, the core they run on.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// The unit of times in `/proc/*/stat`, on every Linux (`USER_HZ` of proc(5)).
const TICK: Duration = Duration::from_millis(10);

/// File descriptors that a server and the load may each have: 10,000 connections and as many again.
const DESCRIPTORS: u64 = 20_000;

/// The cores that a run uses; on the other are the load and the origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    /// Here is the server that is measured, and nothing else of the run.
    server: usize,
}

impl Cores {
    /// Two cores of those that this process may use, after moving itself to the second.
    pub(crate) fn take() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let mut allowed = cores.unwrap_or_default().trim().split(',').flat_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            first.parse().unwrap_or(0)..=last.parse().unwrap_or(0)
        });
        let (Some(server), Some(load)) = (allowed.next(), allowed.next_back()) else {
            bail!("a run needs two cores, one for the server and one for the load");
        };
        let own = std::process::id().to_string();
        run("taskset", &["--cpu-list", "--pid", &load.to_string(), &own])?;
        run("prlimit", &["--pid", &own, &format!("--nofile={DESCRIPTORS}:")])
            .with_context(|| format!("a run needs {DESCRIPTORS} file descriptors"))?;
        Ok(Self { server })
    }

    /// A command that runs `program` on the server's core and ends with this process.
    pub(crate) fn server(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "prlimit", &format!("--nofile={DESCRIPTORS}:")])
            .args(["taskset", "--cpu-list", &self.server.to_string()])
            .arg(program);
        command
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Sends a signal to a process.
pub(crate) fn signal(process: u32, name: &str) {
    let script = "kill -s \"$1\" \"$2\" 2>/dev/null";
    let _ = Command::new("sh").args(["-c", script, "sh", name, &process.to_string()]).status();
}

/// A process and all that come from it.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let processes: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((process, *stat(process)?.get(1)?))
        })
        .filter_map(|(process, parent)| Some((process, u32::try_from(parent).ok()?)))
        .collect();
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&process) = tree.get(at) {
        tree.extend(processes.iter().filter(|(_, parent)| *parent == process).map(|(process, _)| *process));
        at += 1;
    }
    tree
}

/// The fields of `/proc/PID/stat` after the name, which may hold anything: state (as 0), parent, ….
fn stat(process: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

/// The time between two readings; none if a process that ended has taken its own with it.
pub(crate) fn spent(before: Duration, after: Duration) -> Duration {
    after.saturating_sub(before)
}

/// User and system time of a process, of all that come from it, and of those of them that have ended.
pub(crate) fn cpu(root: u32) -> Duration {
    let ticks: u64 = tree(root)
        .into_iter()
        .filter_map(stat)
        // utime, stime, cutime, cstime: the 14th to 17th field of proc(5).
        .map(|fields| fields.iter().skip(11).take(4).sum::<u64>())
        .sum();
    TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// The memory that a process and all that come from it hold, in bytes; what several of them share is counted once (`Pss`).
pub(crate) fn memory(root: u32) -> u64 {
    let of = |process: u32| {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    tree(root).into_iter().filter_map(of).sum::<u64>() * 1024
}

/// What the machine is, for the reader of the figures.
pub(crate) fn description() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // The first three parts; what follows names somebody's build.
    let kernel: String = kernel.trim().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    format!("{}, {count} cores, Linux {kernel}", model.trim_start_matches([':', ' ', '\t']).trim())
}
