//! From the text of a policy file to a [`Policy`].
//!
//! serde says what keys there are and of which type; everything that needs more than one key, or
//! knowledge of names, is checked here, where the line of each value is still known.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::access::Access;
use super::account::{account_name, account_number};
use super::domain::{SecurityDomain, SecurityDomainError};
use super::error::{PolicyError, PolicyRule};
use super::name::ProfileName;
use super::profile::{Permit, Profile, Subject};
use super::store::{DEFAULT_STACK, MAX_POLICY_BYTES, Policy, Source};
use super::text::{quoted, shown};

/// The profile whose application data is the security domain.
pub(crate) const DOMAIN_PROFILE: &str = "EZBDOMAIN";

/// Characters that a stack name has at most.
const MAX_STACK_CHARACTERS: usize = 64;

/// Characters of the TOML parser's own message that are repeated at most.
const SHOWN_OF_MESSAGE: usize = 300;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    version: Option<Spanned<i64>>,
    stack: Option<Spanned<String>>,
    #[serde(default)]
    profile: Vec<Spanned<RawProfile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [[profile]]")]
struct RawProfile {
    name: Spanned<String>,
    uacc: Option<Spanned<String>>,
    appldata: Option<Spanned<String>>,
    #[serde(default)]
    permit: Vec<Spanned<RawPermit>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [[profile.permit]]")]
struct RawPermit {
    user: Option<Spanned<String>>,
    uid: Option<Spanned<i64>>,
    group: Option<Spanned<String>>,
    gid: Option<Spanned<i64>>,
    access: Spanned<String>,
}

pub(crate) fn parse(file: &str, text: &str) -> Result<Policy, PolicyError> {
    let file = shown(file, usize::MAX);
    if text.len() > MAX_POLICY_BYTES {
        let found = format!("{} bytes", text.len());
        return Err(PolicyError::new(&file, (1, 1), PolicyRule::TextSize, found));
    }
    let reader = Reader::new(file, text);
    match toml::from_str(text) {
        Ok(raw) => reader.policy(raw),
        Err(error) => Err(reader.toml_error(&error)),
    }
}

/// The text being read, and where its lines begin.
struct Reader<'a> {
    file: String,
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn new(file: String, text: &'a str) -> Self {
        let behind_breaks = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Reader { file, text, line_starts: std::iter::once(0).chain(behind_breaks).collect() }
    }

