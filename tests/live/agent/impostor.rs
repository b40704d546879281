//! What listens where an agent should, and is none. Part of a puppet.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, listen, recv, send, socket_with,
};

/// Listens until the process ends, and counts the questions that it hears.
pub(super) struct Impostor(Arc<AtomicU32>);

impl Impostor {
    pub(super) fn listen(path: &Path, says: &str) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, 16)?;
        let heard = Arc::new(AtomicU32::new(0));
        let (count, says) = (Arc::clone(&heard), says.to_owned());
        std::thread::spawn(move || {
            while let Ok(caller) = accept_with(&socket, SocketFlags::CLOEXEC) {
                let (count, says) = (Arc::clone(&count), says.clone());
                std::thread::spawn(move || serve(&caller, &count, &says));
            }
        });
        Ok(Self(heard))
    }

    pub(super) fn heard(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

fn serve(caller: &OwnedFd, heard: &AtomicU32, says: &str) {
    let mut question = [0; 1024];
    while let Ok((_, len)) = recv(caller, &mut question, RecvFlags::empty()) {
        if len == 0 {
            return;
        }
        heard.fetch_add(1, Ordering::Relaxed);
        // The number, which is small, stands behind the version.
        let number = question[3];
        // User 42, in the same cluster and image. The cookie 1 is that of a socket long gone.
        let told = |number, cookie: &[u8]| {
            let told = [0x22, 4, 0x08, 42, 0x10, 14];
            [&[0x08, 1, 0x10, number], cookie, &told].concat()
        };
        let answer = match says {
            "garbage" => vec![0x5a; 30],
            "another-socket" => told(number, &[0x18, 1]),
            "another-number" => told(number.wrapping_add(1) & 0x7f, &[0x18, 1]),
            "no-cookie" => told(number, &[]),
            _ => continue,
        };
        let _ = send(caller, &answer, SendFlags::NOSIGNAL);
    }
}
