//! On which processor who stands.
//!
//! This decides more than what they do: to wake somebody on a processor that idles takes many times
//! as long as to hand one's own processor over. The scheduler's choice differs from run to run, and
//! between what is compared; so it is not left to it.

use std::fmt;
use std::sync::OnceLock;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Where who asks is, as seen from whoever answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Apart,
    Together,
}

impl Place {
    /// Those that there are: on one processor there is no other.
    pub fn all() -> Vec<Self> {
        match processors().len() {
            0 | 1 => vec![Self::Together],
            2.. => vec![Self::Apart, Self::Together],
        }
    }

    /// Where whoever asks has to stand.
    pub fn of_asker(self) -> usize {
        let all = processors();
        let place = match self {
            Self::Apart => all.last(),
            Self::Together => all.first(),
        };
        *place.expect("a processor")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apart => "each on a processor of its own",
            Self::Together => "both on one processor",
        })
    }
}

/// Those that this process may use: those that the thread might that asked first.
pub fn processors() -> &'static [usize] {
    static ALL: OnceLock<Vec<usize>> = OnceLock::new();
    ALL.get_or_init(|| {
        let set = here();
        (0..CpuSet::count()).filter(|one| set.is_set(*one) == Ok(true)).collect()
    })
}

/// Keeps this thread, and what it starts from now on, on this one.
pub fn stand(on: usize) {
    processors();
    let mut set = CpuSet::new();
    set.set(on).expect("a processor");
    keep_to(&set);
}

/// Lets this thread, and what it starts from now on, be on any.
pub fn anywhere() {
    let mut set = CpuSet::new();
    for one in processors() {
        set.set(*one).expect("a processor");
    }
    keep_to(&set);
}

/// Starts something on the first processor, where it stays.
pub fn first<T>(start: impl FnOnce() -> T) -> T {
    let before = here();
    stand(processors()[0]);
    let started = start();
    keep_to(&before);
    started
}

fn here() -> CpuSet {
    sched_getaffinity(Pid::from_raw(0)).expect("the processors")
}

fn keep_to(set: &CpuSet) {
    sched_setaffinity(Pid::from_raw(0), set).expect("move there");
}
