//! Why a policy file was refused.

use std::fmt;

/// A policy file that was refused: where, which rule it breaks, what stands there, how to mend it.
///
/// A file is accepted as a whole or not at all; the first fault found is the one reported.
///
/// ```
/// use partner_info::policy::{Policy, PolicyRule};
///
/// let error = Policy::parse("policy.toml", "[[profile]]\nname = \"A.**.B.**\"\n").unwrap_err();
/// assert_eq!((error.line(), error.rule()), (2, PolicyRule::DoubleStarTwice));
/// assert_eq!(
///     error.to_string(),
///     "policy.toml:2:8: [double-star-twice] ** stands at most once in a profile name; found \
///      \"A.**.B.**\"; keep one ** and write * for the other qualifiers"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    file: Box<str>,
    line: usize,
    column: usize,
    rule: PolicyRule,
    found: Box<str>,
}

impl PolicyError {
    /// `file` and `found` must already be fit to show: one line, nothing that does not print.
    pub(crate) fn new(
        file: &str,
        (line, column): (usize, usize),
        rule: PolicyRule,
        found: String,
    ) -> Self {
        PolicyError { file: file.into(), line, column, rule, found: found.into() }
    }

    /// The file, as the caller of [`Policy::parse`](super::Policy::parse) named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The rule that the file breaks.
    pub fn rule(&self) -> PolicyRule {
        self.rule
    }

    /// What stands there instead, fit to show: one line, nothing that does not print.
    ///
    /// ```
    /// use partner_info::policy::Policy;
    ///
    /// let error = Policy::parse("policy.toml", "stack = \"TCP IP\"").unwrap_err();
    /// assert_eq!((error.file(), error.line(), error.column()), ("policy.toml", 1, 9));
    /// assert_eq!(error.found(), "\"TCP IP\"");
    /// ```
    pub fn found(&self) -> &str {
        &self.found
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: [{}] {}; found {}; {}",
            self.file,
            self.line,
            self.column,
            self.rule.code(),
            self.rule.expected(),
            self.found,
            self.rule.remedy()
        )
    }
}

impl std::error::Error for PolicyError {}

/// Makes the enum and its table in one place, so that no rule can lack a code, an expectation or a
/// remedy, or be missing from [`PolicyRule::ALL`].
macro_rules! rules {
    ($($rule:ident $code:literal, $expected:literal, $remedy:literal;)*) => {
        /// A rule of the policy file. Its documentation is what the rule asks for.
        ///
        /// ```
        /// use partner_info::policy::PolicyRule;
        ///
        /// let rule = PolicyRule::DuplicatePermit;
        /// assert_eq!(rule.code(), "duplicate-permit");
        /// assert_eq!(rule.remedy(), "keep one of the two permits");
        /// assert!(PolicyRule::ALL.contains(&rule));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum PolicyRule {
            $(#[doc = concat!("`", $code, "`: ", $expected, ".")] $rule,)*
        }

        impl PolicyRule {
            /// Every rule.
            pub const ALL: &[PolicyRule] = &[$(PolicyRule::$rule),*];

            /// The short name under which the manual lists the rule, such as `double-star-twice`.
            pub fn code(self) -> &'static str {
                match self { $(PolicyRule::$rule => $code,)* }
            }

            /// What the rule asks for.
            pub fn expected(self) -> &'static str {
                match self { $(PolicyRule::$rule => $expected,)* }
            }

            /// What to do about a file that breaks it.
            pub fn remedy(self) -> &'static str {
                match self { $(PolicyRule::$rule => $remedy,)* }
            }
        }
    };
}

