//! The access levels of a profile.

use std::fmt;
use std::str::FromStr;

/// What an entry of a profile grants, from nothing to everything.
///
/// For the partner's credentials only one step counts: [`Read`](Access::Read) and above authorize,
/// [`None`](Access::None) does not. The levels above READ are accepted because access lists
/// carried over from RACF hold them; they grant no more than READ here.
///
/// ```
/// use partner_info::policy::Access;
///
/// let access: Access = "update".parse()?;
/// assert_eq!(access, Access::Update);
/// assert!(access.authorizes());
/// assert!(!Access::None.authorizes());
/// # Ok::<(), partner_info::policy::UnknownAccess>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Access {
    /// No access. For a user it beats whatever the user's groups are granted.
    None,
    /// May learn who the partner is.
    Read,
    /// As READ.
    Update,
    /// As READ.
    Control,
    /// As READ.
    Alter,
}

impl Access {
    /// Every level, lowest first.
    ///
    /// ```
    /// use partner_info::policy::Access;
    ///
    /// let words = Access::ALL.map(Access::as_str);
    /// assert_eq!(words, ["NONE", "READ", "UPDATE", "CONTROL", "ALTER"]);
    /// assert!(Access::ALL.is_sorted());
    /// ```
    pub const ALL: [Access; 5] =
        [Access::None, Access::Read, Access::Update, Access::Control, Access::Alter];

    /// Whether this level is at least READ.
    pub fn authorizes(self) -> bool {
        // Spelled out rather than compared, so that a level added later does not become a grant
        // through its place in the list.
        match self {
            Access::None => false,
            Access::Read | Access::Update | Access::Control | Access::Alter => true,
        }
    }

    /// The word for this level in a policy file, in capitals.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::None => "NONE",
            Access::Read => "READ",
            Access::Update => "UPDATE",
            Access::Control => "CONTROL",
            Access::Alter => "ALTER",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Access {
    type Err = UnknownAccess;

    /// Reads `NONE`, `READ`, `UPDATE`, `CONTROL` or `ALTER`, without regard to case.
    ///
    /// # Errors
    ///
    /// [`UnknownAccess`] for any other word, abbreviations and RACF's `EXECUTE` included.
    fn from_str(word: &str) -> Result<Self, UnknownAccess> {
        Access::ALL
            .into_iter()
            .find(|access| access.as_str().eq_ignore_ascii_case(word))
            .ok_or(UnknownAccess(()))
    }
}

/// The word is not one of the five access levels; write one of them.
///
/// ```
/// use partner_info::policy::Access;
///
/// let error = "EXECUTE".parse::<Access>().unwrap_err();
/// assert_eq!(error.to_string(), "an access level is NONE, READ, UPDATE, CONTROL or ALTER");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAccess(());

impl fmt::Display for UnknownAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an access level is NONE, READ, UPDATE, CONTROL or ALTER")
    }
}

impl std::error::Error for UnknownAccess {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_without_regard_to_case() {
        let table = [
            ("NONE", Access::None, false),
            ("none", Access::None, false),
            ("Read", Access::Read, true),
            ("uPDATE", Access::Update, true),
            ("control", Access::Control, true),
            ("ALTER", Access::Alter, true),
        ];
        for (word, access, authorizes) in table {
            assert_eq!(word.parse(), Ok(access), "{word}");
            assert_eq!(access.authorizes(), authorizes, "{word}");
        }
    }

    #[test]
    fn other_words_are_refused() {
        for word in ["", "R", "READ ", "REED", "EXECUTE", "ＲＥＡＤ", "READ\0"] {
            assert!(word.parse::<Access>().is_err(), "{word:?}");
        }
    }
}
