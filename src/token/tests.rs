//! The two levels of the token, and what is written of it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;

fn uid(raw: u32) -> Uid {
    Uid::new(raw).unwrap()
}

/// A process of user 1000, everything of it known but a container.
pub(crate) fn parts(pid: u32) -> HolderParts {
    HolderParts {
        pid: Pid::new(pid).unwrap(),
        start_ticks: 91229,
        started: UNIX_EPOCH.checked_add(Duration::from_secs(1_700_000_000)),
        pidfs_inode: Some(7),
        local: true,
        descriptor: 3,
        process_user: Some(uid(1000)),
        process_group: Gid::new(1000),
        real_user: Some(uid(1000)),
        real_group: Gid::new(1000),
        submitting_user: Some(uid(1000)),
        session_id: Some(3),
        security_label: Some("unconfined".to_owned()),
        session_type: SessionType::InteractiveTerminal,
        port_of_entry: Some(PortOfEntry::new(PortClass::Terminal, "pts/1".to_owned())),
        same_user_namespace: Some(true),
        supplementary_groups: Gid::new(27).map(|gid| vec![gid]),
        effective_capabilities: Some(Capabilities::from_bits(0)),
        cgroup: Some("/user.slice/user-1000.slice/session-3.scope".into()),
        systemd_unit: Some("session-3.scope".to_owned()),
        container_id: None,
        executable: Some("/usr/bin/curl".into()),
        executable_deleted: Some(false),
        command: Some("curl".into()),
    }
}

/// A process of which nothing is known but what has to be.
pub(crate) fn unknown(pid: u32) -> HolderParts {
    HolderParts {
        started: None,
        pidfs_inode: None,
        process_user: None,
        process_group: None,
        real_user: None,
        real_group: None,
        submitting_user: None,
        session_id: None,
        security_label: None,
        session_type: SessionType::Unknown,
        port_of_entry: None,
        same_user_namespace: None,
        supplementary_groups: None,
        effective_capabilities: None,
        cgroup: None,
        systemd_unit: None,
        executable: None,
        executable_deleted: None,
        command: None,
        ..parts(pid)
    }
}

pub(crate) fn token(user: u32, holders: Vec<HolderParts>, gap: Option<HoldersGap>) -> UserToken {
    let node = ExecutionNode::new(
        Some("db1".to_owned()),
        Some("3d1219c7c4c5404aaa1f6d2a48adfda4".to_owned()),
        None,
    );
    let holders = holders.into_iter().map(Holder::new).collect();
    UserToken::assemble(uid(user), holders, gap, Arc::new(node))
}

/// The token of a socket of `user`, held by one process of `process_user`.
pub(crate) fn token_of(user: u32, process_user: u32) -> UserToken {
    let process_user = Some(uid(process_user));
    token(user, vec![HolderParts { process_user, ..parts(1) }], None)
}

/// The same of a process that calls itself this.
#[cfg(feature = "agent")]
pub(crate) fn token_of_command(user: u32, command: &str) -> UserToken {
    token(user, vec![HolderParts { command: Some(command.into()), ..parts(4711) }], None)
}

#[test]
fn tokens_go_between_threads() {
    fn shareable<T: Send + Sync + Unpin + 'static>() {}
    shareable::<UserToken>();
    shareable::<Holder>();
}

#[test]
fn one_holder_speaks() {
    let token = token(1000, vec![parts(4711)], None);
    assert!(token.holders_complete());
    assert_eq!(token.pid().map(Pid::as_raw), Some(4711));
    assert_eq!(token.process_user(), Some(uid(1000)));
    assert_eq!(token.command(), Some("curl".as_ref()));
    assert_eq!(token.session_type(), SessionType::InteractiveTerminal);
    assert_eq!(token.flags().to_string(), "-");
    assert_eq!(token.flags().privileged(), Some(false));
    assert_eq!(token.flags().surrogate(), Some(false));
    assert_eq!(token.flags().undefined_user(), None);
}

#[test]
fn h14_holders_that_differ_are_not_chosen_from() {
    let other = HolderParts { command: Some("child".into()), ..parts(4712) };
    let token = token(1000, vec![parts(4711), other], None);
    assert_eq!(token.holder(), None);
    assert_eq!(token.holders().len(), 2);
    assert_eq!((token.pid(), token.command()), (None, None));
    assert_eq!(token.systemd_unit(), Some("session-3.scope"));
}

