//! Asks the kernel for the sequence numbers of two sockets in two network namespaces.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use super::sequence::{self, End, Ends, Family};
use super::sys::bpf::Program;
use super::sys::{Errno, Netlink, errno};
use super::{Endpoint, nsid};

/// Datagrams that are passed over while the expected one is looked for.
const STALE: u32 = 16;
const DATAGRAM: usize = 512;

/// What it takes to run the program of [`sequence`].
#[derive(Debug)]
pub(crate) struct Prober {
    naming: Mutex<Naming>,
    v4: Program,
    v6: Program,
}

/// Gives namespaces numbers in the one where the program runs. The kernel does the same by itself
/// for those at the other ends of virtual cables; a number is a name and nothing more.
#[derive(Debug)]
struct Naming {
    route: Netlink,
}

impl Prober {
    /// Loads the programs. The calling thread's namespace is home: all threads that look must be
    /// there.
    pub(crate) fn new() -> Result<Self, Errno> {
        let v4 = Program::load(&sequence::instructions(Family::V4))?;
        let v6 = Program::load(&sequence::instructions(Family::V6))?;
        Ok(Self { naming: Mutex::new(Naming { route: Netlink::route()? }), v4, v6 })
    }

    /// The number by which [`look`](Self::look) knows a namespace. It keeps it as long as it lives.
    pub(crate) fn number(&self, namespace: BorrowedFd<'_>) -> Result<u32, Errno> {
        // What was left half-way is found out by its sequence number.
        let naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        naming.number(namespace)
    }

    /// What our own end says in one namespace, and the partner's in another; `None` unless both are
    /// there.
    pub(crate) fn look(
        &self,
        (local, remote): (Endpoint, Endpoint),
        numbers: [u32; 2],
    ) -> Result<Option<Ends>, Errno> {
        self.run(local.ip, sequence::encode((local, remote), numbers))
    }

    /// What one end says, whose other end is on another image.
    pub(crate) fn look_at(
        &self,
        (local, remote): (Endpoint, Endpoint),
        number: u32,
    ) -> Result<Option<End>, Errno> {
        let ends = self.run(local.ip, sequence::encode_one((local, remote), number))?;
        Ok(ends.map(|ends| ends.own))
    }

    fn run<const N: usize>(
        &self,
        ip: IpAddr,
        packet: Option<[u8; N]>,
    ) -> Result<Option<Ends>, Errno> {
        let Some(mut packet) = packet else { return Ok(None) };
        let program = match ip {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        program.run(&mut packet)?;
        Ok(sequence::decode(&packet))
    }
}

impl Naming {
    fn number(&self, namespace: BorrowedFd<'_>) -> Result<u32, Errno> {
        const NEW: u32 = 1;
        const GET: u32 = 2;

        let fd = namespace.as_raw_fd().unsigned_abs();
        // One that has a number already keeps it.
        if let Some(number) = self.get(fd, GET)? {
            return Ok(number);
        }
        self.route.send(&nsid::encode_new(fd, NEW))?;
        self.get(fd, GET)?.ok_or(Errno(errno::ENOENT))
    }

    fn get(&self, fd: u32, seq: u32) -> Result<Option<u32>, Errno> {
        self.route.send(&nsid::encode_get(fd, seq))?;
        let mut buffer = [0; DATAGRAM];
        for _ in 0..STALE {
            let Some(datagram) = self.route.receive(&mut buffer)? else { continue };
            if let Some((answered, number)) = nsid::decode(datagram)
                && answered == seq
            {
                return Ok(number);
            }
        }
        Err(Errno(errno::EAGAIN))
    }
}
