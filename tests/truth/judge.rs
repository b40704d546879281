//! Holds what was said against what is true.
//!
//! The truth of a connection that made a claim is the claim. The client reports each connection once
//! more, and both must agree. The truth of one that said nothing is in the report alone. It is found
//! by its addresses, and where a run has several connections with the same addresses, by their order:
//! they follow one another, a listener hands them out in that order, and clients note a time that has
//! it too ([`Record::when`](super::claim::Record)). Where one of them is missing on one side, or is
//! not where the claims of the others say that it should be, no silent one of these addresses is
//! judged, and that is counted.

use std::collections::{BTreeMap, HashMap};

use super::claim::{Deed, Record, Tuple};
use super::others::Tool;
use super::server::{Moment, Said, Seen};

/// What became of answers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) asked: u64,
    pub(crate) right: u64,
    pub(crate) nobody: u64,
    pub(crate) wrong: u64,
    /// Of those that are wrong.
    pub(crate) root: u64,
}

impl Tally {
    /// Counts an answer about a connection of `truth`; returns whether it is wrong.
    fn count(&mut self, said: Said, truth: u32) -> bool {
        self.asked += 1;
        match said {
            Said::User(uid) if uid == truth => self.right += 1,
            Said::User(uid) => {
                self.wrong += 1;
                self.root += u64::from(uid == 0);
                return true;
            }
            Said::Nobody(_) => self.nobody += 1,
        }
        false
    }
}

/// What is known at the end.
#[derive(Default)]
pub(crate) struct Verdict {
    /// Connections, as their clients have reported them.
    pub(crate) connections: u64,
    /// Of those, between network namespaces.
    pub(crate) across: u64,
    /// Of those, with the addresses of the one before and another user.
    pub(crate) recycled: u64,
    /// Made, and never accepted.
    pub(crate) unaccepted: u64,
    /// Said nothing, and cannot be told from others of their addresses.
    pub(crate) untold: u64,
    pub(crate) all: Tally,
    pub(crate) deeds: BTreeMap<Deed, Tally>,
    /// Refusals by reason: of partners that may have left, on the same stack and across.
    pub(crate) refusals: BTreeMap<&'static str, [u64; 2]>,
    /// Asks about partners that stay, while they do.
    pub(crate) honest: Tally,
    pub(crate) tools: BTreeMap<Tool, Tally>,
    /// What must not be.
    pub(crate) faults: Vec<String>,
}

impl Verdict {
    /// One round, in which all connections came to their end.
    pub(crate) fn round(&mut self, records: Vec<Record>, seen: Vec<Seen>) {
        self.connections += u64::try_from(records.len()).unwrap();
        self.unaccepted += u64::try_from(records.len().saturating_sub(seen.len())).unwrap();
        let by_number: HashMap<u64, Record> =
            records.iter().map(|record| (record.claim.number, *record)).collect();
        let mut tuples: HashMap<Tuple, (Vec<Record>, Vec<Seen>)> = HashMap::new();
        for record in records {
            tuples.entry(record.tuple).or_default().0.push(record);
        }
        for one in seen {
            if let Some(claim) = one.claim
                && by_number
                    .get(&claim.number)
                    .is_none_or(|record| (record.claim, record.tuple) != (claim, one.tuple))
            {
                self.faults.push(format!("{claim:?} is not what was reported of {:?}", one.tuple));
            }
            tuples.entry(one.tuple).or_default().1.push(one);
        }
        for ((from, _), (mut records, mut seen)) in tuples {
            records.sort_by_key(|record| record.when);
            seen.sort_by_key(|one| one.order);
            self.across += if from.ip().is_loopback() { 0 } else { records.len() as u64 };
            let others = records.windows(2).filter(|two| two[0].claim.uid != two[1].claim.uid);
            self.recycled += others.count() as u64;
            let in_step = records.len() == seen.len()
                && records.iter().zip(&seen).all(|(record, one)| {
                    one.claim.is_none_or(|claim| claim.number == record.claim.number)
                });
            for (at, one) in seen.iter().enumerate() {
                match one.claim {
                    Some(claim) => self.judge(one, claim.uid, claim.deed),
                    None if in_step => {
                        let claim = records[at].claim;
                        self.judge(one, claim.uid, claim.deed);
                    }
                    None => self.untold += 1,
                }
            }
        }
    }

    fn judge(&mut self, seen: &Seen, truth: u32, deed: Deed) {
        let across = usize::from(!seen.tuple.0.ip().is_loopback());
        for &(moment, said) in &seen.answers {
            // Before it was told to leave.
            let is_honest = deed.stays() && seen.claim.is_some() && moment != Moment::Ended;
            let fault = || {
                let (from, port) = seen.tuple;
                let what = deed.text();
                format!("{said:?} ({moment:?}) of user {truth} ({what}): {from} to port {port}")
            };
            let is_wrong = self.all.count(said, truth);
            self.deeds.entry(deed).or_default().count(said, truth);
            if is_honest {
                self.honest.count(said, truth);
            }
            match said {
                Said::Nobody(_) if is_honest => self.faults.push(fault()),
                Said::Nobody(why) => self.refusals.entry(why).or_default()[across] += 1,
                Said::User(_) if is_wrong => self.faults.push(fault()),
                Said::User(_) => {}
            }
        }
        for &(_, tool, said) in &seen.others {
            // Which process has the connection is another question than whose it is.
            if tool != Tool::Listeners || !deed.has_other_holder() {
                self.tools.entry(tool).or_default().count(said, truth);
            }
        }
    }
}
