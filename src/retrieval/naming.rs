//! The names of whom was found, and how long they are waited for.

use std::sync::Arc;
use std::time::Instant;

use super::step::{Found, TokenState};
use crate::info::{Credentials, PartnerRequest, Routing, UserId};

/// What was found, and the names that are here.
#[derive(Debug)]
pub(super) struct Naming {
    found: Found,
    user: Wanted,
    process_user: Wanted,
    pub(super) give_up: Option<Instant>,
}

/// A name that is or is not wanted, and is or is not here.
#[derive(Debug)]
enum Wanted {
    No,
    Yes(u32),
    Known(u32, Option<Arc<str>>),
    /// Nobody asks whether an account has this number.
    Never(u32),
}

impl Naming {
    /// Names are wanted for whom `found` tells of, until `give_up`.
    pub(super) fn new(found: Found, give_up: Option<Instant>) -> Self {
        let process_user = match &found.token {
            TokenState::Read(token) => token.process_user(),
            TokenState::NotAskedFor | TokenState::ToRead(_) => None,
        };
        // A number of another image is named there, or not at all.
        let here = found.routing.contains(Routing::SAME_IMAGE);
        let wanted = |uid, name: Option<Arc<str>>| {
            if here { Wanted::Yes(uid) } else { Wanted::Known(uid, name) }
        };
        Self {
            user: found.uid.map_or(Wanted::No, |uid| wanted(uid, found.name.clone())),
            process_user: process_user.map_or(Wanted::No, |uid| wanted(uid.as_raw(), None)),
            found,
            give_up,
        }
    }

    /// The uid whose name is to be asked for next.
    pub(super) fn next_uid(&self) -> Option<u32> {
        [&self.user, &self.process_user].into_iter().find_map(|wanted| match wanted {
            Wanted::Yes(uid) => Some(*uid),
            Wanted::No | Wanted::Known(..) | Wanted::Never(_) => None,
        })
    }

    /// No name will be asked for.
    pub(super) fn handle_not_wanted(&mut self) {
        for wanted in [&mut self.user, &mut self.process_user] {
            if let Wanted::Yes(uid) = wanted {
                *wanted = Wanted::Never(*uid);
            }
        }
    }

    /// The name of [`next_uid`](Self::next_uid).
    pub(super) fn handle_known(&mut self, name: Option<Arc<str>>) {
        let Some(asked) = self.next_uid() else { return };
        for wanted in [&mut self.user, &mut self.process_user] {
            if matches!(wanted, Wanted::Yes(uid) if *uid == asked) {
                *wanted = Wanted::Known(asked, name.clone());
            }
        }
    }

    pub(super) fn credentials(self, covers: PartnerRequest) -> Credentials {
        let name_late = self.next_uid().is_some();
        let named = |wanted: &Wanted| match wanted {
            Wanted::No => None,
            Wanted::Yes(uid) | Wanted::Never(uid) => Some(UserId::new(*uid, None)),
            Wanted::Known(uid, name) => Some(UserId::new(*uid, name.clone())),
        };
        let token = match self.found.token {
            TokenState::Read(mut token) => {
                if let Wanted::Known(_, name) = &self.user
                    && (name.is_some() || self.found.routing.contains(Routing::SAME_IMAGE))
                {
                    token.set_undefined_user(name.is_none());
                }
                Some(Arc::new(token))
            }
            TokenState::NotAskedFor | TokenState::ToRead(_) => None,
        };
        Credentials {
            covers,
            user: named(&self.user),
            process_user: named(&self.process_user),
            token,
            name_late,
            routing: self.found.routing,
        }
    }
}
