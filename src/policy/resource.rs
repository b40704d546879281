//! The name of what is guarded.

use std::fmt;
use std::str::FromStr;

use super::text::quoted;

/// Characters that a resource name has at most.
///
/// Room for the longest host name (64 on Linux) and the longest stack name, several times over.
const MAX_CHARACTERS: usize = 255;

/// The name of a guarded resource, such as `EZB.IOCTL.WEB1.TCPIP.PARTNERINFO`.
///
/// A value of this type is one or more qualifiers with points between them, none empty, in
/// printable ASCII without spaces, shown in capitals. Names are compared without regard to case.
/// A `*` or `%` in it is that character and nothing more: wildcards live in profiles only.
///
/// Get the one to decide about from [`Policy::resource`](super::Policy::resource).
///
/// ```
/// use partner_info::policy::Resource;
///
/// let resource: Resource = "ezb.ioctl.web1.tcpip.partnerinfo".parse()?;
/// assert_eq!(resource.as_str(), "EZB.IOCTL.WEB1.TCPIP.PARTNERINFO");
/// # Ok::<(), partner_info::policy::ResourceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource(Box<str>);

impl Resource {
    /// The resource that guards the partner's credentials in one stack of one host:
    /// `EZB.IOCTL.<sysname>.<stack>.PARTNERINFO`.
    ///
    /// `sysname` is the host's name (`uname -n`); what follows the first point is left out.
    pub(crate) fn partner_info(sysname: &str, stack: &str) -> Result<Self, ResourceError> {
        let short = sysname.split_once('.').map_or(sysname, |(short, _)| short);
        // A point in the stack's name would move every qualifier behind it. A policy holds no such
        // name; this keeps the promise where the promise is made.
        if stack.is_empty() || stack.contains('.') {
            return Err(ResourceError { found: quoted(stack) });
        }
        format!("EZB.IOCTL.{short}.{stack}.PARTNERINFO")
            .parse()
            .map_err(|_| ResourceError { found: quoted(sysname) })
    }

    /// The name, in capitals.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Resource {
    type Err = ResourceError;

    /// Takes any resource name, for asking what a policy would decide about it.
    ///
    /// # Errors
    ///
    /// [`ResourceError`] if the name is empty or over 255 characters, holds an empty qualifier, a
    /// space, or a character that is not printable ASCII.
    fn from_str(name: &str) -> Result<Self, ResourceError> {
        let valid = name.len() <= MAX_CHARACTERS
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && name.split('.').all(|qualifier| !qualifier.is_empty());
        if !valid {
            return Err(ResourceError { found: quoted(name) });
        }
        Ok(Resource(name.to_ascii_uppercase().into()))
    }
}

/// A host, stack or resource name from which no resource can be made.
///
/// Give the host a name of ASCII letters, digits and hyphens (`hostnamectl set-hostname`).
///
/// ```
/// use partner_info::policy::Resource;
///
/// let error = "EZB..PARTNERINFO".parse::<Resource>().unwrap_err();
/// assert!(error.to_string().starts_with("no resource name can be made of \"EZB..PARTNERINFO\""));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceError {
    /// The name in quotes, with everything that does not print escaped.
    found: String,
}

impl fmt::Display for ResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no resource name can be made of {}: each qualifier has at least one character, all \
             printable ASCII without spaces, and the whole at most {MAX_CHARACTERS}",
            self.found
        )
    }
}

impl std::error::Error for ResourceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_gives_its_short_name_in_capitals() {
        for (sysname, resource) in [
            ("web1", "EZB.IOCTL.WEB1.TCPIP.PARTNERINFO"),
            ("Web1.Example.COM", "EZB.IOCTL.WEB1.TCPIP.PARTNERINFO"),
            ("web1.", "EZB.IOCTL.WEB1.TCPIP.PARTNERINFO"),
            ("a-b_c", "EZB.IOCTL.A-B_C.TCPIP.PARTNERINFO"),
            ("*", "EZB.IOCTL.*.TCPIP.PARTNERINFO"),
            ("%%", "EZB.IOCTL.%%.TCPIP.PARTNERINFO"),
            (
                "a-host-name-of-more-than-8",
                "EZB.IOCTL.A-HOST-NAME-OF-MORE-THAN-8.TCPIP.PARTNERINFO",
            ),
        ] {
            assert_eq!(Resource::partner_info(sysname, "tcpip").unwrap().as_str(), resource);
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for sysname in ["", ".example.com", "a b", "a\nb", "bür0", "a\u{0}"] {
            assert!(Resource::partner_info(sysname, "TCPIP").is_err(), "{sysname:?}");
        }
        assert!(Resource::partner_info("web1", "TC.PIP").is_err());
        assert!(Resource::partner_info("web1", "").is_err());
        assert!(Resource::partner_info(&"x".repeat(300), "TCPIP").is_err());
        for name in ["", ".", "A.", ".A", "A..B", "A B", "Ä"] {
            assert!(name.parse::<Resource>().is_err(), "{name:?}");
        }
    }
}
