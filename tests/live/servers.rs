//! The examples' servers, run as one user and called by others.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

super::tests![
    #[curl]
    axum_s_server_admits_one_user_and_refuses_another,
    #[curl]
    hyper_s_server_admits_one_user_and_refuses_another,
    tonic_s_server_admits_one_user_and_refuses_another,
];

/// Who runs the servers.
const SERVER: u32 = 1002;

/// A program of the examples where every user may run it.
struct Example {
    folder: PathBuf,
    servers: Vec<Child>,
}

impl Example {
    fn new(name: &str) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let last = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("example-{}-{last}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let example = Self { folder, servers: Vec::new() };
        // This test is in `deps`, the examples are beside.
        let built = std::env::current_exe().unwrap();
        let built = built.parent().unwrap().parent().unwrap().join("examples").join(name);
        fs::copy(&built, example.program()).unwrap_or_else(|e| {
            panic!("{}: {e}; `cargo build --examples --all-features` makes it", built.display())
        });
        example
    }

    fn program(&self) -> PathBuf {
        self.folder.join("program")
    }

    /// Starts it as a server for user 1000, and says where it listens.
    fn serve(&mut self) -> String {
        let mut command = Command::new(self.program());
        command.args(["127.0.0.1:0", "1000"]).uid(SERVER).gid(SERVER).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.servers.push(server);
        let address = line.trim_end().strip_prefix("listening on ");
        address.unwrap_or_else(|| panic!("it said {line:?}")).to_owned()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a command of this user prints.
fn printed_as(uid: u32, command: &mut Command) -> String {
    let output = command.uid(uid).gid(uid).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    assert!(output.status.success(), "{command:?}: {}", err.unwrap());
    out.unwrap()
}

/// The body and, in a line behind it, the status and how many connections it took.
fn curl(uid: u32, address: &str, more: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "30"]);
    command.args(["--write-out", "%{http_code} %{content_type} %{num_connects}\n"]);
    printed_as(uid, command.args(more).arg(format!("http://{address}/")))
}

fn http_server(name: &str) {
    let mut example = Example::new(name);
    let address = example.serve();
    for _ in 0..3 {
        let said = curl(1000, &address, &[]);
        assert!(said.starts_with("welcome: user ") && said.contains("1000"), "{said}");
        assert!(said.contains(", same cluster, same image, internal\n200 "), "{said}");
        // Root and the server's own user are strangers as any other.
        for stranger in [1001, 0, SERVER] {
            let said = curl(stranger, &address, &[]);
            assert_eq!(
                said, "refused: not-admitted\n403 text/plain; charset=utf-8 1\n",
                "{stranger}"
            );
        }
    }
    // No header makes a stranger somebody else.
    for header in ["X-Forwarded-For: 127.0.0.1", "X-Partner-User: 1000", "Forwarded: for=1000"] {
        let said = curl(1001, &address, &["--header", header]);
        assert!(said.starts_with("refused: not-admitted\n403 "), "{header}: {said}");
    }
    // Several requests of one connection are one partner's.
    let again = format!("http://{address}/");
    let said = curl(1000, &address, &[&again]);
    assert_eq!(said.matches("welcome: user ").count(), 2, "{said}");
    assert!(said.ends_with(" 0\n"), "the second took no connection of its own: {said}");
}

fn axum_s_server_admits_one_user_and_refuses_another() {
    http_server("axum_protected");
}

fn hyper_s_server_admits_one_user_and_refuses_another() {
    http_server("hyper_protected");
}

fn tonic_s_server_admits_one_user_and_refuses_another() {
    let mut example = Example::new("tonic_protected");
    let address = example.serve();
    let call = |uid| printed_as(uid, Command::new(example.program()).args(["call", &address]));
    for _ in 0..3 {
        let said = call(1000);
        assert!(said.starts_with("welcome: user "), "{said}");
        for stranger in [1001, 0, SERVER] {
            assert_eq!(call(stranger), "PermissionDenied: not-admitted\n", "{stranger}");
        }
    }
}
