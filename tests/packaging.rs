//! Holds what is packaged, and the administrator's page, against the program.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn check(config: &Path) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_partnerd"));
    program.arg("--check").arg("--config").arg(config).output().unwrap()
}

/// What `--check` prints of the packaged configuration.
fn checked() -> String {
    let output = check(&root().join("packaging/partnerd.toml"));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The values of a key in a unit file, of all lines with it.
fn unit(path: &str, key: &str) -> Vec<String> {
    let text = read(path);
    let values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

const SERVICE: &str = "packaging/systemd/partnerd.service";
const SOCKET: &str = "packaging/systemd/partnerd.socket";

fn capabilities() -> BTreeSet<String> {
    let text = checked();
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("# keeps ").or_else(|| line.strip_prefix("# lacks ")));
    lines.map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn the_service_may_what_the_program_keeps_and_no_more() {
    let bounding = unit(SERVICE, "CapabilityBoundingSet");
    assert_eq!(bounding.len(), 1);
    let bounding: Vec<_> = bounding[0].split(' ').map(str::to_owned).collect();
    let packaged: BTreeSet<_> = bounding.iter().cloned().collect();
    assert_eq!(packaged.len(), bounding.len());
    assert_eq!(packaged, capabilities());
    assert_eq!(packaged.len(), 5);
    assert!(unit(SERVICE, "AmbientCapabilities").is_empty());
}

/// What `--check` says of rights where the agent answers at port 113, too.
#[cfg(feature = "ident")]
#[test]
fn the_service_may_with_its_drop_in_what_the_program_keeps_for_ident() {
    let folder = std::env::temp_dir().join(format!("partnerd-ident-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let config = folder.join("c.toml");
    let text = read("packaging/partnerd.toml");
    let of = |line: &str| {
        line.strip_prefix("#   ").map(|key| key.split("     (").next().unwrap().to_owned())
    };
    let keys: Vec<String> =
        text.lines().skip_while(|line| *line != "# [ident]").skip(1).map_while(of).collect();
    assert_eq!(keys.len(), 7);
    std::fs::write(&config, format!("[ident]\n{}\n", keys.join("\n"))).unwrap();
    let output = check(&config);
    let _ = std::fs::remove_dir_all(&folder);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let page = read("docs/ident.md");
    for key in keys {
        let (name, value) = key.split_once(" = ").unwrap();
        assert!(printed.contains(&format!("ident.{name} = {value}\n")), "{key}\n{printed}");
        assert!(page.contains(&format!("| `ident.{name}` |")), "{key}");
    }
    let kept = printed.lines().filter_map(|line| {
        let line = line.strip_prefix("# keeps ").or_else(|| line.strip_prefix("# lacks "))?;
        Some(line.split(':').next().unwrap().to_owned())
    });
    let more: BTreeSet<_> =
        kept.collect::<BTreeSet<_>>().difference(&capabilities()).cloned().collect();
    let packaged = unit("packaging/systemd/partnerd.service.d/ident.conf", "CapabilityBoundingSet");
    assert_eq!(more.into_iter().collect::<Vec<_>>(), packaged);
    assert!(
        read("docs/agent.md").contains("| `CAP_NET_BIND_SERVICE`, with `ident.listen` alone |")
    );
}

#[test]
fn the_manifest_gives_what_the_program_keeps_and_no_more() {
    let text = read("packaging/kubernetes/partnerd.yaml");
    let of = |line: &str| line.trim().strip_prefix("add: [")?.strip_suffix(']').map(str::to_owned);
    let lists: Vec<String> = text.lines().filter_map(of).collect();
    assert_eq!(lists.len(), 1);
    let added: Vec<_> = lists[0].split(", ").map(|name| format!("CAP_{name}")).collect();
    assert_eq!(added.len(), 5);
    assert_eq!(added.into_iter().collect::<BTreeSet<_>>(), capabilities());
    assert!(text.contains("drop: [ALL]\n"));
    assert!(text.contains("mountPath: /run/partnerd\n"));
    assert!(checked().contains("peers.port = 62994\n") && text.contains("hostPort: 62994\n"));
}

#[test]
fn other_hosts_are_not_shut_out_by_the_service() {
    assert!(unit(SERVICE, "IPAddressDeny").is_empty());
    assert!(unit(SERVICE, "PrivateNetwork").is_empty());
}

#[test]
fn the_page_has_every_capability_with_its_reason() {
    let page = read("docs/agent.md");
    for line in checked().lines().filter(|line| line.starts_with("# keeps ")) {
        let (name, reason) = line["# keeps ".len()..].split_once(": ").unwrap();
        assert!(page.contains(&format!("| `{name}` | {reason} |")), "{name}: {reason}");
    }
    for name in capabilities() {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn the_units_agree_with_the_program() {
    let path = unit(SOCKET, "ListenSequentialPacket");
    assert!(checked().contains(&format!("socket.path = \"{}\"\n", path[0])), "{path:?}");
    assert_eq!(unit(SOCKET, "SocketMode"), ["0666"]);
    assert_eq!(unit(SERVICE, "Type"), ["notify", "notify-reload"]);
    // The statuses that another start does not mend.
    assert_eq!(unit(SERVICE, "RestartPreventExitStatus"), ["2 3"]);
    let logs = unit(SERVICE, "LogsDirectory");
    assert!(read("packaging/partnerd.toml").contains(&format!("\"/var/log/{}/", logs[0])));
}

/// What `partner ca` makes for a host.
fn issue(authority: &Path, identity: &Path) {
    for arguments in [
        &["ca", "init", "--domain", "prod.example", "--dir", authority.to_str().unwrap()][..],
        &[
            "ca",
            "issue",
            "--host",
            "web",
            "--ip",
            "192.0.2.1",
            "--dir",
            authority.to_str().unwrap(),
            "--out",
            identity.to_str().unwrap(),
        ],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_partner")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

/// The commented keys of the packaged configuration, as lines that could stand there.
fn examples() -> String {
    let text = read("packaging/partnerd.toml");
    let mut lines = Vec::new();
    for line in text.lines() {
        let key = line.strip_prefix("# ").filter(|rest| {
            let name = rest.split(" = ").next().unwrap();
            rest.contains(" = ") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        });
        lines.push(key.unwrap_or(line));
    }
    lines.join("\n")
}

#[test]
fn the_packaged_configuration_is_valid_and_so_are_its_examples() {
    assert!(checked().contains("limits.connections = 1024\n"));
    let folder = std::env::temp_dir().join(format!("partnerd-packaging-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let (config, policy) = (folder.join("c.toml"), folder.join("p.toml"));
    std::fs::write(&policy, "").unwrap();
    let default = "\"/etc/partner-info/policy.toml\"";
    let text = examples().replacen(default, &format!("{policy:?}"), 1);
    let identity = folder.join("identity");
    issue(&folder.join("ca"), &identity);
    let text = text.replace("/etc/partner-info/identity", identity.to_str().unwrap());
    assert!(text.contains(&format!("\npolicy = {policy:?}\n")), "{text}");
    std::fs::write(&config, text).unwrap();
    let output = check(&config);
    let _ = std::fs::remove_dir_all(&folder);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in [
        "socket.owner = \"root\"",
        "socket.group = \"clients\"",
        &format!("identity.certificate = \"{}/cert.pem\"", identity.display()),
        "peers.allow = [\"web1\", \"db1\"]",
        "audit.file = \"/var/log/partnerd/audit.jsonl\"",
        "metrics.listen = \"127.0.0.1:9464\"",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    // What is not an example is the standard, so the rest is as without the examples.
    let of = |text: &str, key: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with(key)).map(str::to_owned).collect()
    };
    for key in [
        "limits.",
        "peers.port",
        "peers.networks",
        "socket.path",
        "socket.mode",
        "log.",
        "audit.on_failure",
        "namespaces",
    ] {
        assert_eq!(of(&printed, key), of(&checked(), key), "{key}");
    }
}

#[test]
fn the_page_has_every_key() {
    let page = read("docs/agent.md");
    let mut table = String::new();
    let mut keys = 0;
    for line in examples().lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            assert!(page.contains(&format!("| `{table}{key}` |")), "{table}{key}");
            keys += 1;
        }
    }
    assert!(page.contains("| `identity.workload_api` |"));
    assert_eq!(keys, 31, "keys of the packaged configuration");
}

#[test]
fn the_other_program_has_statuses_of_its_own() {
    let partner = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_partner")).args(arguments).output().unwrap()
    };
    for (arguments, status, says) in [
        (&["--version"][..], 0, "partner "),
        (&["ca", "--help"], 0, "Exit status:"),
        (
            &["ca", "issue", "--host", "h", "--any-address", "--dir", "/nonexistent"],
            1,
            "partner: /",
        ),
        (&["ca", "issue", "--host", "h/h", "--any-address"], 2, "expected a host of 1 to 255"),
        (&["ca"], 2, "Usage"),
    ] {
        let output = partner(arguments);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let said = if status == 0 { output.stdout } else { output.stderr };
        assert!(String::from_utf8(said).unwrap().contains(says), "{arguments:?}");
    }
}

#[test]
fn faults_are_told_with_a_status_of_their_own() {
    let missing = check(&PathBuf::from("/nonexistent.toml"));
    assert_eq!(missing.status.code(), Some(3));
    let error = String::from_utf8(missing.stderr).unwrap();
    assert!(error.starts_with("partnerd: /nonexistent.toml: expected a readable file"), "{error}");
    let usage = Command::new(env!("CARGO_BIN_EXE_partnerd")).arg("--nonsense").output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    for (argument, says) in [("--help", "Exit status:"), ("--version", "partnerd ")] {
        let output = Command::new(env!("CARGO_BIN_EXE_partnerd")).arg(argument).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains(says));
    }
}
