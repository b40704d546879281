//! What a configuration file may say, and how it is refused.

use super::*;

#[test]
fn an_empty_file_is_the_standard() {
    assert_eq!(Config::parse("x", "").unwrap(), Config::standard());
    assert_eq!(
        Config::parse("x", "version = 1\n[limits]\n[identity]\n").unwrap(),
        Config::standard()
    );
}

#[test]
fn every_key_is_understood() {
    let text = r#"
        version = 1
        policy = "/etc/p.toml"
        namespaces = ["/run/netns/web", "/run/netns/db"]
        [socket]
        path = "/run/x.sock"
        mode = "0660"
        owner = "root"
        group = "1000"
        [identity]
        certificate = "/etc/i/cert.pem"
        key = "/etc/i/key.pem"
        trust = "/etc/i/ca.pem"
        [peers]
        port = 1
        allow = ["web1", "db1"]
        networks = ["192.0.2.0/24", "2001:db8::/32"]
        [limits]
        connections = 1
        connections_per_user = 2
        questions_per_user = 3
        questions_per_second = 4
        question_seconds = 300
        stall_seconds = 6
        namespaces = 7
        peer_connections = 8
        peer_connections_per_address = 9
        peer_handshakes = 10
        peer_questions_per_second = 11
        [audit]
        file = "/var/log/a.jsonl"
        journald = false
        journald_socket = "/run/j"
        on_failure = "refuse"
        [metrics]
        listen = "[::1]:9464"
        [log]
        level = "trace"
        format = "json"
    "#;
    let config = Config {
        policy: Some("/etc/p.toml".into()),
        namespaces: Namespaces::Listed(vec!["/run/netns/web".into(), "/run/netns/db".into()]),
        socket: SocketConfig {
            path: "/run/x.sock".into(),
            mode: 0o660,
            owner: Some(Account::Name("root".into())),
            group: Some(Account::Number(1000)),
        },
        identity: IdentityConfig::Files {
            certificate: "/etc/i/cert.pem".into(),
            key: "/etc/i/key.pem".into(),
            trust: "/etc/i/ca.pem".into(),
        },
        peers: PeersConfig {
            port: 1,
            allow: Some(vec!["web1".into(), "db1".into()]),
            networks: ["192.0.2.0/24", "2001:db8::/32"]
                .map(|it| Network::parse(it).unwrap())
                .into(),
        },
        ident: IdentConfig::standard(),
        limits: LimitsConfig {
            connections: 1,
            connections_per_user: 2,
            questions_per_user: 3,
            questions_per_second: 4,
            question: Duration::from_secs(300),
            stall: Duration::from_secs(6),
            namespaces: 7,
            peer_connections: 8,
            peer_connections_per_address: 9,
            peer_handshakes: 10,
            peer_questions_per_second: 11,
        },
        audit: AuditConfig {
            file: Some("/var/log/a.jsonl".into()),
            journald: Some(false),
            journald_socket: "/run/j".into(),
            on_failure: OnFailure::Refuse,
        },
        metrics: MetricsConfig { listen: Some("[::1]:9464".parse().unwrap()) },
        log: LogConfig { level: LogLevel::Trace, format: LogFormat::Json },
    };
    assert_eq!(Config::parse("x", text).unwrap(), config);
    let text = "[identity]\nworkload_api = \"unix:///run/spire/api.sock\"";
    let identity = IdentityConfig::WorkloadApi { socket: "/run/spire/api.sock".into() };
    assert_eq!(Config::parse("x", text).unwrap(), Config { identity, ..Config::standard() });
}

