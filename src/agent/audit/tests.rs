//! What is written, and what happens where it cannot be.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::time::UNIX_EPOCH;

use super::*;
use crate::agent::subject::{Connection, Peer};
use crate::info::{PartnerRequest, Routing};
use crate::token::tests::unknown;
use crate::token::{Holder, HolderParts, HoldersGap, Uid};

/// A folder that is removed with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("partnerd-audit-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const NOWHERE: AuditConfig = AuditConfig {
    file: None,
    journald: Some(false),
    journald_socket: PathBuf::new(),
    on_failure: OnFailure::Continue,
};

fn to_file(path: impl Into<PathBuf>) -> AuditConfig {
    AuditConfig { file: Some(path.into()), ..NOWHERE }
}

fn holder(pid: u32, command: &[u8]) -> Holder {
    let command = Some(OsString::from_vec(command.to_vec()));
    Holder::new(HolderParts { process_user: Uid::new(1001), command, ..unknown(pid) })
}

const PEER: Peer = Peer { uid: 1000, gid: 100, pid: Some(42) };

fn connection() -> Connection {
    Connection {
        local: "127.0.0.1:5432".parse().unwrap(),
        remote: "[::1]:40000".parse().unwrap(),
        cookie: 7,
        namespace: 1,
    }
}

fn told<'a>(holders: &'a [Holder], rule: &'a dyn fmt::Display) -> Record<'a> {
    Record {
        asker: Asker::Caller(PEER),
        connection: Some(connection()),
        request: Some(PartnerRequest::all()),
        told: Verdict::Told {
            user: Some(1001),
            routing: Routing::SAME_CLUSTER | Routing::SAME_IMAGE,
            token: Some(ToldToken { holders, gap: Some(HoldersGap::NoRight) }),
        },
        rule: Some(rule),
    }
}

fn refused(text: &str) -> Record<'_> {
    Record {
        asker: Asker::Caller(Peer { pid: None, ..PEER }),
        connection: None,
        request: None,
        told: Verdict::Refused { kind: "not-tcp", reason: None, text },
        rule: None,
    }
}

fn line(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    json::write(record, UNIX_EPOCH, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_disclosure_has_all_keys() {
    assert_eq!(
        line(&told(&[holder(43, b"psql")], &"the rule")),
        "{\"version\":1,\"time\":\"1970-01-01T00:00:00.000000Z\",\"event\":\"disclosure\",\
         \"caller\":{\"uid\":1000,\"gid\":100,\"pid\":42},\"host\":null,\
         \"connection\":{\"local\":\"127.0.0.1:5432\",\"remote\":\"[::1]:40000\",\"cookie\":7,\
         \"namespace\":1},\"asked\":[\"user-id\",\"utoken\"],\
         \"told\":{\"user\":1001,\"routing\":6,\"holders\":[{\"pid\":43,\"process_user\":1001,\
         \"command\":\"psql\"}],\"holders_gap\":\"no-right\"},\"refused\":null,\
         \"rule\":\"the rule\"}\n"
    );
}

#[test]
fn a_refusal_has_all_keys() {
    assert_eq!(
        line(&refused("no")),
        "{\"version\":1,\"time\":\"1970-01-01T00:00:00.000000Z\",\"event\":\"refusal\",\
         \"caller\":{\"uid\":1000,\"gid\":100,\"pid\":null},\"host\":null,\"connection\":null,\"asked\":null,\
         \"told\":null,\"refused\":{\"kind\":\"not-tcp\",\"reason\":null,\"text\":\"no\"},\
         \"rule\":null}\n"
    );
}

const HOST: Asker<'_> =
    Asker::Host { name: "web1", address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)) };

const FAILED: PeerEvent<'_> = PeerEvent {
    host: None,
    address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8)),
    event: Event::HandshakeFailed,
    kind: "tls",
    text: "no\ncertificate",
    left_out: 3,
};