#[test]
fn a_field_that_one_holder_lacks_is_absent() {
    for holders in [vec![parts(1), unknown(2)], vec![unknown(1), parts(2)], vec![unknown(1)]] {
        let token = token(1000, holders, None);
        assert_eq!(token.process_user(), None);
        assert_eq!(token.submitting_user(), None);
        assert_eq!(token.supplementary_groups(), None);
        assert_eq!(token.effective_capabilities(), None);
        assert_eq!(token.session_type(), SessionType::Unknown);
        assert_eq!(token.flags().surrogate(), None);
        assert_eq!(token.flags().privileged(), None);
    }
}

#[test]
fn h27_an_incomplete_list_speaks_only_for_the_owner() {
    for gap in [
        HoldersGap::StoppedAtFirst,
        HoldersGap::NoRight,
        HoldersGap::HiddenProcesses,
        HoldersGap::PidNamespace,
        HoldersGap::TooManyDescriptors,
        HoldersGap::TooManyHolders,
    ] {
        let own = token(1000, vec![parts(4711)], Some(gap));
        assert_eq!(own.pid().map(Pid::as_raw), Some(4711), "{gap}");
        assert_eq!(own.flags().privileged(), None, "{gap}: an unseen one may be");
        for user in [0, 1001] {
            let other = token(user, vec![parts(4711)], Some(gap));
            assert_eq!((other.pid(), other.command()), (None, None), "{gap}");
            assert!(other.holder().is_some());
        }
        assert_eq!(token(1000, vec![unknown(4711)], Some(gap)).pid(), None, "{gap}");
    }
    for gap in [HoldersGap::Changing, HoldersGap::NotHeld, HoldersGap::NoProc] {
        assert_eq!(token(1000, vec![parts(4711)], Some(gap)).pid(), None, "{gap}");
    }
}

#[test]
fn h27_nothing_known_is_default_and_not_root() {
    for gap in [None, Some(HoldersGap::NoRight), Some(HoldersGap::NoProc)] {
        let token = token(1000, vec![], gap);
        assert!(token.flags().default());
        assert_eq!(token.user(), uid(1000));
        assert_eq!((token.process_user(), token.pid()), (None, None));
        assert_eq!(token.flags().privileged(), None);
    }
}

#[test]
fn h13_privilege_is_the_processes_and_not_the_users() {
    let capable = Some(Capabilities::from_bits(1 << 10));
    for (process_user, effective_capabilities) in
        [(Some(uid(0)), None), (None, capable), (Some(uid(1000)), capable)]
    {
        let set_uid = HolderParts { process_user, effective_capabilities, ..parts(1) };
        for gap in [None, Some(HoldersGap::NoRight)] {
            let token = token(1000, vec![parts(2), set_uid.clone()], gap);
            assert_eq!(token.flags().privileged(), Some(true));
            assert_eq!(token.user(), uid(1000));
        }
    }
}

#[test]
fn capabilities_in_a_namespace_of_its_own_are_no_privilege() {
    let effective_capabilities = Some(Capabilities::from_bits(u64::MAX));
    for (same_user_namespace, expected) in
        [(Some(true), Some(true)), (Some(false), Some(false)), (None, None)]
    {
        let contained = HolderParts { effective_capabilities, same_user_namespace, ..parts(1) };
        assert_eq!(token(1000, vec![contained], None).flags().privileged(), expected);
    }
}

#[test]
fn surrogate_compares_login_and_owner() {
    let token = token(0, vec![parts(1)], None);
    assert_eq!(token.flags().surrogate(), Some(true));
    assert_eq!(token.flags().to_string(), "surrogate");
}

#[test]
fn one_line_for_the_log() {
    let mut token = token(1000, vec![parts(4711)], Some(HoldersGap::StoppedAtFirst));
    token.set_undefined_user(true);
    token.set_remote();
    assert_eq!(
        token.to_string(),
        "user=1000 flags=undefined-user,remote holders=1 incomplete=stopped-at-first node=db1 \
         {pid=4711 command=\"curl\" executable=\"/usr/bin/curl\" process-user=1000 \
         process-group=1000 login=1000 session=3 type=interactive-terminal entry=terminal:pts/1 \
         unit=\"session-3.scope\" cgroup=\"/user.slice/user-1000.slice/session-3.scope\" \
         label=\"unconfined\" capabilities=0000000000000000}"
    );
}

