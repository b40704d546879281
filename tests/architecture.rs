//! Holds the arrows of ARCHITECTURE.md, and the size of the rooms, against the source.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test says what it expects"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room, and the rooms it may know.
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("token", &[]),
    ("workers", &[]),
    ("info", &["error", "token"]),
    // No code: a page.
    ("guide", &[]),
    ("serialize", &["error", "info"]),
    ("accounts", &["workers"]),
    ("kernel", &["error", "token"]),
    ("policy", &[]),
    ("ident", &[]),
    ("protocol", &["error", "info", "token"]),
    ("retrieval", &["error", "info", "token"]),
    ("client", &["info", "token", "kernel::sys", "protocol"]),
    (
        "stack",
        &[
            "error",
            "info",
            "token",
            "workers",
            "accounts",
            "kernel",
            "policy",
            "protocol",
            "client",
            "retrieval",
        ],
    ),
    ("future", &["error", "info", "kernel::sys", "stack"]),
    // `protocol`: its tests speak as an agent does.
    ("wait", &["error", "info", "kernel::sys", "protocol", "client", "stack"]),
    ("ext", &["error", "info", "kernel::sys", "stack", "future", "wait"]),
    (
        "web",
        // `token`: its tests make tokens; rules ask what an answer has.
        &["error", "info", "token", "kernel::sys", "policy", "stack", "future"],
    ),
    (
        "agent",
        &[
            "error", "info", "token", "workers", "accounts", "kernel", "policy", "ident",
            "protocol", "stack",
        ],
    ),
    (
        "cli",
        &["error", "info", "token", "accounts", "kernel", "policy", "client", "stack", "agent"],
    ),
    // Programs know what everybody may.
    ("bin", &[]),
    // Under `cfg(any(test, fuzzing))` alone: gathers what the rooms let be fuzzed.
    ("fuzzing", &["ident", "kernel", "policy", "protocol", "client", "retrieval", "agent"]),
];

/// Modules that decide: bytes and instants in, what to do next out. What they must not name.
const PURE: &[&str] = &[
    "src/policy",
    "src/ident",
    "src/protocol",
    "src/retrieval",
    "src/kernel/verify.rs",
    "src/kernel/across.rs",
    "src/kernel/sequence",
    "src/kernel/nsid.rs",
    "src/agent/callers/pace.rs",
    "src/agent/packet.rs",
    "src/kernel/sock_diag.rs",
    "src/kernel/netlink.rs",
    "src/kernel/route.rs",
    "src/kernel/conntrack.rs",
    "src/kernel/user_namespace.rs",
    "src/kernel/process/parse",
    "src/kernel/process/classify.rs",
];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::io::",
    "std::thread",
    "std::os::fd",
    "std::os::unix::net",
    "Instant::now",
    "SystemTime::now",
    "rustix",
    "libc::",
    "nix::",
    "tokio",
];

/// The only places with `unsafe`.
const UNSAFE: &[&str] = &[
    "src/kernel/sys/bpf.rs",
    "src/kernel/sys/caller.rs",
    "src/kernel/sys/namespace.rs",
    "src/kernel/sys/options.rs",
    "src/kernel/sys/passed.rs",
    "src/kernel/sys/wipe_on_fork.rs",
];

/// Where a Unix socket's peer is asked for: there it is who it is.
const UNIX_SOCKETS: &[&str] = &[
    "src/agent/callers/mod.rs",
    "src/client/socket.rs",
    "src/kernel/sys/mod.rs",
    "src/kernel/sys/peer.rs",
];

/// Where the wall clock is read: what is written down for people, and certificates, which are made
/// by it. Nothing else that waits goes by it, since it jumps.
const WALL_CLOCK: &[&str] = &[
    "src/agent/audit/mod.rs",
    "src/agent/ca/authority.rs",
    "src/agent/ca/issue.rs",
    "src/agent/identity/files.rs",
    "src/agent/identity/handshake.rs",
    "src/agent/identity/mod.rs",
    "src/agent/identity/svid.rs",
    "src/agent/identity/workload.rs",
    "src/agent/peers/trust.rs",
    "src/cli/doctor/agent.rs",
];

