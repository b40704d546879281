//! Sandboxes that forbid the question (H26).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::puppet::Puppet;
use super::support::{connect, loopbacks};

super::tests![
    h26_a_sandbox_without_netlink_is_unsupported,
    h26_a_sandbox_that_comes_later_names_nobody_wrongly,
];

fn h26_a_sandbox_without_netlink_is_unsupported() {
    for errno in
        [libc::EAFNOSUPPORT, libc::EPERM, libc::EPROTONOSUPPORT, libc::EACCES, libc::ENOSYS]
    {
        for at in loopbacks(8080) {
            let asker = Puppet::new(1000);
            let listener = asker.listen(at);
            let _client = connect(at);
            let server = listener.accept();
            asker.must(&format!("no-netlink {errno}"));
            assert_eq!(server.who(), "Unsupported", "errno {errno}");
            // Again, and by the process default: the same, and no panic.
            assert_eq!(server.who(), "Unsupported", "errno {errno}");
            assert_eq!(server.must("default-who"), "Unsupported", "errno {errno}");
        }
    }
}

/// The socket that asks was made before: it goes on working, or nothing is answered.
fn h26_a_sandbox_that_comes_later_names_nobody_wrongly() {
    let [at, _] = loopbacks(8080);
    let asker = Puppet::new(1000);
    let listener = asker.listen(at);
    let _client = connect(at);
    let server = listener.accept();
    assert_eq!(server.who(), "user 0");
    asker.must(&format!("no-netlink {}", libc::EPERM));
    assert_eq!(server.who(), "user 0");
    drop(Puppet::new(1001).connect(at));
    let gone = listener.accept();
    super::support::eventually("gone", || gone.who() != "user 1001");
    assert!(!gone.who().starts_with("user"), "{}", gone.who());
}

/// In a puppet: from now on socket(2) refuses netlink sockets with this errno.
pub(crate) fn refuse_netlink(errno: i32) {
    let netlink = u64::try_from(libc::AF_NETLINK).unwrap();
    refuse(&[libc::SYS_socket], &argument(SeccompCmpOp::Eq, netlink), errno);
}

/// In the calling thread, from now on: these system calls fail where their argument is so.
pub(crate) fn refuse(calls: &[libc::c_long], condition: &SeccompCondition, errno: i32) {
    let rule = || SeccompRule::new(vec![condition.clone()]).unwrap();
    let rules: BTreeMap<_, _> = calls.iter().map(|call| (*call, vec![rule()])).collect();
    let filter: BpfProgram = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(u32::try_from(errno).unwrap()),
        std::env::consts::ARCH.try_into().unwrap(),
    )
    .unwrap()
    .try_into()
    .unwrap();
    seccompiler::apply_filter(&filter).unwrap();
}

/// What the first argument is, beside `value`.
pub(crate) fn argument(operator: SeccompCmpOp, value: u64) -> SeccompCondition {
    SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, value).unwrap()
}
