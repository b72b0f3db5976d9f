//! How much memory there is: sizes that cannot be are refused before the work.

use std::fs;

/// What is assumed where the system does not say: a tebibyte, which is more than any machine that does not.
const UNKNOWN: u64 = 1 << 40;

/// Bytes of memory that this process can have at most: those of the machine, those of the container that it runs in, or what `ulimit -v` allows.
pub fn limit() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| meminfo(&text));
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = groups.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    let own = fs::read_to_string("/proc/self/limits").ok().and_then(|text| address_space(&text));
    group.chain(total).chain(own).min().unwrap_or(UNKNOWN)
}

/// What `ulimit -v` allows.
fn address_space(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max address space"))?.split_whitespace().next()?.parse().ok()
}

/// `MemTotal` in bytes, and what can be swapped out.
fn meminfo(text: &str) -> Option<u64> {
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    Some((kib("MemTotal:")? + kib("SwapTotal:").unwrap_or(0)) << 10)
}

/// An empty vector with room for so many values; none if they are more than there is memory.
pub fn reserve<T>(values: u64) -> Option<Vec<T>> {
    let bytes = values.checked_mul(size_of::<T>() as u64)?;
    let mut vector = Vec::new();
    (bytes <= limit()).then_some(())?;
    vector.try_reserve_exact(usize::try_from(values).ok()?).ok()?;
    Some(vector)
}

/// Bytes in words, as in 1.5 GB.
pub fn shown(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1e6 => format!("{:.0} kB", (bytes / 1e3).ceil()),
        bytes if bytes < 1e9 => format!("{:.0} MB", bytes / 1e6),
        bytes if bytes < 1e12 => format!("{:.1} GB", bytes / 1e9),
        bytes if bytes < 1e16 => format!("{:.1} TB", bytes / 1e12),
        bytes => format!("{bytes:.1e} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_read_and_too_much_is_not_reserved() {
        assert_eq!(meminfo("MemTotal:       2000 kB\nMemFree: 1 kB\nSwapTotal:    48 kB\n"), Some(2048 << 10));
        assert_eq!(meminfo("nothing"), None);
        let limits = |soft: &str| {
            format!("Limit  Soft Limit  Hard Limit  Units\nMax address space    {soft}    unlimited   bytes\n")
        };
        assert_eq!((address_space(&limits("3000")), address_space(&limits("unlimited"))), (Some(3000), None));
        assert!(limit() > 1 << 20);
        assert!(reserve::<u64>(u64::MAX).is_none() && reserve::<u8>(limit() + 1).is_none());
        assert!(reserve::<u8>(10).unwrap().capacity() >= 10);
        assert_eq!((shown(1.5e9), shown(2e6), shown(1e20)), ("1.5 GB".into(), "2 MB".into(), "1.0e20 bytes".into()));
    }
}