const LONGEST_ROOM: usize = 600;

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(&root.join("src"), &mut found);
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

fn is_test(name: &str) -> bool {
    // What is fuzzed is checked by the code of `fuzzing.rs`, as by a test.
    name.ends_with("/fuzzing.rs") || name.ends_with("/tests.rs") || name.contains("/tests/")
}

/// The text without comments and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn room_of(name: &str) -> &str {
    let inside = name.strip_prefix("src/").unwrap();
    inside.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Every `crate::a::b` of a text, as `a::b`.
fn paths(text: &str) -> impl Iterator<Item = String> {
    text.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        rest[..end.unwrap_or(rest.len())].trim_end_matches(':').to_owned()
    })
}

#[test]
fn arrows_go_one_way() {
    let mut seen = BTreeSet::new();
    for (name, text) in sources() {
        let room = room_of(&name);
        if room == "lib" {
            continue;
        }
        seen.insert(room.to_owned());
        let (_, may) = ROOMS
            .iter()
            .find(|(known, _)| *known == room)
            .unwrap_or_else(|| panic!("{name}: a room that ARCHITECTURE.md does not know"));
        for path in paths(&code(&text)) {
            let inside = path.split("::").next() == Some(room);
            let allowed = may.iter().any(|known| {
                path == *known || path.strip_prefix(known).is_some_and(|p| p.starts_with("::"))
            });
            let known = ROOMS.iter().any(|(known, _)| path.split("::").next() == Some(known));
            assert!(inside || allowed || !known, "{name} must not know {path}");
        }
    }
    let planned: BTreeSet<_> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(seen, planned, "rooms of this test and rooms of the source");
}

#[test]
fn what_decides_does_no_input_and_no_output() {
    let mut looked_at = 0;
    for (name, text) in sources() {
        if !PURE.iter().any(|pure| name.starts_with(pure)) || is_test(&name) {
            continue;
        }
        looked_at += 1;
        let code = code(&text);
        for word in IMPURE {
            let named = code
                .match_indices(word)
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric()));
            assert!(!named, "{name} names {word}");
        }
    }
    assert!(looked_at >= PURE.len(), "{looked_at} files");
}

#[test]
fn unsafe_code_is_where_it_is_said_to_be() {
    for (name, text) in sources() {
        let has = code(&text).contains("unsafe {");
        assert_eq!(has, UNSAFE.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn the_wall_clock_is_read_where_it_is_said_to_be() {
    let reads = ["SystemTime::now", "UNIX_EPOCH.elapsed", "CLOCK_REALTIME", "ClockId::Realtime"];
    for (name, text) in sources() {
        let code = code(&text);
        let read = reads.iter().any(|read| code.contains(read));
        assert!(is_test(&name) || read == WALL_CLOCK.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn rooms_are_small() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_ROOM, "{name} has {lines} lines: it wants to be two");
    }
}

#[test]
fn no_match_lets_a_new_case_pass() {
    // Clippy denies wildcard arms over enums; this holds the same for defaults of identities.
    for (name, text) in sources() {
        if is_test(&name) {
            continue;
        }
        let code = code(&text);
        for line in code.lines() {
            let guesses = line.contains("unwrap_or_default()") || line.contains("uid().unwrap_or");
            assert!(!guesses, "{name}: {line}");
        }
    }
}

#[test]
fn h28_peer_credentials_of_a_unix_socket_are_not_asked_of_tcp() {
    for (name, text) in sources() {
        if !is_test(&name) && !UNIX_SOCKETS.contains(&name.as_str()) {
            let code = code(&text).to_uppercase();
            assert!(!code.contains("PEERCRED") && !code.contains("PEER_CREDENTIALS"), "{name}");
        }
    }
}