fn event_line(event: &PeerEvent<'_>) -> String {
    let mut out = Vec::new();
    json::write_event(event, UNIX_EPOCH, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn another_host_that_asks_is_named_instead_of_a_caller() {
    let line = line(&Record { asker: HOST, ..refused("no") });
    let host = "\"caller\":null,\"host\":{\"name\":\"web1\",\"address\":\"192.0.2.7\"},";
    assert!(line.contains(host), "{line}");
    let mut datagram = Vec::new();
    journal::write(&Record { asker: HOST, ..refused("no") }, &mut datagram);
    let fields = fields(&datagram);
    for (name, value) in [
        ("MESSAGE", "refused host web1 at 192.0.2.7: not-tcp"),
        ("PARTNERD_HOST", "web1"),
        ("PARTNERD_HOST_ADDRESS", "192.0.2.7"),
    ] {
        assert!(fields.contains(&(name.into(), value.into())), "{name}: {fields:?}");
    }
    assert!(!fields.iter().any(|(name, _)| name.contains("CALLER")), "{fields:?}");
}

#[test]
fn what_is_no_question_has_the_same_keys_and_how_much_was_left_out() {
    assert_eq!(
        event_line(&FAILED),
        "{\"version\":1,\"time\":\"1970-01-01T00:00:00.000000Z\",\"event\":\"handshake-failed\",\
         \"caller\":null,\"host\":{\"name\":null,\"address\":\"192.0.2.8\"},\"connection\":null,\
         \"asked\":null,\"told\":null,\"refused\":{\"kind\":\"tls\",\"reason\":null,\
         \"text\":\"no\\ncertificate\"},\"rule\":null,\"left_out\":3}\n"
    );
    let refused = PeerEvent { host: Some("web1"), event: Event::QuestionRefused, ..FAILED };
    assert!(event_line(&refused).contains("{\"name\":\"web1\",\"address\":\"192.0.2.8\"}"));
    for (event, name, message) in [
        (FAILED, "handshake-failed", "192.0.2.8 did not prove who it is: tls"),
        (refused, "question-refused", "host web1 at 192.0.2.8 was refused a question: tls"),
        (
            PeerEvent { event: Event::ConnectionRefused, ..FAILED },
            "connection-refused",
            "192.0.2.8 was not let in: tls",
        ),
    ] {
        let mut datagram = Vec::new();
        journal::write_event(&event, &mut datagram);
        let fields = fields(&datagram);
        for (key, value) in [
            ("MESSAGE", message),
            ("PRIORITY", "5"),
            ("PARTNERD_EVENT", name),
            ("PARTNERD_HOST_ADDRESS", "192.0.2.8"),
            ("PARTNERD_KIND", "tls"),
            ("PARTNERD_TEXT", "no\ncertificate"),
            ("PARTNERD_LEFT_OUT", "3"),
        ] {
            assert!(fields.contains(&(key.into(), value.into())), "{key}: {fields:?}");
        }
        let named = fields.iter().any(|(name, _)| name == "PARTNERD_HOST");
        assert_eq!(named, event.host.is_some());
    }
}

#[test]
fn a_hostile_command_stays_on_its_line_and_off_the_terminal() {
    let hostile = "\"}\n{\"event\":\"\x1b[2J\u{9b}\u{202e}\u{1f600}\\";
    let holders = [holder(1, hostile.as_bytes()), holder(2, b"\xff\n")];
    let line = line(&told(&holders, &"a\nb"));
    assert!(line.trim_end().bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{line}");
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read["told"]["holders"][0]["command"], hostile);
    assert_eq!(read["told"]["holders"][1]["command"], serde_json::json!([255, 10]));
    assert_eq!(read["rule"], "a\nb");
}

/// Reads a datagram of the native protocol, as journald's documentation has it.
fn fields(mut datagram: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(end) = datagram.iter().position(|byte| matches!(byte, b'=' | b'\n')) {
        let name = String::from_utf8(datagram[..end].to_vec()).unwrap();
        let rest = &datagram[end + 1..];
        let (value, next) = if datagram[end] == b'=' {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            (&rest[..end], &rest[end + 1..])
        } else {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap());
            let length = usize::try_from(length).unwrap();
            assert_eq!(rest[8 + length], b'\n');
            (&rest[8..8 + length], &rest[8 + length + 1..])
        };
        found.push((name, value.to_vec()));
        datagram = next;
    }
    assert!(datagram.is_empty());
    found
}

#[test]
fn the_journal_gets_fields_that_cannot_forge_others() {
    let hostile = b"a\nPARTNERD_USER=0\n\xff";
    let mut datagram = Vec::new();
    journal::write(&told(&[holder(5, hostile), holder(6, b"b")], &"rule"), &mut datagram);
    let fields = fields(&datagram);
    let of = |name: &str| -> Vec<&[u8]> {
        fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_slice()).collect()
    };
    assert_eq!(of("PARTNERD_USER"), [b"1001"]);
    assert_eq!(of("PARTNERD_HOLDER"), [[b"5 ".as_slice(), hostile].concat().as_slice(), b"6 b"]);
    assert_eq!(of("MESSAGE"), [b"told uid 1000 that its partner is uid 1001"]);
    assert_eq!(of("PRIORITY"), [b"6"]);
    assert_eq!(of("SYSLOG_IDENTIFIER"), [b"partnerd"]);
    assert_eq!(of("PARTNERD_ASKED"), [b"user-id,utoken"]);
    assert_eq!(of("PARTNERD_RULE"), [b"rule"]);
}

