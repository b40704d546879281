//! What must hold for any bytes that claim to be the agent's configuration.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{
    Account, Config, ConfigError, IdentityConfig, LogFormat, MAX_CONFIG_BYTES, MAX_SOCKET_PATH,
    Namespaces, OnFailure, parse,
};

/// Reads `data` as a configuration. Returns whether it was accepted.
pub fn check_config_file(data: &[u8]) -> bool {
    let config = match parse::parse("fuzz.toml", data) {
        Ok(config) => config,
        Err(error) => {
            check_error(&error, data);
            return false;
        }
    };
    assert!(data.len() <= MAX_CONFIG_BYTES);
    check_ranges(&config);
    check_numbers(&config, data);
    let form = render(&config);
    let again = parse::parse("fuzz.toml", form.as_bytes());
    assert_eq!(again.as_ref().ok(), Some(&config), "{again:?} of\n{form}");

    // What is not documented is refused, wherever it stands.
    let more = [data, b"\n[undocumented]\n"].concat();
    let refused = parse::parse("fuzz.toml", &more).map_err(|error| error.to_string());
    let named = |text: &String| more.len() > MAX_CONFIG_BYTES || text.contains("undocumented");
    assert!(refused.as_ref().is_err_and(named), "{refused:?}");

    let standard = Config::standard();
    let reloaded = standard.reloaded(config.clone());
    assert_eq!(standard.differs_beyond_reload(&reloaded), Vec::<&str>::new());
    assert_eq!(config.reloaded(config.clone()), config);
    assert_eq!(config.differs_beyond_reload(&config), Vec::<&str>::new());
    true
}

/// An error names a place in the text, what was expected, what came and what to do, on one line that
/// is fit to show.
fn check_error(error: &ConfigError, data: &[u8]) {
    let ConfigError::Invalid { place: (line, column), expected, found, remedy, .. } = error else {
        unreachable!("no file was opened: {error}")
    };
    let text = String::from_utf8_lossy(data);
    let lines = text.split('\n').count();
    assert!((1..=lines).contains(line), "line {line} of {lines}");
    let text = text.split('\n').nth(line - 1).unwrap_or("");
    assert!((1..=text.chars().count() + 1).contains(column), "column {column} of {text:?}");
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    assert!(![*expected, found.as_str(), *remedy].contains(&""), "{message}");
    assert_eq!(
        message,
        format!("fuzz.toml:{line}:{column}: expected {expected}; found {found}; {remedy}")
    );
}

/// Whatever was written, it is within what the manual says.
fn check_ranges(config: &Config) {
    let limits = &config.limits;
    for number in [
        limits.connections,
        limits.connections_per_user,
        limits.questions_per_user,
        limits.namespaces,
        limits.peer_connections,
        limits.peer_connections_per_address,
        limits.peer_handshakes,
    ] {
        assert!((1..=1_000_000).contains(&number), "{number}");
    }
    for number in [limits.questions_per_second, limits.peer_questions_per_second] {
        assert!((1..=1_000_000).contains(&number), "{number}");
    }
    for time in [limits.question, limits.stall] {
        assert!((1..=300).contains(&time.as_secs()) && time.subsec_nanos() == 0, "{time:?}");
    }
    for path in paths(config) {
        assert!(path.is_absolute() && !path.to_string_lossy().contains('\0'), "{path:?}");
    }
    let socket = &config.socket;
    assert!(socket.path.as_os_str().len() <= MAX_SOCKET_PATH && socket.mode <= 0o777);
    for account in [&socket.owner, &socket.group].into_iter().flatten() {
        match account {
            Account::Name(name) => {
                assert!(!name.is_empty() && name.bytes().any(|byte| !byte.is_ascii_digit()));
            }
            Account::Number(number) => assert_ne!(*number, u32::MAX, "nobody"),
        }
    }
    assert!(config.metrics.listen.is_none_or(|listen| listen.ip().is_loopback()));
    assert_ne!(config.peers.port, 0);
    for network in &config.peers.networks {
        for other in ["127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "::1", "::", "fe80::1"] {
            let other = other.parse::<IpAddr>();
            assert!(other.is_ok_and(|other| !network.contains(other)), "{network}");
        }
    }
    for host in config.peers.allow.iter().flatten() {
        assert!(config.peers.allows(host) && !config.peers.allows(&format!("{host}/")));
    }
}

fn paths(config: &Config) -> Vec<&Path> {
    let mut paths: Vec<&PathBuf> = config.policy.iter().chain(&config.audit.file).collect();
    paths.extend([&config.socket.path, &config.audit.journald_socket]);
    match &config.namespaces {
        Namespaces::All | Namespaces::Own => {}
        Namespaces::Listed(files) => paths.extend(files),
    }
    match &config.identity {
        IdentityConfig::Absent => {}
        IdentityConfig::Files { certificate, key, trust } => {
            paths.extend([certificate, key, trust]);
        }
        IdentityConfig::WorkloadApi { socket } => paths.push(socket),
    }
    paths.into_iter().map(PathBuf::as_path).collect()
}

