//! PostgreSQL, from Debian's packages, that logs in whom the agent names.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::super::support::eventually;
use super::{BIN, DAEMON, LISTEN};
use crate::harness::agent::daemon::Partnerd;

crate::harness::tests![
    #[postgresql]
    ident_lets_the_right_user_into_postgresql_and_the_wrong_one_not,
];

/// The folder of the server's programs, which are not in the path.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.flatten().map(|version| version.path().join("bin"));
    folders.filter(|folder| folder.join("postgres").exists() && folder.join("psql").exists()).max()
}

/// A server with a database, at port 5432 of the calling thread's namespace.
struct Server {
    folder: PathBuf,
    child: Child,
}

impl Server {
    fn start() -> Self {
        let programs = programs().expect("PostgreSQL");
        let user = nix::unistd::User::from_name("postgres").unwrap().expect("its user");
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        let folder = std::env::temp_dir().join(format!("partnerd-postgres-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&folder, Some(uid), Some(gid)).unwrap();
        let data = folder.join("data");
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.uid(uid).gid(gid).current_dir(&folder).stdin(Stdio::null());
            command
        };
        let made = command("initdb")
            .args(["--no-sync", "--auth=reject", "--username=postgres", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        // Roles of the names of the users, and nothing else, let in.
        let hba = "host all all 127.0.0.1/32 ident\nhost all all ::1/128 ident\n";
        fs::write(data.join("pg_hba.conf"), hba).unwrap();
        let mut single = command("postgres");
        single.args(["--single", "-D"]).arg(&data).arg("postgres").stdin(Stdio::piped());
        let mut single = single.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let roles = b"CREATE ROLE daemon LOGIN;\nCREATE ROLE bin LOGIN;\n";
        std::io::Write::write_all(&mut single.stdin.take().unwrap(), roles).unwrap();
        assert!(single.wait().unwrap().success());
        let log = File::create(folder.join("log")).unwrap();
        let mut server = command("postgres");
        server.arg("-D").arg(&data).args([
            "-c",
            "listen_addresses=127.0.0.1,::1",
            "-c",
            "fsync=off",
        ]);
        server.args(["-c", "unix_socket_directories=", "-c", "log_min_messages=log"]);
        let child = server.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let server = Self { folder, child };
        eventually("PostgreSQL answers", || server.log().contains("ready to accept connections"));
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("PostgreSQL said:\n{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What psql says of who it is, run as this user, with this role.
fn login(uid: u32, role: &str, host: &str) -> Result<String, String> {
    let output = Command::new(programs().expect("PostgreSQL").join("psql"))
        .args(["-X", "-A", "-t", "-h", host, "-U", role, "-d", "postgres"])
        .args(["-c", "SELECT session_user, inet_client_addr()"])
        .env("PGCONNECT_TIMEOUT", "20")
        .uid(uid)
        .gid(uid)
        .current_dir(Path::new("/"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn ident_lets_the_right_user_into_postgresql_and_the_wrong_one_not() {
    let server = Server::start();
    let check = |when: &str| {
        for host in ["127.0.0.1", "::1"] {
            for (uid, own, other) in [(DAEMON, "daemon", "bin"), (BIN, "bin", "daemon")] {
                let said = login(uid, own, host);
                assert_eq!(said, Ok(format!("{own}|{host}")), "{when}");
                for role in [other, "postgres"] {
                    let said = login(uid, role, host).unwrap_err();
                    let refused = format!("Ident authentication failed for user \"{role}\"");
                    assert!(said.contains(&refused), "{when}: {said}");
                }
            }
        }
    };
    // Nobody is let in where nobody answers.
    assert!(login(DAEMON, "daemon", "127.0.0.1").is_err());
    let agent = Partnerd::prepare(None, LISTEN);
    agent.run();
    check("before the restart");
    agent.signal("TERM");
    assert_eq!(agent.wait(), Some(0));
    assert!(login(DAEMON, "daemon", "127.0.0.1").is_err());
    agent.run();
    check("after the restart");
    // One that is told not to tell it lets nobody in.
    agent.configure(false, &format!("{LISTEN}tell = \"hidden\"\n"));
    agent.signal("HUP");
    eventually("it is hidden", || login(DAEMON, "daemon", "127.0.0.1").is_err());
    assert!(!server.log().contains("invalidly formatted"), "{}", server.log());
}