#[test]
fn everything_recorded_is_in_the_file_when_the_audit_is_closed() {
    let folder = Folder::new();
    let path = folder.join("audit.jsonl");
    let tally = Tally::default();
    let audit = Audit::open(&to_file(&path), tally.clone()).unwrap();
    for number in 0..1000 {
        audit.record(&refused(&number.to_string()));
    }
    audit.close();
    let text = std::fs::read_to_string(&path).unwrap();
    let told: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["refused"]["text"].as_str().unwrap().parse::<u32>().unwrap())
        .collect();
    assert_eq!(told, (0..1000).collect::<Vec<_>>());
    assert_eq!((tally.records.get(), tally.failures.get(), tally.lost.get()), (1000, 0, 0));
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn a_line_that_somebody_left_unfinished_stays_alone() {
    let folder = Folder::new();
    let path = folder.join("audit.jsonl");
    std::fs::write(&path, "{\"half").unwrap();
    let audit = Audit::open(&to_file(&path), Tally::default()).unwrap();
    audit.record(&refused("a"));
    audit.close();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\"half\n{\"version\":1,") && text.ends_with("}\n"), "{text}");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn a_renamed_file_is_left_at_a_reopen() {
    let folder = Folder::new();
    let (path, old) = (folder.join("audit.jsonl"), folder.join("audit.jsonl.1"));
    let audit = Audit::open(&to_file(&path), Tally::default()).unwrap();
    audit.record(&refused("first"));
    while std::fs::metadata(&path).unwrap().len() == 0 {
        std::thread::yield_now();
    }
    std::fs::rename(&path, &old).unwrap();
    audit.reopen(&to_file(&path)).unwrap();
    audit.record(&refused("second"));
    assert!(audit.reopen(&to_file("/nonexistent/audit")).is_err(), "and nothing changes");
    audit.record(&refused("third"));
    audit.close();
    assert_eq!(std::fs::read_to_string(&old).unwrap().lines().count(), 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
}

fn wait_for(what: &str, is: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} in ten seconds");
}

#[test]
fn a_full_disk_loses_records_and_says_so() {
    let tally = Tally::default();
    let audit = Audit::open(&to_file("/dev/full"), tally.clone()).unwrap();
    audit.record(&refused("a"));
    wait_for("the failure is counted", || tally.failures.get() == 1 && tally.lost.get() == 1);
    assert!(!audit.failing(), "it goes on");
    // Nobody waits for a disk that takes nothing.
    let long = "x".repeat(4000);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    wait_for("it is known to fail", || audit.shared.failing.load(Ordering::Relaxed));
    for _ in 0..2 * LIMIT / long.len() {
        runtime.block_on(audit.room());
        audit.record(&refused(&long));
    }
    assert!(audit.shared.lock().batch.len() <= LIMIT + 2 * long.len());
    audit.close();
    assert_eq!(tally.lost.get(), tally.records.get(), "every record that is not there is counted");
}

