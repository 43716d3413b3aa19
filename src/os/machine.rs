//! Facts about this machine, for `turtle doctor` and for the head of every benchmark record.
//!
//! Everything is read when asked for; what the system does not tell is `None`, `false` or 0,
//! never guessed.

use super::{barrier, thread};

/// What [`machine`] found out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// Operating system and processor family, such as "linux" and "x86_64".
    pub system: (&'static str, &'static str),
    /// Kernel release, such as "6.8.0-40-generic".
    pub kernel: Option<String>,
    /// The processor's own name.
    pub cpu_model: Option<String>,
    /// Processors that are switched on.
    pub cores_online: usize,
    /// Processors this thread may use, by number.
    pub cores_allowed: Vec<usize>,
    /// Bytes in a cache line.
    pub cache_line: Option<usize>,
    /// Caches of the first processor, smallest level first.
    pub caches: Vec<Cache>,
    /// What the processor can do.
    pub features: Features,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of `/dev/shm`, all and free. All is 0 where there is no limit.
    pub shared_memory: Option<(u64, u64)>,
    /// Huge pages.
    pub huge_pages: HugePages,
    /// Whether the asymmetric barrier works within a process, and between processes.
    pub membarrier: (bool, bool),
    /// `/proc/sys/kernel/perf_event_paranoid`: above 2, no counters for ordinary users.
    pub perf_event_paranoid: Option<i32>,
    /// `/proc/sys/kernel/yama/ptrace_scope`: 0, or absent, lets one trace any process of the same
    /// user.
    pub ptrace_scope: Option<i32>,
}

/// One cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// 1, 2, 3.
    pub level: u32,
    /// "Data", "Instruction" or "Unified".
    pub kind: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The processors that share it, as the kernel writes it: "0-3,8".
    pub shared_by: String,
}

/// What the processor says of itself. On families other than x86-64 all but `lse` are false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Features {
    /// Restricted transactional memory.
    pub rtm: bool,
    /// Transactions exist and always abort (a microcode update of many Intel parts).
    pub rtm_always_abort: bool,
    /// CLDEMOTE, a hint that moves a line towards the shared cache.
    pub cldemote: bool,
    /// TPAUSE, UMONITOR and UMWAIT.
    pub waitpkg: bool,
    /// CLWB.
    pub clwb: bool,
    /// CLFLUSHOPT.
    pub clflushopt: bool,
    /// CMPXCHG16B.
    pub cx16: bool,
    /// The time stamp counter runs at one rate whatever the processor does.
    pub invariant_tsc: bool,
    /// aarch64: single-instruction atomics.
    pub lse: bool,
}

impl Features {
    /// Whether hardware transactions can commit, as far as the processor says.
    #[must_use]
    pub fn rtm_usable(&self) -> bool {
        self.rtm && !self.rtm_always_abort
    }
}

/// Huge pages as the kernel has them set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HugePages {
    /// Bytes in one.
    pub bytes: Option<u64>,
    /// Reserved ones.
    pub total: u64,
    /// Reserved ones that are free.
    pub free: u64,
    /// When the kernel uses them unasked: "always", "madvise", "never".
    pub transparent: Option<String>,
    /// The same for shared memory.
    pub transparent_shared: Option<String>,
}

/// Asks the system for everything in [`Machine`]. Takes about a millisecond. Registers for the
/// barrier.
#[must_use]
pub fn machine() -> Machine {
    let memory = text("/proc/meminfo").unwrap_or_default();
    Machine {
        system: (std::env::consts::OS, std::env::consts::ARCH),
        kernel: text("/proc/sys/kernel/osrelease"),
        cpu_model: text("/proc/cpuinfo").and_then(|info| cpu_model(&info)),
        cores_online: online(),
        cores_allowed: thread::allowed_cores(),
        cache_line: number("/sys/devices/system/cpu/cpu0/cache/index0/coherency_line_size")
            .or_else(processor::cache_line),
        caches: (0..10).map_while(cache).collect(),
        features: processor::features(),
        memory: kibibytes(&memory, "MemTotal"),
        shared_memory: space("/dev/shm"),
        huge_pages: HugePages {
            bytes: kibibytes(&memory, "Hugepagesize"),
            total: field(&memory, "HugePages_Total").unwrap_or(0),
            free: field(&memory, "HugePages_Free").unwrap_or(0),
            transparent: chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
            transparent_shared: chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
        },
        membarrier: (barrier::register(false), barrier::register(true)),
        perf_event_paranoid: number("/proc/sys/kernel/perf_event_paranoid"),
        ptrace_scope: number("/proc/sys/kernel/yama/ptrace_scope"),
    }
}

fn text(path: &str) -> Option<String> {
    std::fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

fn number<N: std::str::FromStr>(path: &str) -> Option<N> {
    text(path)?.parse().ok()
}

/// The number after `name:` in the manner of `/proc/meminfo`.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.checked_mul(1024)
}

