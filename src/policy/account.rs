//! What may stand for a user or group in a permit.

use super::access::Access;
use super::caller::names_an_account;
use super::error::PolicyRule;
use super::text::is_printable;

/// Characters that a user or group name has at most.
const MAX_NAME_CHARACTERS: usize = 255;

/// Takes a user or group name over.
///
/// Refused besides what does not print: a number, because `user = "1000"` would look like uid 1000
/// and match nobody, so that a NONE meant for that account would be lost; and `*`, which is RACF's
/// word for everybody.
pub(crate) fn account_name(name: &str) -> Result<Box<str>, PolicyRule> {
    let number = name.bytes().all(|byte| byte.is_ascii_digit());
    let valid = !number && name.len() <= MAX_NAME_CHARACTERS && is_printable(name) && name != "*";
    if valid { Ok(name.into()) } else { Err(PolicyRule::AccountName) }
}

/// Takes a uid or gid over.
///
/// The overflow id may be refused access, never granted it: every account that the kernel cannot
/// map shows up under that number.
pub(crate) fn account_number(number: i64, access: Access) -> Result<u32, PolicyRule> {
    match u32::try_from(number) {
        Ok(u32::MAX) | Err(_) => Err(PolicyRule::AccountNumber),
        Ok(id) if !names_an_account(id) && access.authorizes() => Err(PolicyRule::AccountNumber),
        Ok(id) => Ok(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["alice", "Alice", "CORP\\domain users", "svc$", "1000a", "a.b@example"] {
            assert_eq!(account_name(name).as_deref(), Ok(name));
        }
        for name in ["", "1000", "0", "*", " alice", "alice ", "a\nb", "élodie", "a\0"] {
            assert_eq!(account_name(name), Err(PolicyRule::AccountName), "{name:?}");
        }
        assert!(account_name(&"x".repeat(255)).is_ok());
        assert!(account_name(&"x".repeat(256)).is_err());
    }

    #[test]
    fn numbers() {
        for (number, access, accepted) in [
            (0, Access::Read, true),
            (1000, Access::None, true),
            (4_294_967_294, Access::Alter, true),
            (4_294_967_295, Access::None, false),
            (4_294_967_296, Access::None, false),
            (-1, Access::None, false),
            (65534, Access::None, true),
            (65534, Access::Read, false),
            (65535, Access::Read, true),
        ] {
            assert_eq!(account_number(number, access).is_ok(), accepted, "{number} {access}");
        }
    }
}
