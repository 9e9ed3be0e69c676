// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory may still be taken, read from the text that the kernel shows.
//!
//! Pure functions over text: which cgroups limit this process (versions 1 and 2, up to the root that this process can
//! see) and what each leaves. Reading the files is the system twin's job.
//!
//! Memory that the kernel gives back before it refuses or kills (file cache) counts as free, by the rule that the
//! kernel itself uses for `MemAvailable`.

/// What may still be allocated, and which limit says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Available {
    /// Bytes that the tightest limit leaves; `u64::MAX` when the system states no limit.
    pub free_bytes: u64,
    /// The tightest limit: `MemAvailable`, `cgroup memory.max`, `cgroup memory.limit_in_bytes` or `no limit`.
    pub limit: &'static str,
}

impl Available {
    /// Nothing limits.
    pub(super) const UNLIMITED: Available = Available { free_bytes: u64::MAX, limit: "no limit" };

    /// The tighter of two.
    pub(super) fn tighter(self, other: Option<Available>) -> Available {
        other.filter(|other| other.free_bytes < self.free_bytes).unwrap_or(self)
    }
}

/// `MemAvailable` of `/proc/meminfo`.
pub(super) fn available_from_meminfo(meminfo: &str) -> Option<Available> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(Available { free_bytes: kib.saturating_mul(1024), limit: "MemAvailable" })
}

/// The two generations of the control group interface, which name their files differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CgroupVersion {
    V1,
    V2,
}

impl CgroupVersion {
    /// File names of limit and use.
    pub(super) fn file_names(self) -> (&'static str, &'static str) {
        match self {
            CgroupVersion::V1 => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            CgroupVersion::V2 => ("memory.max", "memory.current"),
        }
    }
}

/// The directories whose limits apply to this process, from its own group up to the mounted root.
///
/// `self_cgroup` is `/proc/self/cgroup`, `mountinfo` is `/proc/self/mountinfo` (proc(5)).
pub(super) fn cgroup_directories(self_cgroup: &str, mountinfo: &str) -> Vec<(CgroupVersion, String)> {
    let mut directories = Vec::new();
    for mount in mountinfo.lines().filter_map(cgroup_mount) {
        let Some(path) = self_cgroup.lines().find_map(|line| cgroup_path(line, mount.version)) else {
            continue;
        };
        // Inside a cgroup namespace, or with a part of the tree mounted, the path may not lie below the mounted root:
        // then the mounted root is the lowest group that can be seen.
        let below = match path.strip_prefix(mount.root.trim_end_matches('/')) {
            Some(rest) if (rest.is_empty() || rest.starts_with('/')) && !rest.contains("/..") => rest,
            _ => "",
        };
        let mut below = below.trim_end_matches('/');
        loop {
            directories.push((mount.version, format!("{}{below}", mount.point)));
            let Some(parent) = below.rfind('/') else { break };
            below = below.get(..parent).unwrap_or("");
        }
    }
    directories
}

/// One mounted cgroup tree that can hold memory limits.
struct CgroupMount {
    version: CgroupVersion,
    root: String,
    point: String,
}

/// One line of `mountinfo`: `id parent major:minor root point options [optional…] - type source superoptions`.
fn cgroup_mount(line: &str) -> Option<CgroupMount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let version = match (filesystem.next()?, filesystem.nth(1)) {
        ("cgroup2", _) => CgroupVersion::V2,
        ("cgroup", Some(options)) if options.split(',').any(|option| option == "memory") => CgroupVersion::V1,
        _ => return None,
    };
    Some(CgroupMount { version, root: unescape(root), point: unescape(point) })
}

