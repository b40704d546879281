//! bpf(2): loading a program, and running it on the spot.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::Errno;

const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
/// `BPF_PROG_TYPE_SCHED_CLS`.
const SCHEDULER_CLASSIFIER: u32 = 3;

/// The `BPF_PROG_LOAD` part of `union bpf_attr`, as far as it is of use.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The `BPF_PROG_TEST_RUN` part.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// A loaded program that looks at a packet.
#[derive(Debug)]
pub(crate) struct Program(OwnedFd);

impl Program {
    /// `BPF_PROG_LOAD` of a classifier.
    #[allow(unsafe_code, reason = "rustix does not have this call")]
    pub(crate) fn load(instructions: &[[u8; 8]]) -> Result<Self, Errno> {
        let license = c"MIT";
        let attributes = Load {
            prog_type: SCHEDULER_CLASSIFIER,
            insn_cnt: u32::try_from(instructions.len()).map_err(|_| Errno(libc::E2BIG))?,
            insns: address(instructions.as_ptr()),
            license: address(license.as_ptr()),
            ..Load::default()
        };
        // SAFETY: the kernel reads `insn_cnt` instructions of eight bytes and a string that ends
        // with a zero, all of which live longer than the call; it is given no place to write to.
        let fd = unsafe { bpf(PROG_LOAD, attributes) }?;
        let fd = RawFd::try_from(fd).map_err(|_| Errno(libc::EBADF))?;
        // SAFETY: the kernel has just made it for this call, so nothing else closes it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// `BPF_PROG_TEST_RUN` in the calling thread's network namespace: `packet` is what the program
    /// looks at, and holds afterwards what it has made of it.
    #[allow(unsafe_code, reason = "rustix does not have this call")]
    pub(crate) fn run(&self, packet: &mut [u8]) -> Result<(), Errno> {
        let len = u32::try_from(packet.len()).map_err(|_| Errno(libc::EMSGSIZE))?;
        let attributes = TestRun {
            prog_fd: self.0.as_raw_fd().unsigned_abs(),
            data_size_in: len,
            data_size_out: len,
            data_in: address(packet.as_ptr()),
            data_out: address(packet.as_mut_ptr()),
            repeat: 1,
            ..TestRun::default()
        };
        // SAFETY: the kernel reads and writes `len` bytes of `packet`, which is borrowed for as
        // long as the call lasts. It has copied what it reads before it writes.
        unsafe { bpf(PROG_TEST_RUN, attributes) }.map(drop)
    }
}

fn address<T>(pointer: *const T) -> u64 {
    // A pointer is never wider than 64 bits.
    u64::try_from(pointer.expose_provenance()).unwrap_or(0)
}

/// # Safety
///
/// What `attributes` points to must be valid for what `command` does with it.
#[allow(unsafe_code, reason = "rustix does not have this call")]
unsafe fn bpf<T>(command: libc::c_int, mut attributes: T) -> Result<libc::c_long, Errno> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of `attributes` and may write to its fields,
    // all of which are integers; the rest is the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attributes, size_of::<T>()) };
    if result < 0 {
        return Err(Errno(
            std::io::Error::last_os_error().raw_os_error().unwrap_or(super::errno::EIO),
        ));
    }
    Ok(result)
}
