//! What proves that a socket in another network namespace is the partner. No input, no output.
//!
//! The table of another namespace shows a socket with the partner's addresses (t0). A program looks
//! at the sequence numbers of our end, of that one, and of ours again (t1). Then both tables are
//! asked once more: ours must show our own cookie (t2), the other one the cookie of t0 (t3). So the
//! socket whose numbers were read is the one that was named, our connection lived while they were
//! read, and what they say, [`Ends::prove_one_connection`] judges.

use super::sequence::Ends;
use super::sock_diag::{Answer, Entry};
use super::verify::{self, OwnEnd, Trust, Verdict};
use crate::error::Reason;

/// What the looks at one candidate came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Across {
    /// It is the partner, or what keeps us from saying so has nothing to do with the candidate.
    Settled(Verdict),
    /// It is not the partner.
    Stranger,
    /// Something moved meanwhile: look again.
    Moved,
}

/// What our own end is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) end: OwnEnd,
    /// The inode of a multipath socket, whose subflow has another cookie than its descriptor.
    pub(crate) multipath_inode: Option<u32>,
}

/// All that was seen, in the order in which it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    pub(crate) candidate: Entry,
    pub(crate) ends: Option<Ends>,
    pub(crate) own: Answer,
    pub(crate) candidate_again: Answer,
}

/// Whether a table's answer is worth a closer look: a socket with just the partner's addresses,
/// connected, and not one that nobody can have asked for yet.
pub(crate) fn candidate(own: &OwnEnd, answer: Answer) -> Option<Entry> {
    match answer {
        Answer::Found(entry)
            if entry.local == own.remote
                && entry.remote == own.local
                && verify::is_live(entry.state) =>
        {
            Some(entry)
        }
        Answer::Found(_) | Answer::NotFound | Answer::Failed(_) => None,
    }
}

pub(crate) fn judge(own: &Own, looks: &Looks, trust: Trust) -> Across {
    let own_entry = match looks.own {
        Answer::Found(entry) if own.is(&entry) => entry,
        Answer::Found(_) | Answer::NotFound => {
            return Across::Settled(Verdict::Refused(Reason::ConnectionChanged));
        }
        Answer::Failed(errno) => return Across::Settled(Verdict::Failed(errno)),
    };
    if !verify::is_live(own_entry.state) {
        return Across::Settled(Verdict::NotConnected);
    }
    let again = match looks.candidate_again {
        Answer::Found(entry) if entry.cookie == looks.candidate.cookie => entry,
        // Gone, or its place taken: nothing that was read can be said of anybody.
        Answer::Found(_) | Answer::NotFound => return Across::Moved,
        Answer::Failed(errno) => return Across::Settled(Verdict::Failed(errno)),
    };
    if !looks.ends.is_some_and(|ends| ends.prove_one_connection()) {
        return Across::Stranger;
    }
    if candidate(&own.end, Answer::Found(again)).is_none()
        || !verify::states_fit(again.state, own_entry.state)
    {
        return Across::Moved;
    }
    Across::Settled(verify::judge_entry(&again, trust))
}

impl Own {
    /// The same addresses, and the same socket (H5, H24).
    pub(crate) fn is(&self, entry: &Entry) -> bool {
        let same = match self.multipath_inode {
            None => entry.cookie == self.end.cookie,
            Some(inode) => inode != 0 && entry.inode == inode,
        };
        same && entry.local == self.end.local && entry.remote == self.end.remote
    }
}

#[cfg(test)]
mod tests;
