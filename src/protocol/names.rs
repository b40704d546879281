//! The enumerations of the wire and those of the crate.
//!
//! A number that is not known here comes from a newer peer. What becomes of it is decided where it
//! is read, each time for the side that claims least.

use super::wire;
use crate::error::Reason;
use crate::token::{HolderSearch, HoldersGap, PortClass, SessionType};

/// A number of an enumeration, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came<T> {
    Known(T),
    /// Zero: nothing was said.
    Unspecified,
    Newer,
}

fn came<W: TryFrom<i32>, T>(number: i32, name: impl FnOnce(W) -> Option<T>) -> Came<T> {
    match W::try_from(number) {
        Ok(known) => name(known).map_or(Came::Unspecified, Came::Known),
        Err(_) => Came::Newer,
    }
}

pub(super) fn search_number(search: HolderSearch) -> i32 {
    match search {
        HolderSearch::All => wire::HolderSearch::All,
        HolderSearch::First => wire::HolderSearch::First,
    }
    .into()
}

pub(super) fn search(number: i32) -> Came<HolderSearch> {
    came(number, |known| match known {
        wire::HolderSearch::Unspecified => None,
        wire::HolderSearch::All => Some(HolderSearch::All),
        wire::HolderSearch::First => Some(HolderSearch::First),
    })
}

pub(super) fn reason_number(reason: Reason) -> i32 {
    match reason {
        Reason::PartnerGone => wire::Reason::PartnerGone,
        Reason::NotYetAccepted => wire::Reason::NotYetAccepted,
        Reason::NotEstablished => wire::Reason::NotEstablished,
        Reason::ConnectionChanged => wire::Reason::ConnectionChanged,
        Reason::NotInThisStack => wire::Reason::NotInThisStack,
        Reason::OtherNamespace => wire::Reason::OtherNamespace,
        Reason::AddressTranslated => wire::Reason::AddressTranslated,
        Reason::TranslationHidden => wire::Reason::TranslationHidden,
        Reason::OverflowUid => wire::Reason::OverflowUid,
        Reason::OutsideCluster => wire::Reason::OutsideCluster,
        Reason::Unproven => wire::Reason::Unproven,
        Reason::StackNotServed => wire::Reason::StackNotServed,
    }
    .into()
}

pub(super) fn reason(number: i32) -> Came<Reason> {
    came(number, |known| match known {
        wire::Reason::Unspecified => None,
        wire::Reason::PartnerGone => Some(Reason::PartnerGone),
        wire::Reason::NotYetAccepted => Some(Reason::NotYetAccepted),
        wire::Reason::NotEstablished => Some(Reason::NotEstablished),
        wire::Reason::ConnectionChanged => Some(Reason::ConnectionChanged),
        wire::Reason::NotInThisStack => Some(Reason::NotInThisStack),
        wire::Reason::OtherNamespace => Some(Reason::OtherNamespace),
        wire::Reason::AddressTranslated => Some(Reason::AddressTranslated),
        wire::Reason::TranslationHidden => Some(Reason::TranslationHidden),
        wire::Reason::OverflowUid => Some(Reason::OverflowUid),
        wire::Reason::OutsideCluster => Some(Reason::OutsideCluster),
        wire::Reason::Unproven => Some(Reason::Unproven),
        wire::Reason::StackNotServed => Some(Reason::StackNotServed),
    })
}

pub(super) fn gap_number(gap: Option<HoldersGap>) -> i32 {
    match gap {
        None => wire::Completeness::Complete,
        Some(HoldersGap::StoppedAtFirst) => wire::Completeness::StoppedAtFirst,
        Some(HoldersGap::NoRight) => wire::Completeness::NoRight,
        Some(HoldersGap::HiddenProcesses) => wire::Completeness::HiddenProcesses,
        Some(HoldersGap::PidNamespace) => wire::Completeness::PidNamespace,
        Some(HoldersGap::TooManyDescriptors) => wire::Completeness::TooManyDescriptors,
        Some(HoldersGap::Changing) => wire::Completeness::Changing,
        Some(HoldersGap::NotHeld) => wire::Completeness::NotHeld,
        Some(HoldersGap::NoProc) => wire::Completeness::NoProc,
        Some(HoldersGap::TooManyHolders) => wire::Completeness::TooManyHolders,
    }
    .into()
}

/// The gap; known to be none only where the sender says so.
pub(super) fn gap(number: i32) -> Came<Option<HoldersGap>> {
    came(number, |known| match known {
        wire::Completeness::Unspecified => None,
        wire::Completeness::Complete => Some(None),
        wire::Completeness::StoppedAtFirst => Some(Some(HoldersGap::StoppedAtFirst)),
        wire::Completeness::NoRight => Some(Some(HoldersGap::NoRight)),
        wire::Completeness::HiddenProcesses => Some(Some(HoldersGap::HiddenProcesses)),
        wire::Completeness::PidNamespace => Some(Some(HoldersGap::PidNamespace)),
        wire::Completeness::TooManyDescriptors => Some(Some(HoldersGap::TooManyDescriptors)),
        wire::Completeness::Changing => Some(Some(HoldersGap::Changing)),
        wire::Completeness::NotHeld => Some(Some(HoldersGap::NotHeld)),
        wire::Completeness::NoProc => Some(Some(HoldersGap::NoProc)),
        wire::Completeness::TooManyHolders => Some(Some(HoldersGap::TooManyHolders)),
    })
}

/// Nothing is said of a session of unknown type.
pub(super) fn session_number(session: SessionType) -> Option<i32> {
    let number = match session {
        SessionType::SystemService => wire::SessionType::SystemService,
        SessionType::UserSession => wire::SessionType::UserSession,
        SessionType::InteractiveTerminal => wire::SessionType::InteractiveTerminal,
        SessionType::Container => wire::SessionType::Container,
        SessionType::Batch => wire::SessionType::Batch,
        SessionType::Kernel => wire::SessionType::Kernel,
        SessionType::Unknown => return None,
    };
    Some(number.into())
}

pub(super) fn session(number: i32) -> Came<SessionType> {
    came(number, |known| match known {
        wire::SessionType::Unspecified => None,
        wire::SessionType::SystemService => Some(SessionType::SystemService),
        wire::SessionType::UserSession => Some(SessionType::UserSession),
        wire::SessionType::InteractiveTerminal => Some(SessionType::InteractiveTerminal),
        wire::SessionType::Container => Some(SessionType::Container),
        wire::SessionType::Batch => Some(SessionType::Batch),
        wire::SessionType::Kernel => Some(SessionType::Kernel),
    })
}

pub(super) fn class_number(class: PortClass) -> i32 {
    match class {
        PortClass::Terminal => wire::PortClass::Terminal,
        PortClass::Unit => wire::PortClass::Unit,
    }
    .into()
}

pub(super) fn class(number: i32) -> Came<PortClass> {
    came(number, |known| match known {
        wire::PortClass::Unspecified => None,
        wire::PortClass::Terminal => Some(PortClass::Terminal),
        wire::PortClass::Unit => Some(PortClass::Unit),
    })
}
