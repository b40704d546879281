//! The names of partners' accounts, for those who cannot look them up themselves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accounts::{Accounts, Limits, Lookup, SystemAccounts};

/// Names of this host's accounts that are kept.
const KEPT: Limits = Limits { age: Duration::from_secs(60), names: 4_096 };
/// How long a name is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);

/// The name service did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoAnswer;

/// Those of the system's name service.
pub(super) fn of_system() -> Arc<Accounts> {
    Arc::new(Accounts::new(Arc::new(SystemAccounts), KEPT))
}

/// The name of an account, if it comes in time; `None` where there is no such account. Where it is kept,
/// the first poll has it.
pub(super) async fn name_of(names: &Accounts, uid: u32) -> Result<Option<Arc<str>>, NoAnswer> {
    let began = Instant::now();
    loop {
        match names.lookup(uid, Instant::now()) {
            Lookup::Known(name) => return Ok(name),
            Lookup::Unavailable => return Err(NoAnswer),
            Lookup::Pending if began.elapsed() >= PATIENCE => return Err(NoAnswer),
            Lookup::Pending => tokio::time::sleep(PAUSE).await,
        }
    }
}
