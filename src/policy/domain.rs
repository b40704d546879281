//! The security domain: the name that hosts of one cluster share.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use super::text::{is_printable, quoted};

/// Characters that a security domain name has at most.
const MAX_CHARACTERS: usize = 255;

/// The name of a security domain, 1 to 255 characters, compared without regard to case.
///
/// A value of this type is always valid. Both hosts of a connection must define the same domain
/// before credentials cross from one stack or image to another.
///
/// The characters are printable ASCII, with no space at either end. Other letters are refused
/// rather than folded: two hosts of different releases would have to agree on Unicode tables and
/// normalization to say whether two names are equal, and a name that merely looks like another
/// must not be equal to it. [`Display`](fmt::Display) keeps the original spelling.
///
/// ```
/// use partner_info::policy::SecurityDomain;
///
/// let ours: SecurityDomain = "PROD.EXAMPLE".parse()?;
/// let theirs = SecurityDomain::try_from("prod.example")?;
/// assert_eq!(ours, theirs);
/// assert_eq!(theirs.to_string(), "prod.example");
/// # Ok::<(), partner_info::policy::SecurityDomainError>(())
/// ```
///
/// Source: z/OS Communications Server, the profile `EZBDOMAIN` in class SERVAUTH (its APPLDATA).
#[derive(Clone, Debug)]
#[doc(alias = "EZBDOMAIN")]
pub struct SecurityDomain(Arc<str>);

impl SecurityDomain {
    /// The name as it was written.
    ///
    /// ```
    /// use partner_info::SecurityDomain;
    ///
    /// let domain: SecurityDomain = "Prod.Example".parse()?;
    /// assert_eq!(domain.as_str(), "Prod.Example");
    /// # Ok::<(), partner_info::policy::SecurityDomainError>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecurityDomain {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for SecurityDomain {}

impl Hash for SecurityDomain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_uppercase());
        }
        // As `str` does: no name may hash like the beginning of a longer key.
        state.write_u8(0xff);
    }
}

impl fmt::Display for SecurityDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for SecurityDomain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecurityDomain {
    type Err = SecurityDomainError;

    /// Takes a name over as it is written.
    ///
    /// # Errors
    ///
    /// [`SecurityDomainError`] if the name has 0 or over 255 characters, or one that is not
    /// printable ASCII, or a space at either end.
    fn from_str(name: &str) -> Result<Self, SecurityDomainError> {
        let characters = name.chars().count();
        if !(1..=MAX_CHARACTERS).contains(&characters) {
            return Err(SecurityDomainError::Length { characters });
        }
        if !is_printable(name) {
            return Err(SecurityDomainError::Character { name: quoted(name) });
        }
        Ok(SecurityDomain(name.into()))
    }
}

impl TryFrom<&str> for SecurityDomain {
    type Error = SecurityDomainError;

    fn try_from(name: &str) -> Result<Self, SecurityDomainError> {
        name.parse()
    }
}

impl TryFrom<String> for SecurityDomain {
    type Error = SecurityDomainError;

    fn try_from(name: String) -> Result<Self, SecurityDomainError> {
        name.parse()
    }
}

/// Why a text is no security domain name; each message says what to write instead.
///
/// ```
/// use partner_info::policy::{SecurityDomain, SecurityDomainError};
///
/// let error = SecurityDomain::try_from("").unwrap_err();
/// assert_eq!(error, SecurityDomainError::Length { characters: 0 });
/// assert_eq!(error.to_string(), "a security domain name has 1 to 255 characters, not 0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityDomainError {
    /// The name has 0 or over 255 characters. Choose a shorter one, or leave the domain undefined.
    Length {
        /// How many characters it has.
        characters: usize,
    },
    /// A character is not printable ASCII, or a space stands at either end. Write the name in
    /// ASCII letters, digits and punctuation.
    Character {
        /// The name in quotes, with everything that does not print escaped.
        name: String,
    },
}

impl fmt::Display for SecurityDomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecurityDomainError::Length { characters } => write!(
                f,
                "a security domain name has 1 to {MAX_CHARACTERS} characters, not {characters}"
            ),
            SecurityDomainError::Character { name } => write!(
                f,
                "a security domain name is printable ASCII without a space at either end, \
                 not {name}"
            ),
        }
    }
}

impl std::error::Error for SecurityDomainError {}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn the_length_is_1_to_255_characters() {
        for (length, accepted) in [(0, false), (1, true), (255, true), (256, false)] {
            let name = "d".repeat(length);
            match name.parse::<SecurityDomain>() {
                Ok(domain) => assert!(accepted && domain.as_str() == name),
                Err(error) => {
                    assert!(!accepted);
                    assert_eq!(error, SecurityDomainError::Length { characters: length });
                }
            }
        }
    }

    #[test]
    fn letters_are_counted_not_bytes() {
        // 200 letters in 400 bytes: not too long, but not ASCII either.
        let error = "é".repeat(200).parse::<SecurityDomain>();
        assert!(matches!(error, Err(SecurityDomainError::Character { .. })));
    }

    #[test]
    fn case_does_not_count_and_everything_else_does() {
        let hasher = RandomState::new();
        let domain = |name: &str| SecurityDomain::try_from(name).unwrap();
        let a = domain("Prod.Example");
        let b = domain("pROD.eXAMPLE");
        assert_eq!(a, b);
        assert_eq!(hasher.hash_one(&a), hasher.hash_one(&b));
        for other in ["Prod.Example.", "Prod-Example", "Prod.Exampl", "Prod Example"] {
            assert_ne!(a, domain(other), "{other}");
        }
        // Bytes that differ by 0x20 without being letters are not the same name.
        assert_ne!(domain("a@b"), domain("a`b"));
        assert_ne!(domain("a[b"), domain("a{b"));
    }

    #[test]
    fn what_does_not_print_is_refused() {
        for name in [" a", "a ", "a\n", "\u{feff}a", "a\u{200b}b", "PRÖD", "a\0b", "\t"] {
            let error = name.parse::<SecurityDomain>().unwrap_err();
            assert!(matches!(error, SecurityDomainError::Character { .. }), "{name:?}");
            assert!(!error.to_string().contains(char::is_control), "{name:?}");
        }
    }
}
