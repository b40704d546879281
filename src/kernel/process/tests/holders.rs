//! Who holds a socket, and what is read of it.

use std::time::SystemTime;

use super::*;

#[test]
fn a_child_with_the_socket() {
    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    let child = hold(socket);
    for search in [HolderSearch::All, HolderSearch::First] {
        let token = Finder::new(VIEW).token(&owner, search);
        let holder = token.holder().unwrap();
        assert_eq!(holder.pid().as_raw(), child.pid());
        assert_eq!(holder.descriptor(), 0);
        assert_eq!(holder.command(), Some("sleep".as_ref()));
        assert!(holder.executable().is_some_and(|path| path.is_absolute()));
        assert_eq!(holder.executable_deleted(), Some(false));
        assert_eq!(holder.process_user(), Some(own_uid()));
        assert_eq!(holder.real_user(), Some(own_uid()));
        assert!(holder.process_group().is_some());
        assert!(holder.supplementary_groups().is_some());
        assert!(holder.effective_capabilities().is_some());
        assert_eq!(holder.parts().same_user_namespace, Some(true));
        assert_ne!(holder.start_ticks(), 0);
        let age = SystemTime::now().duration_since(holder.started().unwrap()).unwrap();
        assert!(age < Duration::from_secs(30), "{age:?}");
        assert_eq!(token.user(), own_uid());
        assert_eq!(token.pid(), Some(holder.pid()));
        assert!(!token.flags().default());
        assert!(token.execution_node().boot_id().is_some());
    }
}

#[test]
fn fields_agree_with_the_files() {
    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    let child = hold(socket);
    let token = all(&owner);
    let holder = token.holder().unwrap();
    let file = |name: &str| {
        std::fs::read_to_string(format!("/proc/{}/{name}", child.pid())).unwrap_or_default()
    };
    let login = file("loginuid").trim().parse().ok().and_then(Uid::new);
    assert_eq!(holder.submitting_user(), login);
    let session = file("sessionid").trim().parse().ok().filter(|id| *id != u32::MAX);
    assert_eq!(holder.session_id(), session);
    let label = file("attr/current");
    assert_eq!(holder.security_label().unwrap_or(""), label.trim_end_matches(['\0', '\n']));
    if let Some(path) = holder.cgroup() {
        assert!(file("cgroup").contains(path.to_str().unwrap()));
    }
    let start = file("stat").rsplit(')').next().unwrap().split(' ').nth(20).unwrap().to_owned();
    assert_eq!(holder.start_ticks().to_string(), start);
}

#[test]
fn h14_all_holders_are_listed() {
    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    let children: Vec<Running> = (0..5).map(|_| hold(socket.try_clone().unwrap())).collect();
    drop(socket);
    let mut expected: Vec<u32> = children.iter().map(Running::pid).collect();
    expected.sort_unstable();

    let finder = Finder::new(VIEW);
    for _ in 0..3 {
        let token = finder.token(&owner, HolderSearch::All);
        assert_eq!(pids(&token), expected);
        assert_eq!(token.pid(), None);
        assert_eq!(token.command(), Some("sleep".as_ref()));
        assert_ne!(token.holders_gap(), Some(HoldersGap::StoppedAtFirst));
    }
    let first = finder.token(&owner, HolderSearch::First);
    assert_eq!(first.holders().len(), 1);
    assert_eq!(first.holders_gap(), Some(HoldersGap::StoppedAtFirst));
}

#[test]
fn h14_this_process_too() {
    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    let child = hold(socket.try_clone().unwrap());
    let mut expected = [std::process::id(), child.pid()];
    expected.sort_unstable();
    assert_eq!(pids(&all(&owner)), expected);
}

#[test]
#[ignore = "needs root: runs a child as another user"]
fn h14_across_users() {
    let _alone = alone();
    use std::os::unix::process::CommandExt;

    let socket = socket();
    let owner = owner(&socket);
    let own = hold(socket.try_clone().unwrap());
    let other = hold_with(Command::new("sleep").arg("1000").uid(SOMEBODY).gid(SOMEBODY), socket);
    let mut expected = [own.pid(), other.pid()];
    expected.sort_unstable();
    let token = all(&owner);
    assert_eq!(pids(&token), expected);
    assert_eq!(token.process_user(), None);
    assert_eq!(token.user(), own_uid());
    assert_eq!(token.flags().privileged(), Some(true));
}

