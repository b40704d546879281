//! System calls that no crate at hand has a safe function for.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// setsockopt(2) of an option that is an `int`.
#[allow(unsafe_code, reason = "neither socket2 nor rustix has these options")]
pub(crate) fn set_option(
    socket: &impl AsFd,
    level: i32,
    option: i32,
    value: i32,
) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<i32>()).unwrap();
    // SAFETY: the descriptor is borrowed for the call; `value` is readable for `len` bytes.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw const value).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// getsockopt(2) of an option that is an `int`.
#[cfg(feature = "agent")]
#[allow(unsafe_code, reason = "neither socket2 nor rustix has these options")]
pub(crate) fn option(socket: &impl AsFd, level: i32, option: i32) -> io::Result<i32> {
    let mut value = 0_i32;
    let mut len = libc::socklen_t::try_from(size_of::<i32>()).unwrap();
    // SAFETY: the descriptor is borrowed for the call; `value` is writable for `len` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// dup2(2): `number` is closed, and then another name of `socket`.
#[allow(unsafe_code, reason = "the point is to change what a descriptor number in use means")]
pub(crate) fn put_in_place_of(number: i32, socket: &impl AsFd) {
    // SAFETY: the caller owns `number`, and goes on using it as what it is now: a socket.
    let result = unsafe { libc::dup2(socket.as_fd().as_raw_fd(), number) };
    assert_eq!(result, number, "{}", io::Error::last_os_error());
}

/// Whether getsockopt(2) knows this option of this socket.
#[allow(unsafe_code, reason = "neither socket2 nor rustix has these options")]
pub(crate) fn has_option(socket: &impl AsFd, level: i32, option: i32) -> bool {
    let mut value = [0_u8; 256];
    let mut len = libc::socklen_t::try_from(value.len()).unwrap();
    // SAFETY: the descriptor is borrowed for the call; `value` is writable for `len` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            value.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    result == 0
}

/// close(2) of a number that somebody else goes on using.
#[allow(unsafe_code, reason = "the point is to close what is in use")]
pub(crate) fn close_in_use(number: i32) {
    // SAFETY: touches no memory. That the owner of the number must bear it is what is tested.
    let result = unsafe { libc::close(number) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// What is open under this number now.
#[allow(unsafe_code, reason = "a number of another owner is looked at")]
pub(crate) fn borrowed(number: i32) -> BorrowedFd<'static> {
    // SAFETY: whatever it is, it is only looked at; a number that is not open gets an error.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Runs `ask` in a forked child, which ends with 0 where it is true.
#[allow(unsafe_code, reason = "fork(2) is what is tested")]
pub(crate) fn in_forked_child(ask: impl FnOnce() -> bool) -> io::Result<libc::pid_t> {
    // SAFETY: the C library makes its allocator usable in the child, also where other threads of
    // the parent were in it; what else the child may touch is what is tested. It leaves by
    // _exit(2), without running what belongs to the parent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
            // SAFETY: ends this process.
            unsafe { libc::_exit(i32::from(!right.unwrap_or(false))) }
        }
        child => Ok(child),
    }
}

/// Whether the child ended with 0.
#[allow(unsafe_code, reason = "the child was made by fork(2)")]
pub(crate) fn wait_for(child: libc::pid_t) -> io::Result<bool> {
    let mut status = 0;
    // SAFETY: `status` is writable during the call.
    if unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
        return Err(io::Error::last_os_error());
    }
    Ok(status == 0)
}

/// Lets the calling thread run before all ordinary ones, as soon as it wakes: `SCHED_FIFO`.
#[allow(unsafe_code, reason = "neither nix nor rustix has this call")]
pub(crate) fn run_before_others() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: `parameters` is readable during the call.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
