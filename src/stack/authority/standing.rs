//! The caller's right as sets and gets ask for it, and what a program may see of the policy.

use std::time::{Duration, Instant};

use super::{PolicyFileError, PolicyStatus};
use crate::error::{Error, ErrorKind};
use crate::info::PartnerRequest;
use crate::kernel::sys::Socket;
use crate::policy::{PartnerStack, Resource, ResourceError, SecurityDomain};
use crate::stack::Stack;

/// First and longest pause of a get that waits for the caller's own names.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a caller's right is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Authorized,
    /// Refused with what is known, and the caller's own names are on their way.
    NamesPending,
}

/// A waiting get that waits for the caller's own names.
#[derive(Debug)]
pub(crate) struct NamesWait {
    pause: Duration,
}

impl NamesWait {
    /// `Ok(None)`: authorized. `Ok(Some(_))`: poll again at that instant.
    pub(crate) fn poll(
        &mut self,
        stack: &Stack,
        socket: Socket<'_>,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Result<Option<Instant>, Error> {
        match stack.inner().authority.decide(socket, PartnerStack::Own)? {
            Standing::Authorized => Ok(None),
            Standing::NamesPending if deadline.is_some_and(|at| at <= now) => {
                Err(Error::new(ErrorKind::TimedOut))
            }
            Standing::NamesPending => {
                let next = now.checked_add(self.pause).unwrap_or(now);
                self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
                Ok(Some(deadline.map_or(next, |at| at.min(next))))
            }
        }
    }
}

impl Standing {
    /// For a get that waits: what it waits for first.
    pub(crate) fn wait(self) -> Option<NamesWait> {
        match self {
            Self::Authorized => None,
            Self::NamesPending => Some(NamesWait { pause: FIRST_PAUSE }),
        }
    }
}

impl Stack {
    /// Whether the caller may have what it requests of a partner in `partner`. To be asked before
    /// anything is told, since a refused caller must not learn from the kind of an error where the
    /// partner is; an empty request needs no authorization.
    #[inline]
    pub(crate) fn authorize(
        &self,
        socket: Socket<'_>,
        request: PartnerRequest,
        partner: PartnerStack,
    ) -> Result<Standing, Error> {
        if request.is_empty() {
            return Ok(Standing::Authorized);
        }
        self.inner().authority.decide(socket, partner)
    }

    /// As [`authorize`](Self::authorize) for a partner in the own stack, for who does not wait:
    /// where the caller's own names are not known yet, the credentials are not here yet.
    #[inline]
    pub(crate) fn authorize_at_once(
        &self,
        socket: Socket<'_>,
        request: PartnerRequest,
    ) -> Result<(), Error> {
        // Before every saved answer, so that what is usual costs no more than this.
        if request.is_empty() || self.inner().authority.everybody_passes() {
            return Ok(());
        }
        match self.inner().authority.decide_anew(socket, PartnerStack::Own)? {
            Standing::Authorized => Ok(()),
            Standing::NamesPending => Err(Error::new(ErrorKind::InProgress)),
        }
    }

    /// This host's security domain, where the policy in force defines one.
    ///
    /// ```
    /// use partner_info::Stack;
    /// use partner_info::policy::Policy;
    ///
    /// let stack = Stack::builder().policy(Policy::embedded()).build();
    /// assert_eq!(stack.security_domain(), None);
    /// ```
    #[must_use]
    #[doc(alias = "EZBDOMAIN")]
    pub fn security_domain(&self) -> Option<SecurityDomain> {
        self.inner().authority.security_domain()
    }

    /// The resource that guards the credentials of this stack's partners:
    /// `EZB.IOCTL.<sysname>.<stackname>.PARTNERINFO`, with the host's short name and the name that
    /// the policy in force gives the stack.
    ///
    /// # Errors
    ///
    /// [`ResourceError`] where the host's name is none that a resource can have.
    pub fn resource(&self) -> Result<Resource, ResourceError> {
        self.inner().authority.current().resource.clone()
    }

    /// Which policy is in force now, and what is wrong with its file, if anything.
    #[must_use]
    pub fn policy_status(&self) -> PolicyStatus {
        self.inner().authority.status()
    }

    /// Reads the policy file now. Without this call a change is noticed by the first set or get
    /// that comes a second or more after the last look.
    ///
    /// Reads the file on the calling thread. A policy that was given to the builder has no file:
    /// then this does nothing.
    ///
    /// # Errors
    ///
    /// [`PolicyFileError`] where the file cannot be read, is no policy, or is gone. The policy that
    /// was in force stays in force; where there was none, nobody is authorized.
    ///
    /// # Examples
    ///
    /// ```
    /// use partner_info::{PolicyFileError, PolicyInForce, Stack};
    ///
    /// let path = std::env::temp_dir().join(format!("policy-{}.toml", std::process::id()));
    /// std::fs::write(&path, "")?;
    /// let stack = Stack::builder().policy_file(&path).build();
    /// assert!(stack.reload_policy().is_ok());
    ///
    /// std::fs::remove_file(&path)?;
    /// assert!(matches!(stack.reload_policy(), Err(PolicyFileError::Gone { .. })));
    /// assert_eq!(stack.policy_status().in_force(), PolicyInForce::File); // as it was
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn reload_policy(&self) -> Result<(), PolicyFileError> {
        self.inner().authority.reload()
    }
}