#[test]
fn a_socket_that_nobody_holds() {
    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    drop(socket);
    for search in [HolderSearch::All, HolderSearch::First] {
        let token = Finder::new(VIEW).token(&owner, search);
        assert_eq!(pids(&token), [0; 0]);
        assert!(token.flags().default());
        assert!(!token.holders_complete());
        assert_eq!(token.process_user(), None);
    }
}

#[test]
fn inode_zero_is_no_socket() {
    assert_eq!(SocketOwner::new(0, own_uid()), None);
}

#[test]
fn a_pidfd_is_of_the_holder_or_of_nobody() {
    let _alone = alone();
    let socket = socket();
    let owner = owner(&socket);
    let mut child = hold(socket);
    let token = all(&owner);
    let holder = token.holder().unwrap().clone();
    let pidfd = holder.pidfd().unwrap();
    assert!(!sys::exited(&pidfd).unwrap());

    let elsewhere = Holder::new(HolderParts { local: false, ..holder.parts().clone() });
    assert!(elsewhere.pidfd().is_err());
    let later = HolderParts { start_ticks: holder.start_ticks() + 1, ..holder.parts().clone() };
    assert!(Holder::new(HolderParts { pidfs_inode: None, ..later }).pidfd().is_err());
    let another = HolderParts {
        pidfs_inode: holder.parts().pidfs_inode.map(|inode| inode + 1),
        ..holder.parts().clone()
    };
    assert_eq!(Holder::new(another).pidfd().is_err(), holder.parts().pidfs_inode.is_some());

    child.0.kill().unwrap();
    eventually("exit", || sys::exited(&pidfd).unwrap());
    assert!(holder.pidfd().is_err(), "exited, and still there to be waited for");
    drop(child);
    assert!(holder.pidfd().is_err());
}

#[test]
#[ignore = "needs root: makes a control group"]
fn the_control_group_leads_to_the_process() {
    let _alone = alone();
    use super::super::cgroupfs::CgroupDirs;

    let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(std::path::PathBuf::from)
        .into_iter()
        .find(|path| sys::is_cgroup2(path))
        .expect("a unified hierarchy");
    let outer = root.join(format!("partner-info-test-{}", std::process::id()));
    let inner = outer.join("inner");
    std::fs::create_dir_all(&inner).unwrap();
    let id = sys::inode(&inner).unwrap();
    {
        let socket = socket();
        let owner = owner(&socket).in_cgroup(id);
        let child = hold(socket);
        std::fs::write(inner.join("cgroup.procs"), child.pid().to_string()).unwrap();
        let mut dirs = CgroupDirs::default();
        for _ in 0..2 {
            assert_eq!(dirs.processes(id), [pid(child.pid())]);
        }
        assert_eq!(dirs.processes(u64::MAX), []);
        let token = Finder::new(VIEW).token(&owner, HolderSearch::First);
        assert_eq!(pids(&token), [child.pid()]);
        assert!(token.holders()[0].cgroup().unwrap().ends_with("inner"));
        // A process that has moved on is found all the same.
        std::fs::write(root.join("cgroup.procs"), child.pid().to_string()).unwrap();
        assert_eq!(dirs.processes(id), []);
        let token = Finder::new(VIEW).token(&owner, HolderSearch::First);
        assert_eq!(pids(&token), [child.pid()]);
    }
    // Another group with the same name is another group.
    {
        let mut dirs = CgroupDirs::default();
        dirs.processes(id);
        std::fs::remove_dir(&inner).unwrap();
        std::fs::create_dir(&inner).unwrap();
        let child = hold(socket());
        std::fs::write(inner.join("cgroup.procs"), child.pid().to_string()).unwrap();
        assert_eq!(dirs.processes(id), []);
        let id = sys::inode(&inner).unwrap();
        assert_eq!(dirs.processes(id), [pid(child.pid())]);
    }
    std::fs::remove_dir(&inner).unwrap();
    std::fs::remove_dir(&outer).unwrap();
    assert_eq!(CgroupDirs::default().processes(id), []);
}