#[test]
fn a_full_disk_stops_the_answers_where_that_is_wanted_and_nothing_is_lost() {
    let folder = Folder::new();
    let path = folder.join("audit.jsonl");
    let tally = Tally::default();
    let config = AuditConfig { on_failure: OnFailure::Refuse, ..to_file("/dev/full") };
    let audit = Audit::open(&config, tally.clone()).unwrap();
    assert!(!audit.failing());
    audit.record(&refused("a"));
    wait_for("it fails", || audit.failing());
    audit.reopen(&AuditConfig { file: Some(path.clone()), ..config }).unwrap();
    wait_for("it is mended", || !audit.failing());
    audit.close();
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    assert_eq!(tally.lost.get(), 0);
}

#[test]
fn a_line_that_does_not_fit_is_taken_away_whole() {
    let folder = Folder::new();
    let path = folder.join("audit.jsonl");
    std::fs::write(&path, "first\n").unwrap();
    let mut file = AuditFile::open(&path).unwrap();
    // What append() comes to after write(2) took ten bytes.
    let lines = b"second\nthird, and more\n";
    let mut other = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    io::Write::write_all(&mut other, &lines[..10]).unwrap();
    let (whole, result) = file.cut(lines, 10, io::ErrorKind::StorageFull.into());
    assert_eq!((whole, result.unwrap_err().kind()), (7, io::ErrorKind::StorageFull));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\nsecond\n");
    let (whole, result) = file.append(&lines[whole..]);
    assert_eq!((whole, result.is_ok()), (16, true));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\nsecond\nthird, and more\n");
}

#[test]
fn questions_wait_while_the_buffer_is_full() {
    let folder = Folder::new();
    let audit = Audit::open(&to_file(folder.join("audit.jsonl")), Tally::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    wait_for("the thread is idle", || audit.shared.lock().idle);
    audit.shared.lock().taken = CAPACITY;
    runtime.block_on(async {
        let short = Duration::from_millis(20);
        assert!(tokio::time::timeout(short, audit.room()).await.is_err());
        audit.record(&refused("the thread wakes, and puts right what it has taken"));
        tokio::time::timeout(Duration::from_secs(10), audit.room()).await.unwrap();
    });
}

/// A datagram socket stands in for journald, which does not run where this is built: what is
/// proven is what is sent, not what journald makes of it.
#[test]
fn the_journal_is_sent_one_datagram_for_each_record() {
    let folder = Folder::new();
    let path = folder.join("journal");
    let config = AuditConfig { journald: Some(true), journald_socket: path.clone(), ..NOWHERE };
    let error = Audit::open(&config, Tally::default()).unwrap_err().to_string();
    assert!(error.contains("journal for the audit: No such file"), "{error}");
    let journald = UnixDatagram::bind(&path).unwrap();
    journald.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let tally = Tally::default();
    let audit = Audit::open(&AuditConfig { journald: None, ..config }, tally.clone()).unwrap();
    let mut space = vec![0; 1 << 16];
    for text in ["a", "b\nMESSAGE=c"] {
        audit.record(&refused(text));
        let length = journald.recv(&mut space).unwrap();
        let fields = fields(&space[..length]);
        assert_eq!(fields[0], ("MESSAGE".into(), b"refused uid 1000: not-tcp".to_vec()));
        assert_eq!(fields.last().unwrap(), &("PARTNERD_TEXT".into(), text.as_bytes().to_vec()));
    }
    // Too long for a datagram: comes as an empty one with a descriptor, which std does not take.
    audit.record(&refused(&"x".repeat(1 << 20)));
    assert_eq!(journald.recv(&mut space).unwrap(), 0);
    // A journal that restarts has a new socket of the same name.
    drop(journald);
    std::fs::remove_file(&path).unwrap();
    let journald = UnixDatagram::bind(&path).unwrap();
    journald.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    audit.record(&refused("d"));
    assert!(journald.recv(&mut space).unwrap() > 0);
    audit.close();
    assert_eq!((tally.failures.get(), tally.lost.get()), (0, 0));
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = Folder::new();
    let link = folder.join("link");
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    for path in [folder.0.clone(), link, folder.join("no/file")] {
        let error = Audit::open(&to_file(&path), Tally::default()).unwrap_err().to_string();
        assert!(error.contains("place that the agent may write to"), "{error}");
    }
}