#[test]
fn faults_are_told_with_their_place() {
    let long = format!("[socket]\npath = \"/{}\"\n", "x".repeat(103));
    for (text, begins) in [
        ("a", "f:1:2: expected TOML, each key at most once"),
        ("version = 1\nversion = 1", "f:2:1: expected TOML, each key at most once"),
        ("version = 2", "f:1:11: expected version 1; found 2; write version = 1"),
        ("version = \"1\"", "f:1:11: expected a value of the key's documented type; found inval"),
        (
            "socket = 1",
            "f:1:10: expected a value of the key's documented type; found invalid type: integer `1`, \
             expected a table [socket]",
        ),
        ("\nfoo = 1", "f:2:1: expected only documented keys; found unknown field `foo`"),
        ("[limits]\nconnection = 1", "f:2:1: expected only documented keys; found unknown field"),
        ("[limits]\nconnections = 0", "f:2:15: expected a number from 1 to 1000000; found 0;"),
        ("[limits]\nconnections = -1", "f:2:15: expected a number from 1 to 1000000; found -1;"),
        ("[limits]\nnamespaces = 9999999", "f:2:14: expected a number from 1 to 1000000; found 9"),
        ("[limits]\npeer_handshakes = 0", "f:2:19: expected a number from 1 to 1000000; found 0;"),
        ("[limits]\nquestion_seconds = 301", "f:2:20: expected a number of seconds from 1 to 300"),
        ("[limits]\nstall_seconds = 0", "f:2:17: expected a number of seconds from 1 to 300; f"),
        ("[limits]\nstall_seconds = 1.5", "f:2:17: expected a value of the key's documented ty"),
        ("policy = \"p.toml\"", "f:1:10: expected an absolute path; found \"p.toml\"; write the"),
        ("policy = \"/a\\u0000b\"", "f:1:10: expected an absolute path; found \"/a\\u{0}b\""),
        ("policy = \"\"", "f:1:10: expected an absolute path; found \"\""),
        ("namespaces = \"some\"", "f:1:14: expected \"all\", \"own\", or a list of absolute path"),
        (
            "namespaces = []",
            "f:1:14: expected \"all\", \"own\", or a list of absolute paths of nam",
        ),
        ("namespaces = [\"web\"]", "f:1:14: expected \"all\", \"own\", or a list of absolute pat"),
        (
            "namespaces = [1]",
            "f:1:14: expected \"all\", \"own\", or a list of absolute paths of na",
        ),
        (
            "namespaces = 1",
            "f:1:14: expected \"all\", \"own\", or a list of absolute paths of name",
        ),
        (&long, "f:2:8: expected the path of a socket, of at most 103 bytes; found 104 bytes"),
        ("[socket]\npath = \"/\"", "f:2:8: expected the path of a socket, of at most 103 bytes"),
        ("[identity]\nkey = \"/k\"", "f:1:1: expected the three files certificate, key and trust"),
        (
            "[identity]\nkey = \"/k\"\nworkload_api = \"unix:///a\"",
            "f:1:1: expected the three files certificate, key and trust, or workload_api, or no \
             [identity]; found workload_api beside files; name all three files",
        ),
        (
            "[identity]\ncertificate = \"/c\"\nkey = \"k\"\ntrust = \"/t\"",
            "f:3:7: expected an absolute path; found \"k\"",
        ),
        ("[identity]\nca = \"/c\"", "f:2:1: expected only documented keys; found unknown field"),
        ("[identity]\nworkload_api = \"/a\"", "f:2:16: expected unix:// and the absolute path of"),
        ("[identity]\nworkload_api = \"unix://a\"", "f:2:16: expected unix:// and the absolute"),
        ("[identity]\nworkload_api = \"tcp://[::1]:1\"", "f:2:16: expected unix:// and the abso"),
        ("[socket]\nmode = \"888\"", "f:2:8: expected permission bits as an octal number in quo"),
        ("[socket]\nmode = \"\"", "f:2:8: expected permission bits as an octal number in quotes"),
        ("[socket]\nmode = \"1777\"", "f:2:8: expected permission bits as an octal number in qu"),
        ("[socket]\nmode = 0o666", "f:2:8: expected permission bits as an octal number in quote"),
        ("[socket]\nowner = -1", "f:2:9: expected a name in quotes, or a number from 0 to 429496"),
        ("[socket]\ngroup = 4294967295", "f:2:9: expected a name in quotes, or a number from 0 "),
        ("[socket]\ngroup = \"4294967295\"", "f:2:9: expected a name in quotes, or a number fro"),
        ("[socket]\ngroup = \"\"", "f:2:9: expected a name in quotes, or a number from 0 to 4294"),
        ("[socket]\ngroup = []", "f:2:9: expected a name in quotes, or a number from 0 to 429496"),
        (
            "[audit]\non_failure = \"stop\"",
            "f:2:14: expected \"continue\" or \"refuse\"; found \"s",
        ),
        ("[audit]\njournald = \"yes\"", "f:2:12: expected a value of the key's documented type"),
        ("[audit]\nfile = \"a\"", "f:2:8: expected an absolute path; found \"a\""),
        ("[metrics]\nlisten = \"0.0.0.0:1\"", "f:2:10: expected a loopback address with a port;"),
        ("[metrics]\nlisten = \"localhost:1\"", "f:2:10: expected a loopback address with a por"),
        (
            "[log]\nlevel = \"INFO\"",
            "f:2:9: expected \"error\", \"warn\", \"info\", \"debug\" or \"t",
        ),
        ("[log]\nformat = \"xml\"", "f:2:10: expected \"text\" or \"json\"; found \"xml\"; write"),
        ("# é\n[log]\nf\u{1b} = 1", "f:3:2: expected TOML"),
    ] {
        let error = Config::parse("f", text).unwrap_err().to_string();
        assert!(error.starts_with(begins), "{text:?}:\n  {error}\n  {begins}");
        assert!(!error.contains(['\n', '\x1b']), "{error:?}");
    }
}

