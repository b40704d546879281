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
    /// Of the last message: each has its own, so that a reply that nobody took in the last time is not
    /// taken for the one that is waited for now (H25).
    seq: u32,
}

impl Prober {
    /// Loads the programs. The calling thread's namespace is home: all threads that look must be
    /// there.
    pub(crate) fn new() -> Result<Self, Errno> {
        let v4 = Program::load(&sequence::instructions(Family::V4))?;
        let v6 = Program::load(&sequence::instructions(Family::V6))?;
        Ok(Self { naming: Mutex::new(Naming { route: Netlink::route()?, seq: 0 }), v4, v6 })
    }

    /// The number by which [`look`](Self::look) knows a namespace. It keeps it as long as it lives.
    pub(crate) fn number(&self, namespace: BorrowedFd<'_>) -> Result<u32, Errno> {
        // What was left half-way is found out by its sequence number.
        let mut naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn number(&mut self, namespace: BorrowedFd<'_>) -> Result<u32, Errno> {
        let fd = namespace.as_raw_fd().unsigned_abs();
        // One that has a number already keeps it.
        if let Some(number) = self.get(fd)? {
            return Ok(number);
        }
        let seq = self.next();
        self.route.send(&nsid::encode_new(fd, seq))?;
        self.get(fd)?.ok_or(Errno(errno::ENOENT))
    }

    fn get(&mut self, fd: u32) -> Result<Option<u32>, Errno> {
        let seq = self.next();
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

    fn next(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::kernel::sys::namespace;

    #[test]
    #[ignore = "needs root, to make network namespaces"]
    fn h25_a_reply_that_nobody_took_in_is_no_other_namespace_s_number() {
        let mut naming = Naming { route: Netlink::route().unwrap(), seq: 0 };
        let [one, two] = [(), ()].map(|()| namespace::new().unwrap());
        let [first, second] = [&one, &two].map(|it| naming.number(it.as_fd()).unwrap());
        assert_ne!(first, second);
        // A question whose reply is left there, as after an error.
        let fd = one.as_fd().as_raw_fd().unsigned_abs();
        let seq = naming.next();
        naming.route.send(&nsid::encode_get(fd, seq)).unwrap();
        assert_eq!(naming.number(two.as_fd()), Ok(second));
    }
}
