//! Platforms without an agent.

use std::path::PathBuf;
use std::task::Waker;
use std::time::Instant;

use crate::kernel::sys::{AsSocket, Socket};
use crate::protocol::{Answer, Question};

#[derive(Debug)]
pub(crate) struct Agent {
    path: PathBuf,
}

#[derive(Debug)]
pub(crate) enum Asked {
    Yes(Job),
    Busy,
    Absent,
}

/// Never made here.
#[derive(Debug)]
pub(crate) enum Job {}

/// Never made here.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming {}

#[derive(Debug)]
pub(crate) enum Progress {
    Pending,
    Answered(Answer),
    Lost,
}

impl Agent {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path_of_environment() -> PathBuf {
        PathBuf::new()
    }

    pub(crate) fn is_there(&self, _: Instant) -> bool {
        false
    }

    pub(crate) fn ask(&self, _: Socket<'_>, _: &Question, _: bool, _: Instant) -> Asked {
        Asked::Absent
    }
}

impl Job {
    pub(crate) fn poll(&self, _: Option<&Waker>) -> Progress {
        match *self {}
    }

    pub(crate) fn incoming(&self) -> Incoming {
        match *self {}
    }
}

#[cfg(unix)]
impl AsSocket for Incoming {
    fn as_fd(&self) -> Socket<'_> {
        match *self {}
    }
}

#[cfg(windows)]
impl AsSocket for Incoming {
    fn as_socket(&self) -> Socket<'_> {
        match *self {}
    }
}
