//! The roles of this benchmark's other processes.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::common::actor::{role, say, told};
use crate::{abuse, asker, support, wire};

/// Plays this process's role, if it has one.
pub fn play() -> Option<()> {
    let role = role()?;
    support::raise_descriptor_limit();
    match *role.split(' ').collect::<Vec<_>>() {
        ["asker", at, connections] => asker::play(at, connections.parse().expect("a number")),
        ["partner", to, connections, at] => {
            partner(to, connections.parse().expect("a number"), at);
        }
        ["floor", path] => floor(path),
        ["abuse", kind, path] => abuse::play(abuse::Kind::of(kind), path),
        ref other => panic!("no such role: {other:?}"),
    }
    Some(())
}

/// Connects, and accepts whoever connects; holds all of it.
fn partner(to: &str, connections: usize, at: &str) {
    let listener = TcpListener::bind(at).expect("listen");
    std::thread::spawn(move || {
        let mut held: Vec<_> = listener.incoming().map_while(Result::ok).collect();
        held.clear();
    });
    let connect = |_| {
        // The cable may not carry yet.
        (0..100)
            .find_map(|_| {
                let address = to.parse().expect("an address");
                let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
                connected.map_err(|_| std::thread::sleep(Duration::from_millis(20))).ok()
            })
            .expect("connect")
    };
    let _held: Vec<TcpStream> = (0..connections).map(connect).collect();
    say(&[]);
    told().for_each(drop);
}

/// Takes a packet with a descriptor, closes that, and sends 64 bytes back. One caller at a time.
fn floor(path: &str) {
    let listener = wire::listen(path);
    // Everybody may ask.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(path, mode).expect("its mode");
    // It ends with its standard input.
    std::thread::spawn(|| {
        say(&[]);
        told().for_each(drop);
        std::process::exit(0);
    });
    loop {
        let caller: OwnedFd = rustix::net::accept(&listener).expect("accept");
        while wire::take(caller.as_fd()).map(drop).is_some() {
            if rustix::net::send(&caller, &[0; 64], rustix::net::SendFlags::NOSIGNAL).is_err() {
                break;
            }
        }
    }
}
