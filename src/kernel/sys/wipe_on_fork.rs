//! Noticing that this process is a copy, without a system call.
//!
//! After fork(2) parent and child would share one netlink socket and read each other's replies. A
//! page with `MADV_WIPEONFORK` (madvise(2), Linux 4.14) reads zero in the child, however it was
//! forked, and costs one load from memory to look at.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

/// The generations there have been up to this process, in memory that its children have a copy of.
static LAST: AtomicU32 = AtomicU32::new(0);

/// A number that differs between a process, the children it forks, and theirs. It is never zero.
pub(crate) fn generation() -> u32 {
    static PAGE: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
    match PAGE.get_or_init(map) {
        Some(cell) => current(cell),
        // Without the page the pid tells the same, at the price of a system call.
        None => rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(),
    }
}

fn current(cell: &AtomicU32) -> u32 {
    match cell.load(Ordering::Relaxed) {
        0 => {
            // A child, or the first call. Not the pid: a grandchild may have that of one who was.
            let next = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
            // Another thread of this process may have been first.
            match cell.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => next,
                Err(first) => first,
            }
        }
        generation => generation,
    }
}

#[allow(unsafe_code, reason = "a page must be mapped to be wiped on fork")]
fn map() -> Option<&'static AtomicU32> {
    let len = 4096;
    // SAFETY: a new private mapping at an address that the kernel chooses touches no memory that
    // Rust knows of. It is never unmapped, so the reference may be 'static; it is page-aligned
    // and zeroed, which is a valid `AtomicU32`.
    unsafe {
        let page = mmap_anonymous(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
        .ok()?;
        if madvise(page, len, Advice::LinuxWipeOnFork).is_err() {
            let _ = rustix::mm::munmap(page, len);
            return None;
        }
        Some(&*page.cast::<AtomicU32>())
    }
}