/// The path in one line of `/proc/self/cgroup`, `number:controllers:path`, if it is the one for `version`.
fn cgroup_path(line: &str, version: CgroupVersion) -> Option<&str> {
    let (number, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let is_it = match version {
        CgroupVersion::V1 => controllers.split(',').any(|controller| controller == "memory"),
        CgroupVersion::V2 => number == "0" && controllers.is_empty(),
    };
    is_it.then_some(path)
}

/// Undoes `mountinfo`'s octal escapes of space, tab, newline and backslash.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

/// What one group leaves: limit less use, with file cache counted as free. `None` when the group has no limit.
///
/// `limit`, `used` and `stat` are the texts of the group's files; a missing `stat` counts no cache.
pub(super) fn available_from_cgroup(
    version: CgroupVersion,
    limit: &str,
    used: &str,
    stat: &str,
) -> Option<Available> {
    let limit_bytes: u64 = limit.trim().parse().ok()?; // "max" is no number: no limit
    let used_bytes: u64 = used.trim().parse().ok()?;
    // Version 1 counts the group alone in the plain names and the tree below it in `total_`; its "no limit" is the
    // largest number of whole pages.
    let (name, prefix) = match version {
        CgroupVersion::V1 if limit_bytes >= (i64::MAX as u64) / 4096 * 4096 => return None,
        CgroupVersion::V1 => ("cgroup memory.limit_in_bytes", "total_"),
        CgroupVersion::V2 => ("cgroup memory.max", ""),
    };
    let cache_bytes: u64 = stat
        .lines()
        .filter_map(|line| line.strip_prefix(prefix)?.split_once(' '))
        .filter(|(key, _)| matches!(*key, "active_file" | "inactive_file"))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .sum();
    let free_bytes = limit_bytes.saturating_sub(used_bytes.saturating_sub(cache_bytes));
    Some(Available { free_bytes, limit: name })
}

#[cfg(test)]
mod tests {
    use super::CgroupVersion::{V1, V2};
    use super::*;

    const MEMINFO: &str =
        "MemTotal:       24684084 kB\nMemFree:        24385944 kB\nMemAvailable:   24334660 kB\n";

    #[test]
    fn meminfo_gives_what_the_system_calls_available() {
        assert_eq!(
            available_from_meminfo(MEMINFO),
            Some(Available { free_bytes: 24_334_660 * 1024, limit: "MemAvailable" })
        );
        assert_eq!(available_from_meminfo("MemTotal: 1 kB\n"), None);
        assert_eq!(available_from_meminfo("MemAvailable: lots\n"), None);
    }

    #[test]
    fn a_v2_group_is_searched_up_to_the_root() {
        let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let directories = cgroup_directories("0::/user.slice/user-1000.slice/app.scope\n", mountinfo);
        assert_eq!(
            directories,
            [
                (V2, "/sys/fs/cgroup/user.slice/user-1000.slice/app.scope".to_owned()),
                (V2, "/sys/fs/cgroup/user.slice/user-1000.slice".to_owned()),
                (V2, "/sys/fs/cgroup/user.slice".to_owned()),
                (V2, "/sys/fs/cgroup".to_owned()),
            ]
        );
    }

    #[test]
    fn a_v1_hybrid_reads_the_memory_tree_and_the_unified_one() {
        let self_cgroup = "5:devices:/\n4:memory:/jobs/one\n1:name=systemd:/\n0::/\n";
        let mountinfo = "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n\
                         35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                         41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(
            cgroup_directories(self_cgroup, mountinfo),
            [
                (V1, "/sys/fs/cgroup/memory/jobs/one".to_owned()),
                (V1, "/sys/fs/cgroup/memory/jobs".to_owned()),
                (V1, "/sys/fs/cgroup/memory".to_owned()),
                (V2, "/sys/fs/cgroup/unified".to_owned()),
            ]
        );
    }

    #[test]
    fn a_container_that_sees_part_of_the_tree_starts_at_what_it_sees() {
        let bound = "9 8 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let own = cgroup_directories("4:memory:/docker/abc\n", bound);
        assert_eq!(own, [(V1, "/sys/fs/cgroup/memory".to_owned())]);
        let below = cgroup_directories("4:memory:/docker/abc/job\n", bound);
        assert_eq!(
            below,
            [(V1, "/sys/fs/cgroup/memory/job".to_owned()), (V1, "/sys/fs/cgroup/memory".to_owned())]
        );
        // A sibling with the same beginning is not below, and a path that leaves the namespace is not followed.
        for elsewhere in ["4:memory:/docker/abcd\n", "4:memory:/\n", "4:memory:/../other\n"] {
            assert_eq!(cgroup_directories(elsewhere, bound), [(V1, "/sys/fs/cgroup/memory".to_owned())]);
        }
    }

    #[test]
    fn a_process_outside_its_namespace_root_is_not_followed_upwards() {
        let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroup_directories("0::/../../a\n", mountinfo), [(V2, "/sys/fs/cgroup".to_owned())]);
    }

    #[test]
    fn escaped_mount_points_are_read_back() {
        let mountinfo = "30 23 0:26 / /mnt/c\\040group rw - cgroup2 none rw\n";
        assert_eq!(cgroup_directories("0::/\n", mountinfo), [(V2, "/mnt/c group".to_owned())]);
    }

    #[test]
    fn a_system_without_memory_groups_has_no_directories() {
        assert_eq!(cgroup_directories("", ""), []);
        assert_eq!(
            cgroup_directories("0::/\n", "36 35 98:0 /a /b rw - ext3 /dev/root rw,errors=continue\n"),
            []
        );
        assert_eq!(cgroup_directories("nonsense\n::\n", "x - y\n - \n"), []);
    }

    #[test]
    fn file_cache_counts_as_free() {
        let stat = "anon 600\nfile 300\ninactive_file 200\nactive_file 100\nshmem 50\n";
        assert_eq!(
            available_from_cgroup(V2, "1000\n", "900\n", stat),
            Some(Available { free_bytes: 400, limit: "cgroup memory.max" })
        );
        let stat = "inactive_file 1\nactive_file 1\ntotal_inactive_file 200\ntotal_active_file 100\n";
        assert_eq!(
            available_from_cgroup(V1, "1000\n", "900\n", stat),
            Some(Available { free_bytes: 400, limit: "cgroup memory.limit_in_bytes" })
        );
    }

    #[test]
    fn a_group_over_its_limit_leaves_nothing() {
        assert_eq!(available_from_cgroup(V2, "1000", "5000", "").map(|left| left.free_bytes), Some(0));
    }

    #[test]
    fn no_limit_is_no_limit() {
        assert_eq!(available_from_cgroup(V2, "max\n", "900\n", ""), None);
        assert_eq!(available_from_cgroup(V1, "9223372036854771712\n", "900\n", ""), None);
        assert_eq!(available_from_cgroup(V2, "", "", ""), None);
    }

    #[test]
    fn the_tightest_limit_is_the_one_named() {
        let system = Available { free_bytes: 100, limit: "MemAvailable" };
        let group = Available { free_bytes: 50, limit: "cgroup memory.max" };
        assert_eq!(system.tighter(Some(group)), group);
        assert_eq!(group.tighter(Some(system)), group);
        assert_eq!(Available::UNLIMITED.tighter(None), Available::UNLIMITED);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parsers_fail(a in ".*", b in ".*", c in ".*") {
            let _ = available_from_meminfo(&a);
            let _ = available_from_cgroup(V1, &a, &b, &c);
            let _ = cgroup_directories(&a, &b);
            let _ = cgroup_directories(&format!("0::{a}"), &format!("1 2 3 {b} {c} - cgroup2 x y"));
        }
    }
}