#[test]
fn what_is_no_text_is_refused_at_its_place() {
    let error = parse::parse("f", b"version = 1\n# \xff").unwrap_err();
    assert!(error.to_string().starts_with("f:2:3: expected UTF-8; found a byte"), "{error}");
    let error = parse::parse("f", &vec![b'#'; MAX_CONFIG_BYTES + 1]).unwrap_err();
    assert!(error.to_string().starts_with("f:1:1: expected a configuration of at most 1 MiB"));
    let error = Config::load(Some(Path::new("/nonexistent/partnerd.toml"))).unwrap_err();
    let begins = "/nonexistent/partnerd.toml: expected a readable file";
    assert!(error.to_string().starts_with(begins), "{error}");
    // A directory, or a FIFO that nobody writes to, is no file, and nothing waits for it.
    assert!(Config::load(Some(Path::new("/"))).is_err());
}

#[test]
fn what_needs_a_restart_is_named_and_stays() {
    let old = Config::standard();
    let new = Config::parse(
        "f",
        "namespaces = \"own\"\npolicy = \"/p\"\n[socket]\nmode = \"600\"\n[metrics]\nlisten = \
         \"127.0.0.1:1\"\n[limits]\nconnections = 9\n[log]\nlevel = \"warn\"\nformat = \"json\"\n[peers]\nport \
         = 7\nallow = []\nnetworks = []",
    )
    .unwrap();
    assert_eq!(
        old.differs_beyond_reload(&new),
        ["namespaces", "socket.mode", "peers.port", "metrics.listen", "log.format"]
    );
    assert!(old.differs_beyond_reload(&old).is_empty());
    let reloaded = old.reloaded(new);
    assert!(old.differs_beyond_reload(&reloaded).is_empty());
    assert_eq!(reloaded.limits.connections, 9);
    let peers = PeersConfig { port: 62_994, allow: Some(Vec::new()), networks: Vec::new() };
    assert_eq!(reloaded.peers, peers);
    assert_eq!(reloaded.policy, Some("/p".into()));
    assert_eq!(reloaded.log.level, LogLevel::Warn);
}