/// A number that is written is the one in force; where none is, it is the standard's.
fn check_numbers(config: &Config, data: &[u8]) {
    let table = std::str::from_utf8(data).ok().and_then(|text| text.parse::<Table>().ok());
    let Some(table) = table else { unreachable!("accepted, and no TOML") };
    let standard = numbers(&Config::standard());
    for ((name, key, number), (_, _, standard)) in numbers(config).into_iter().zip(standard) {
        let written = table.get(name).and_then(|table| table.get(key)).and_then(Value::as_integer);
        assert_eq!(i128::from(written.unwrap_or(0)), if written.is_some() { number } else { 0 });
        assert!(written.is_some() || number == standard, "{name}.{key} is {number}");
    }
}

/// The numbers of a configuration: the table, the key, and the value.
fn numbers(config: &Config) -> Vec<(&'static str, &'static str, i128)> {
    let limits = &config.limits;
    let count = |number: usize| i128::try_from(number).unwrap_or(-1);
    vec![
        ("limits", "connections", count(limits.connections)),
        ("limits", "connections_per_user", count(limits.connections_per_user)),
        ("limits", "questions_per_user", count(limits.questions_per_user)),
        ("limits", "questions_per_second", limits.questions_per_second.into()),
        ("limits", "question_seconds", limits.question.as_secs().into()),
        ("limits", "stall_seconds", limits.stall.as_secs().into()),
        ("limits", "namespaces", count(limits.namespaces)),
        ("limits", "peer_connections", count(limits.peer_connections)),
        ("limits", "peer_connections_per_address", count(limits.peer_connections_per_address)),
        ("limits", "peer_handshakes", count(limits.peer_handshakes)),
        ("limits", "peer_questions_per_second", limits.peer_questions_per_second.into()),
        ("peers", "port", config.peers.port.into()),
    ]
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        if character.is_control() || matches!(character, '"' | '\\') {
            let _ = write!(quoted, "\\u{:04x}", u32::from(character));
        } else {
            quoted.push(character);
        }
    }
    quoted + "\""
}

/// A file that says the same.
fn render(config: &Config) -> String {
    let path = |path: &Path| quoted(&path.to_string_lossy());
    let list = |entries: Vec<String>| format!("[{}]", entries.join(", "));
    let mut keys: Vec<(&str, &str, String)> = numbers(config)
        .into_iter()
        .map(|(table, key, number)| (table, key, number.to_string()))
        .collect();
    keys.extend(config.policy.iter().map(|policy| ("", "policy", path(policy))));
    let namespaces = match &config.namespaces {
        Namespaces::All => quoted("all"),
        Namespaces::Own => quoted("own"),
        Namespaces::Listed(files) => list(files.iter().map(|file| path(file)).collect()),
    };
    keys.push(("", "namespaces", namespaces));
    keys.push(("socket", "path", path(&config.socket.path)));
    keys.push(("socket", "mode", quoted(&format!("{:o}", config.socket.mode))));
    for (key, account) in [("owner", &config.socket.owner), ("group", &config.socket.group)] {
        let Some(account) = account else { continue };
        let text = match account {
            Account::Name(name) => quoted(name),
            Account::Number(number) => number.to_string(),
        };
        keys.push(("socket", key, text));
    }
    match &config.identity {
        IdentityConfig::Absent => {}
        IdentityConfig::Files { certificate, key, trust } => {
            for (name, file) in [("certificate", certificate), ("key", key), ("trust", trust)] {
                keys.push(("identity", name, path(file)));
            }
        }
        IdentityConfig::WorkloadApi { socket } => {
            let endpoint = format!("unix://{}", socket.to_string_lossy());
            keys.push(("identity", "workload_api", quoted(&endpoint)));
        }
    }
    if let Some(allow) = &config.peers.allow {
        keys.push(("peers", "allow", list(allow.iter().map(|host| quoted(host)).collect())));
    }
    let networks = config.peers.networks.iter().map(|network| quoted(&network.to_string()));
    keys.push(("peers", "networks", list(networks.collect())));
    let audit = &config.audit;
    keys.extend(audit.file.iter().map(|file| ("audit", "file", path(file))));
    keys.extend(audit.journald.iter().map(|wanted| ("audit", "journald", wanted.to_string())));
    keys.push(("audit", "journald_socket", path(&audit.journald_socket)));
    let on_failure = match audit.on_failure {
        OnFailure::Continue => "continue",
        OnFailure::Refuse => "refuse",
    };
    keys.push(("audit", "on_failure", quoted(on_failure)));
    let listen = config.metrics.listen.iter();
    keys.extend(listen.map(|listen| ("metrics", "listen", quoted(&listen.to_string()))));
    keys.push(("log", "level", quoted(config.log.level.as_str())));
    let format = match config.log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    keys.push(("log", "format", quoted(format)));
    // The keys of no table come first, and those of each table together.
    keys.sort_by_key(|(table, ..)| *table);
    let mut text = String::from("version = 1\n");
    let mut of = "";
    for (table, key, value) in keys {
        if table != of {
            let _ = writeln!(text, "[{table}]");
            of = table;
        }
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}
