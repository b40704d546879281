//! The facts of this host that hold until it is booted again, read once.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::parse::node;
use super::sys::{self, Proc};
use crate::token::ExecutionNode;

/// What is the same for every process of this host.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) node: Arc<ExecutionNode>,
    /// The user namespace of this process, as `/proc/self/ns/user` names it.
    pub(super) user_namespace: Option<Vec<u8>>,
    boot_time: Option<u64>,
    ticks_per_second: u64,
}

impl Facts {
    pub(super) fn read(proc: Option<&Proc>) -> Self {
        let file = |path, limit| proc.and_then(|proc| proc.read(path, limit));
        let boot_id = file(c"sys/kernel/random/boot_id", 256).as_deref().and_then(node::boot_id);
        let machine_id = sys::read(c"/etc/machine-id", 256).as_deref().and_then(node::machine_id);
        Self {
            node: Arc::new(ExecutionNode::new(sys::host_name(), machine_id, boot_id)),
            user_namespace: proc.and_then(|proc| proc.link(c"self/ns/user")),
            // Its line of interrupts grows with the machine.
            boot_time: file(c"stat", 1 << 20).as_deref().and_then(node::boot_time),
            ticks_per_second: sys::ticks_per_second(),
        }
    }

    /// The wall clock at a number of clock ticks after the boot, exact to a second.
    ///
    /// The fraction is left out on purpose: the boot time has none, and one process shall have one
    /// start time, however often it is asked for.
    pub(super) fn wall_clock(&self, ticks: u64) -> Option<SystemTime> {
        let seconds = self.boot_time?.checked_add(ticks.checked_div(self.ticks_per_second)?)?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times() {
        let facts = |boot_time, ticks_per_second| Facts {
            node: Arc::new(ExecutionNode::new(None, None, None)),
            user_namespace: None,
            boot_time,
            ticks_per_second,
        };
        let at = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        assert_eq!(facts(Some(1000), 100).wall_clock(250), at(1002));
        assert_eq!(facts(None, 100).wall_clock(250), None);
        assert_eq!(facts(Some(1000), 0).wall_clock(250), None);
        assert_eq!(facts(Some(u64::MAX), 1).wall_clock(250), None);
    }

    #[test]
    fn this_host_has_some() {
        let proc = Proc::open();
        let facts = Facts::read(proc.as_ref());
        assert!(facts.node.boot_id().is_some());
        assert!(facts.wall_clock(0).is_some_and(|boot| boot < SystemTime::now()));
        assert!(Facts::read(None).node.boot_id().is_none());
    }
}
