//! `/proc/<pid>/cgroup`, and what a control group's path tells: unit and container.
//!
//! Sources: `cgroups(7)`; systemd's `src/basic/cgroup-util.c` for units; the naming of Docker,
//! containerd, CRI-O and Podman under both of their cgroup drivers for containers.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::whole_lines;

/// The path of the root, and what every other one begins with.
const ROOT: &[u8] = b"/";

/// What `/proc/<pid>/cgroup` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cgroup {
    /// The control group; `None` for the root, which says nothing.
    pub(crate) path: Option<PathBuf>,
    /// The systemd unit.
    pub(crate) unit: Option<String>,
    /// The container id, 64 hexadecimal digits.
    pub(crate) container: Option<String>,
}

/// Parses the text of `/proc/<pid>/cgroup`.
///
/// The unified hierarchy speaks first; where it has the process in its root, as on hosts with
/// version 1 hierarchies, the one named `systemd`, then any other, in the order listed.
pub(crate) fn cgroup(text: &[u8]) -> Cgroup {
    let paths = || whole_lines(text).filter_map(entry).filter(|(_, path)| *path != ROOT);
    let chosen = paths()
        .find(|(controllers, _)| controllers.is_empty())
        .or_else(|| paths().find(|(controllers, _)| *controllers == b"name=systemd"))
        .or_else(|| paths().next())
        .map(|(_, path)| path);
    Cgroup {
        path: chosen.map(|path| OsString::from_vec(path.to_vec()).into()),
        unit: chosen.and_then(unit),
        container: chosen.and_then(container),
    }
}

/// Splits `<hierarchy>:<controllers>:<path>`; the path may contain colons.
fn entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = line.splitn(3, |&byte| byte == b':');
    let (_hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    path.starts_with(ROOT).then_some((controllers, path))
}

/// The unit of the system's manager: the first component that is no slice.
///
/// Below it a service or a user may have made groups of its own, whose names prove nothing; so the
/// first one counts and not the last.
pub(crate) fn unit(path: &[u8]) -> Option<String> {
    const SUFFIXES: [&[u8]; 5] = [b".service", b".scope", b".socket", b".mount", b".swap"];

    let name = components(path).map(unescape).find(|name| !name.ends_with(b".slice"))?;
    let known = SUFFIXES.iter().any(|suffix| name.len() > suffix.len() && name.ends_with(suffix));
    if !known {
        return None;
    }
    String::from_utf8(name.to_vec()).ok()
}

/// The container id: the last component that names one.
pub(crate) fn container(path: &[u8]) -> Option<String> {
    // The monitors (crio-conmon-, libpod-conmon-) run outside of the container and match nothing.
    const PREFIXES: [&[u8]; 6] =
        [b"", b"docker-", b"cri-containerd-", b"crio-", b"libpod-", b"containerd-"];

    let id = |name: &[u8]| {
        let name = name.strip_suffix(b".scope").unwrap_or(name);
        // cri-containerd with the systemd driver may write <slice>:cri-containerd:<id>.
        let name = name.rsplit(|&byte| byte == b':').next()?;
        PREFIXES
            .iter()
            .filter_map(|prefix| name.strip_prefix(*prefix))
            .find(|id| is_container_id(id))
            .and_then(|id| String::from_utf8(id.to_vec()).ok())
    };
    components(path).filter_map(id).last()
}

fn is_container_id(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

/// systemd writes an underscore before names that would collide with the kernel's own files.
fn unescape(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"_").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn chooses_the_hierarchy_that_says_something() {
        for (text, path) in [
            ("0::/system.slice/ssh.service\n", Some("/system.slice/ssh.service")),
            ("9:name=systemd:/a.service\n4:memory:/m\n0::/\n", Some("/a.service")),
            ("9:name=systemd:/a.service\n0::/b.service\n", Some("/b.service")),
            ("9:name=systemd:/\n4:memory:/process_api/x\n0::/\n", Some("/process_api/x")),
            ("0::/a:b/c\n", Some("/a:b/c")),
            ("0::/gone.service (deleted)\n", Some("/gone.service")),
            ("0::/../outside\n", Some("/../outside")),
            ("0::/\n", None),
            ("0::/ (deleted)\n", None),
            ("0::/cut.serv", None),
            ("0::relative\n", None),
            ("0:/x\n", None),
            ("\n", None),
            ("", None),
        ] {
            assert_eq!(cgroup(text.as_bytes()).path, path.map(PathBuf::from), "{text:?}");
        }
    }

    #[test]
    fn units() {
        for (path, name) in [
            ("/system.slice/ssh.service", Some("ssh.service")),
            ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service")),
            ("/user.slice/user-1000.slice/session-3.scope", Some("session-3.scope")),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/evil.service",
                Some("user@1000.service"),
            ),
            ("/system.slice/docker.service/sshd.service", Some("docker.service")),
            ("/system.slice/_cgroup.service", Some("cgroup.service")),
            ("/system.slice/dev-disk\\x2dby.mount", Some("dev-disk\\x2dby.mount")),
            ("/init.scope", Some("init.scope")),
            ("/system.slice", None),
            ("/system.slice/.service", None),
            ("/process_api/x.service", None),
            ("/docker/abc", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(unit(path.as_bytes()).as_deref(), name, "{path:?}");
        }
        assert_eq!(unit(b"/system.slice/\xff.service"), None);
    }

    #[test]
    fn containers() {
        for path in [
            "/docker/ID",
            "/system.slice/docker-ID.scope",
            "/kubepods/burstable/pod1b2c/ID",
            "/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope",
            "/kubepods.slice/kubepods-pod1.slice:cri-containerd:ID",
            "/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
            "/machine.slice/libpod-ID.scope",
            "/machine.slice/libpod-ID.scope/container",
            "/k8s.io/ID",
            "/ecs/task/ID",
            "/docker/ffff/docker/ID/init.scope",
        ] {
            let path = path.replace("ID", ID);
            assert_eq!(container(path.as_bytes()).as_deref(), Some(ID), "{path}");
        }
        for path in [
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/crio-conmon-ID.scope",
            "/docker/IDa",
            "/docker/0123",
            "/x-ID",
            "",
        ] {
            assert_eq!(container(path.replace("ID", ID).as_bytes()), None, "{path}");
        }
        assert_eq!(container(format!("/docker/{}", ID.to_uppercase()).as_bytes()), None);
    }
}