rules! {
    TextSize "text-size",
        "a policy file has at most 1 MiB (1048576 bytes)",
        "use generic profiles and groups instead of listing every host and user";
    Syntax "syntax",
        "a policy file is TOML, each key at most once in a table",
        "correct the syntax at this place";
    UnknownKey "unknown-key",
        "only the documented keys may stand here",
        "correct the spelling or remove the key";
    MissingKey "missing-key",
        "each profile has a name, and each permit an access",
        "add the missing key";
    ValueType "value-type",
        "each key has a value of its documented type",
        "write the value as the manual shows it";
    Version "version",
        "the version of the file format is 1",
        "write version = 1, or use a release that reads this version";
    StackName "stack-name",
        "a stack name is one qualifier of 1 to 64 printable ASCII characters without a point, a \
         space, *, % or &",
        "write one word such as TCPIP";
    ProfileLength "profile-length",
        "a profile name has 1 to 255 characters",
        "write a name such as EZB.IOCTL.*.*.PARTNERINFO";
    ProfileCharacter "profile-character",
        "a profile name is printable ASCII without spaces",
        "write the name in ASCII letters, digits and punctuation";
    EmptyQualifier "empty-qualifier",
        "each qualifier of a profile name has at least one character",
        "remove the point that is too many, or write * for any one qualifier";
    DoubleStarTwice "double-star-twice",
        "** stands at most once in a profile name",
        "keep one ** and write * for the other qualifiers";
    DoubleStarPart "double-star-part",
        "** is a whole qualifier",
        "put a point before and behind **, or write a single * at the qualifier's end";
    StarPlace "star-place",
        "* is a whole qualifier or the last character of one",
        "move the * to the qualifier's end, or write % for each single character";
    PercentStar "percent-star",
        "a profile name does not end with %*",
        "end it with * alone, or with %.**";
    RacfVariable "racf-variable",
        "a profile name holds no RACF variable (&)",
        "write one profile for each value of the variable";
    DuplicateProfile "duplicate-profile",
        "a profile name stands once in the file, without regard to case",
        "merge the two profiles";
    AccessWord "access-word",
        "an access is NONE, READ, UPDATE, CONTROL or ALTER",
        "write one of these words, READ to authorize";
    PermitSubject "permit-subject",
        "a permit names exactly one of user, uid, group or gid",
        "write one permit for each of them";
    AccountName "account-name",
        "a user or group name has 1 to 255 printable ASCII characters, no space at either end, and \
         is neither * nor a number",
        "write the number under uid or gid, and everyone's access under uacc";
    AccountNumber "account-number",
        "a uid or gid is 0 to 4294967294, and 65534, which stands for anybody who cannot be told, \
         is granted nothing",
        "write the number of one account, or everyone's access under uacc";
    DuplicatePermit "duplicate-permit",
        "a profile lists a user or group once, names without regard to case",
        "keep one of the two permits";
    DomainMissing "domain-missing",
        "the profile EZBDOMAIN has the security domain as its appldata",
        "add appldata, or remove the profile if this host has no security domain";
    DomainLength "domain-length",
        "a security domain name has 1 to 255 characters",
        "choose a name of that length, the same on every host of the cluster";
    DomainCharacter "domain-character",
        "a security domain name is printable ASCII without a space at either end",
        "write the name in ASCII letters, digits and punctuation";
    DomainAccess "domain-access",
        "the profile EZBDOMAIN grants nothing: no permits, and no uacc but NONE",
        "put the access under the profile of the resource, such as EZB.IOCTL.*.*.PARTNERINFO";
    AppldataPlace "appldata-place",
        "only the profile EZBDOMAIN has appldata",
        "remove the key, or move it to the profile EZBDOMAIN";
}

impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_messages_join_into_one_line() {
        let codes: HashSet<_> = PolicyRule::ALL.iter().map(|rule| rule.code()).collect();
        assert_eq!(codes.len(), PolicyRule::ALL.len());
        for rule in PolicyRule::ALL {
            for text in [rule.expected(), rule.remedy()] {
                assert!(!text.ends_with('.') && !text.contains(['\n', ';']), "{text}");
                assert!(!text.contains("  "), "{text}");
            }
        }
    }
}