/// The word in brackets: "always [madvise] never".
fn chosen(path: &str) -> Option<String> {
    let text = text(path)?;
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn cpu_model(info: &str) -> Option<String> {
    let value = |name: &str| {
        let line = info
            .lines()
            .find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    // Many aarch64 kernels give numbers only.
    value("model name").or_else(|| {
        Some(format!(
            "implementer {} part {}",
            value("CPU implementer")?,
            value("CPU part")?
        ))
    })
}

fn cache(index: u32) -> Option<Cache> {
    let of = |what: &str| {
        text(&format!(
            "/sys/devices/system/cpu/cpu0/cache/index{index}/{what}"
        ))
    };
    Some(Cache {
        level: of("level")?.parse().ok()?,
        kind: of("type")?,
        bytes: size(&of("size")?)?,
        shared_by: of("shared_cpu_list").unwrap_or_default(),
    })
}

/// "48K", "2048K", "1M", "512".
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn online() -> usize {
    // SAFETY: sysconf takes a number.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(count).unwrap_or(1).max(1)
}

/// Bytes of the file system at `path`, all and free.
fn space(path: &str) -> Option<(u64, u64)> {
    let path = std::ffi::CString::new(path).ok()?;
    // SAFETY: all zeros is a valid statvfs.
    let mut room: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a NUL and `room` is writable.
    if unsafe { libc::statvfs(path.as_ptr(), &raw mut room) } != 0 {
        return None;
    }
    #[allow(clippy::unnecessary_cast)] // these fields have other widths elsewhere
    let (unit, all, free) = (
        room.f_frsize as u64,
        room.f_blocks as u64,
        room.f_bavail as u64,
    );
    Some((all.saturating_mul(unit), free.saturating_mul(unit)))
}

#[cfg(target_arch = "x86_64")]
mod processor {
    use super::Features;
    use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

    /// A leaf of CPUID, or zeros where the processor has none of this number.
    #[allow(unused_unsafe)] // older compilers call these functions unsafe, newer ones do not
    fn leaf(number: u32, sub: u32) -> CpuidResult {
        // SAFETY: every x86-64 processor has CPUID.
        let highest = unsafe { __cpuid(number & 0x8000_0000) }.eax;
        if number > highest {
            return CpuidResult {
                eax: 0,
                ebx: 0,
                ecx: 0,
                edx: 0,
            };
        }
        // SAFETY: as above.
        unsafe { __cpuid_count(number, sub) }
    }

    fn bit(register: u32, number: u32) -> bool {
        register >> number & 1 == 1
    }

    /// Bit numbers: Intel SDM volume 2A, CPUID.
    pub(super) fn features() -> Features {
        let (basic, more, power) = (leaf(1, 0), leaf(7, 0), leaf(0x8000_0007, 0));
        Features {
            rtm: bit(more.ebx, 11),
            rtm_always_abort: bit(more.edx, 11),
            cldemote: bit(more.ecx, 25),
            waitpkg: bit(more.ecx, 5),
            clwb: bit(more.ebx, 24),
            clflushopt: bit(more.ebx, 23),
            cx16: bit(basic.ecx, 13),
            invariant_tsc: bit(power.edx, 8),
            lse: false,
        }
    }

    pub(super) fn cache_line() -> Option<usize> {
        // In units of 8 bytes, the line that CLFLUSH flushes.
        let eights = leaf(1, 0).ebx >> 8 & 0xff;
        (eights > 0).then_some(eights as usize * 8)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod processor {
    use super::Features;

    pub(super) fn features() -> Features {
        #[allow(unused_mut)]
        let mut features = Features::default();
        #[cfg(target_arch = "aarch64")]
        {
            features.lse = std::arch::is_aarch64_feature_detected!("lse");
        }
        features
    }

    pub(super) fn cache_line() -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_agree_with_each_other() {
        let found = machine();
        assert!(found.cores_online >= 1);
        assert!(!found.cores_allowed.is_empty());
        assert!(found.cores_allowed.is_sorted());
        if let Some(line) = found.cache_line {
            assert!(line.is_power_of_two(), "{line}");
        }
        if let Some((all, free)) = found.shared_memory
            && all > 0
        {
            assert!(free <= all);
        }
        assert_eq!(found.membarrier.0, barrier::heavy(false));
        println!("{found:#?}");
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn the_processor_and_the_kernel_agree() {
        let features = processor::features();
        let info = text("/proc/cpuinfo").unwrap();
        let flags = info
            .lines()
            .find_map(|line| line.strip_prefix("flags"))
            .unwrap_or_default();
        let kernel_says = |flag: &str| flags.split_whitespace().any(|word| word == flag);
        // The kernel may hide what the processor has (rtm above all), never the other way round.
        let pairs = [
            ("rtm", features.rtm),
            ("cldemote", features.cldemote),
            ("waitpkg", features.waitpkg),
            ("clwb", features.clwb),
            ("clflushopt", features.clflushopt),
            ("cx16", features.cx16),
        ];
        for (flag, ours) in pairs {
            assert!(
                ours || !kernel_says(flag),
                "{flag}: the kernel has it and we do not"
            );
        }
    }

    #[test]
    fn sizes_and_fields_are_read() {
        assert_eq!(size("48K"), Some(48 << 10));
        assert_eq!(size("2M"), Some(2 << 20));
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("x"), None);
        let text = "MemTotal:       16 kB\nMemTotalHuge: 3\nHugePages_Free:    2";
        assert_eq!(kibibytes(text, "MemTotal"), Some(16 << 10));
        assert_eq!(field(text, "HugePages_Free"), Some(2));
        assert_eq!(field(text, "Absent"), None);
    }

    #[test]
    fn the_processor_name_is_found_in_both_styles() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: A B\n").as_deref(),
            Some("A B")
        );
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(
            cpu_model(arm).as_deref(),
            Some("implementer 0x41 part 0xd0c")
        );
    }
}
