//! Asking, and waiting.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use partner_info::token::UserToken;
use partner_info::{Error, HolderSearch, Stack, prelude::*};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};

/// A name and what it runs.
pub(crate) type Test = (&'static str, fn());

/// Names tests after their functions.
macro_rules! tests {
    ($list:ident: $($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        pub(crate) const $list: &[crate::support::Test] =
            &[$($(#[$attribute])* (stringify!($name), $name)),*];
    };
}
pub(crate) use tests;

/// Longer than anything here takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A user without any process of its own.
pub(crate) const SOMEBODY: u32 = 21_100;

/// A stack with nothing saved, which waits for no name service.
pub(crate) fn stack(search: HolderSearch) -> Stack {
    Stack::builder().name_patience(Duration::ZERO).holder_search(search).build()
}

pub(crate) fn fresh() -> Stack {
    stack(HolderSearch::All)
}

pub(crate) fn run<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(what)
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    tokio::time::timeout(PATIENCE, listener.accept()).await.expect("nobody came").unwrap().0
}

pub(crate) async fn get(stack: &Stack, stream: &TcpStream) -> Result<PartnerInfo, Error> {
    stack.get_partner_info(stream, PartnerRequest::UTOKEN, PATIENCE).await
}

/// The user and the token.
pub(crate) async fn get_both(stack: &Stack, stream: &TcpStream) -> PartnerInfo {
    let both = PartnerRequest::USER_ID | PartnerRequest::UTOKEN;
    stack.get_partner_info(stream, both, PATIENCE).await.unwrap()
}

/// The token, from a stack that knows nothing yet.
pub(crate) async fn token(stream: &TcpStream) -> UserToken {
    get(&fresh(), stream).await.unwrap().token().unwrap().clone()
}

pub(crate) fn pids(token: &UserToken) -> Vec<u32> {
    token.holders().iter().map(|holder| holder.pid().as_raw()).collect()
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn raise_descriptor_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// A directory that every user can enter, removed in the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("partner-info-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        set_mode(&path, 0o755);
        Self(path)
    }

    /// A program of its own.
    pub(crate) fn copy(&self, program: &Path, name: &str, mode: u32) -> PathBuf {
        let copy = self.0.join(name);
        std::fs::copy(program, &copy).unwrap();
        set_mode(&copy, mode);
        copy
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}