    /// Line and column of a byte offset, both counted from 1.
    fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied();
        let before = start.and_then(|start| self.text.get(start..offset)).unwrap_or("");
        // The parser leaves a byte order mark out of account, and so does an editor.
        (line.max(1), before.trim_start_matches('\u{feff}').chars().count() + 1)
    }

    fn line(&self, span: Range<usize>) -> usize {
        self.place(span.start).0
    }

    fn error(&self, span: Range<usize>, rule: PolicyRule, found: String) -> PolicyError {
        PolicyError::new(&self.file, self.place(span.start), rule, found)
    }

    /// The TOML parser's own errors: syntax, and keys and types that serde refuses.
    fn toml_error(&self, error: &toml::de::Error) -> PolicyError {
        let message = error.message();
        // serde has no error codes; these are the words of its default messages. A change of them
        // would move errors to another rule, which a test would notice, and refuse as before.
        let rule = if message.starts_with("unknown field") {
            PolicyRule::UnknownKey
        } else if message.starts_with("missing field") {
            PolicyRule::MissingKey
        } else if message.starts_with("invalid type") || message.starts_with("invalid value") {
            PolicyRule::ValueType
        } else {
            PolicyRule::Syntax
        };
        let span = error.span().unwrap_or(0..0);
        self.error(span, rule, shown(message, SHOWN_OF_MESSAGE))
    }

    fn policy(&self, raw: RawFile) -> Result<Policy, PolicyError> {
        if let Some(version) = raw.version
            && *version.get_ref() != 1
        {
            let found = version.get_ref().to_string();
            return Err(self.error(version.span(), PolicyRule::Version, found));
        }
        let stack = match raw.stack {
            None => DEFAULT_STACK.into(),
            Some(stack) => self.stack(&stack)?,
        };
        let mut domain = None;
        let mut profiles = Vec::with_capacity(raw.profile.len());
        let mut names = HashSet::with_capacity(raw.profile.len());
        for profile in raw.profile {
            let raw = profile.into_inner();
            let name = self.profile_name(&raw.name)?;
            if !names.insert(name.as_str().to_ascii_uppercase()) {
                let found = format!("{} a second time", quoted(name.as_str()));
                return Err(self.error(raw.name.span(), PolicyRule::DuplicateProfile, found));
            }
            if name.as_str().eq_ignore_ascii_case(DOMAIN_PROFILE) {
                domain = Some(self.domain(&raw)?);
            } else {
                profiles.push(Arc::new(self.profile(name, raw)?));
            }
        }
        // Most specific first, so that the first match decides, wherever it stood in the file.
        profiles.sort_by_cached_key(|profile| profile.specificity());
        let source = Source::File { name: self.file.as_str().into(), profiles };
        Ok(Policy { source, stack, domain })
    }

    fn stack(&self, stack: &Spanned<String>) -> Result<Box<str>, PolicyError> {
        let name = stack.get_ref();
        let valid = (1..=MAX_STACK_CHARACTERS).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && !name.contains(['.', '*', '%', '&']);
        if !valid {
            return Err(self.error(stack.span(), PolicyRule::StackName, quoted(name)));
        }
        Ok(name.as_str().into())
    }

    fn profile_name(&self, name: &Spanned<String>) -> Result<ProfileName, PolicyError> {
        ProfileName::parse(name.get_ref())
            .map_err(|rule| self.error(name.span(), rule, quoted(name.get_ref())))
    }

    fn profile(&self, name: ProfileName, raw: RawProfile) -> Result<Profile, PolicyError> {
        if let Some(data) = &raw.appldata {
            let found = format!("appldata in the profile {}", quoted(name.as_str()));
            return Err(self.error(data.span(), PolicyRule::AppldataPlace, found));
        }
        let line = self.line(raw.name.span());
        let (universal_access, universal_access_line) = match &raw.uacc {
            None => (Access::None, line),
            Some(word) => (self.access(word)?, self.line(word.span())),
        };
        let mut subjects = HashSet::with_capacity(raw.permit.len());
        let mut permits = Vec::with_capacity(raw.permit.len());
        for raw in raw.permit {
            let span = raw.span();
            let (permit, span) = self.permit(span, raw.into_inner())?;
            if !subjects.insert(permit.subject.sort_key()) {
                let found = format!("{} a second time", quoted(&permit.subject.to_string()));
                return Err(self.error(span, PolicyRule::DuplicatePermit, found));
            }
            permits.push(Arc::new(permit));
        }
        // So that of two entries with the same effect the same one is named as deciding, in
        // whatever order the file lists them.
        permits.sort_by_cached_key(|permit| permit.subject.sort_key());
        Ok(Profile { name, line, universal_access, universal_access_line, permits })
    }

    /// The permit, and where its subject stands.
    fn permit(
        &self,
        whole: Range<usize>,
        raw: RawPermit,
    ) -> Result<(Permit, Range<usize>), PolicyError> {
        let access = self.access(&raw.access)?;
        let (subject, span) = match (&raw.user, &raw.uid, &raw.group, &raw.gid) {
            (Some(name), None, None, None) => (self.name(name).map(Subject::User)?, name.span()),
            (None, Some(id), None, None) => (self.id(id, access).map(Subject::Uid)?, id.span()),
            (None, None, Some(name), None) => (self.name(name).map(Subject::Group)?, name.span()),
            (None, None, None, Some(id)) => (self.id(id, access).map(Subject::Gid)?, id.span()),
            (user, uid, group, gid) => {
                let present = [
                    ("user", user.is_some()),
                    ("uid", uid.is_some()),
                    ("group", group.is_some()),
                    ("gid", gid.is_some()),
                ];
                let keys: Vec<_> =
                    present.iter().filter(|(_, there)| *there).map(|(key, _)| *key).collect();
                let found = if keys.is_empty() { "none".into() } else { keys.join(" and ") };
                return Err(self.error(whole, PolicyRule::PermitSubject, found));
            }
        };
        Ok((Permit { subject, access, line: self.line(span.clone()) }, span))
    }

    fn name(&self, name: &Spanned<String>) -> Result<Box<str>, PolicyError> {
        account_name(name.get_ref())
            .map_err(|rule| self.error(name.span(), rule, quoted(name.get_ref())))
    }

    fn id(&self, id: &Spanned<i64>, access: Access) -> Result<u32, PolicyError> {
        account_number(*id.get_ref(), access)
            .map_err(|rule| self.error(id.span(), rule, format!("{} with {access}", id.get_ref())))
    }

    fn access(&self, word: &Spanned<String>) -> Result<Access, PolicyError> {
        let access = word.get_ref().parse();
        access.map_err(|_| self.error(word.span(), PolicyRule::AccessWord, quoted(word.get_ref())))
    }

    fn domain(&self, raw: &RawProfile) -> Result<SecurityDomain, PolicyError> {
        if let Some(word) = &raw.uacc
            && self.access(word)?.authorizes()
        {
            let found = format!("uacc {}", quoted(word.get_ref()));
            return Err(self.error(word.span(), PolicyRule::DomainAccess, found));
        }
        if let Some(permit) = raw.permit.first() {
            return Err(self.error(permit.span(), PolicyRule::DomainAccess, "a permit".into()));
        }
        let Some(data) = &raw.appldata else {
            let found = "no appldata".into();
            return Err(self.error(raw.name.span(), PolicyRule::DomainMissing, found));
        };
        SecurityDomain::try_from(data.get_ref().as_str()).map_err(|error| match error {
            SecurityDomainError::Length { characters } => {
                let found = format!("{characters} characters");
                self.error(data.span(), PolicyRule::DomainLength, found)
            }
            SecurityDomainError::Character { name } => {
                self.error(data.span(), PolicyRule::DomainCharacter, name)
            }
        })
    }
}