#[test]
fn hostile_text_stays_inside_its_quotes() {
    let hostile = HolderParts {
        command: Some(OsString::from_vec(b"x\" pid=1\n\x1b[2J\xff".to_vec())),
        executable: Some("/a\nuser=0".into()),
        executable_deleted: Some(true),
        ..unknown(4711)
    };
    let line = token(1000, vec![hostile], None).to_string();
    assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    assert!(line.contains(r#"command="x\" pid=1\n"#), "{line}");
    assert!(line.contains(r#"executable="/a\nuser=0" deleted"#), "{line}");
}

#[cfg(feature = "agent")]
#[test]
fn without_the_process_that_looked_the_others_are_left() {
    let both = token(1000, vec![parts(4711), parts(4712)], None).without_process(4712);
    let pids: Vec<_> = both.holders().iter().map(|holder| holder.pid().as_raw()).collect();
    assert_eq!((pids, both.holders_gap()), (vec![4711], None));
    let alone = token(1000, vec![parts(4712)], None).without_process(4712);
    assert_eq!((alone.holders(), alone.holders_gap()), (&[][..], Some(HoldersGap::NotHeld)));
    let first = Some(HoldersGap::StoppedAtFirst);
    let alone = token(1000, vec![parts(4712)], first).without_process(4712);
    assert_eq!(alone.holders_gap(), first);
}

#[cfg(feature = "serde")]
#[test]
fn each_gap_is_written_by_its_name() {
    for (gap, name) in [
        (HoldersGap::StoppedAtFirst, "stopped-at-first"),
        (HoldersGap::NoRight, "no-right"),
        (HoldersGap::HiddenProcesses, "hidden-processes"),
        (HoldersGap::PidNamespace, "pid-namespace"),
        (HoldersGap::TooManyDescriptors, "too-many-descriptors"),
        (HoldersGap::Changing, "changing"),
        (HoldersGap::NotHeld, "not-held"),
        (HoldersGap::NoProc, "no-proc"),
        (HoldersGap::TooManyHolders, "too-many-holders"),
    ] {
        assert_eq!(serde_json::to_string(&gap).unwrap(), format!("\"{name}\""));
    }
}

#[cfg(feature = "serde")]
#[test]
fn what_is_written_is_a_promise() {
    let strange = HolderParts { command: Some(OsString::from_vec(vec![0xff, b'a'])), ..unknown(5) };
    let token = token(1000, vec![parts(4711), strange], Some(HoldersGap::NoRight));
    let expected = r#"{"version":1,"user":1000,"flags":{"privileged":null,"undefined_user":null,"surrogate":null,"remote":false,"default":false},"holders":[{"pid":4711,"start_ticks":91229,"started":1700000000,"descriptor":3,"process_user":1000,"process_group":1000,"real_user":1000,"real_group":1000,"submitting_user":1000,"session_id":3,"security_label":"unconfined","session_type":"interactive-terminal","port_of_entry":{"class":"terminal","name":"pts/1"},"supplementary_groups":[27],"effective_capabilities":"0000000000000000","cgroup":"/user.slice/user-1000.slice/session-3.scope","systemd_unit":"session-3.scope","container_id":null,"executable":"/usr/bin/curl","executable_deleted":false,"command":"curl","privileged":false},{"pid":5,"start_ticks":91229,"started":null,"descriptor":3,"process_user":null,"process_group":null,"real_user":null,"real_group":null,"submitting_user":null,"session_id":null,"security_label":null,"session_type":"unknown","port_of_entry":null,"supplementary_groups":null,"effective_capabilities":null,"cgroup":null,"systemd_unit":null,"container_id":null,"executable":null,"executable_deleted":null,"command":[255,97],"privileged":null}],"holders_complete":false,"holders_gap":"no-right","execution_node":{"host_name":"db1","machine_id":"3d1219c7c4c5404aaa1f6d2a48adfda4","boot_id":null}}"#;
    assert_eq!(serde_json::to_string(&token).unwrap(), expected);
}
