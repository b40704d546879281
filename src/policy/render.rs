//! A policy as a file again.

use std::fmt::Write as _;

use super::file::DOMAIN_PROFILE;
use super::profile::Subject;
use super::store::Policy;

impl Policy {
    /// The policy in its canonical form: what is in force, without comments, every default
    /// written out, the profiles with the most specific first.
    ///
    /// Two policies with the same canonical form decide alike, and reading it gives a policy with
    /// the same form. The embedded default, which no file can express, comes out as a policy
    /// without profiles.
    pub fn to_toml(&self) -> String {
        let mut text = format!("version = 1\nstack = {}\n", basic_string(&self.stack));
        if let Some(domain) = &self.domain {
            let (name, data) = (basic_string(DOMAIN_PROFILE), basic_string(domain.as_str()));
            let _ = write!(text, "\n[[profile]]\nname = {name}\nappldata = {data}\n");
        }
        for profile in self.profiles() {
            let (name, uacc) = (basic_string(profile.name()), profile.universal_access());
            let _ = write!(text, "\n[[profile]]\nname = {name}\nuacc = \"{uacc}\"\n");
            for permit in profile.permits() {
                let subject = permit.subject();
                let value = match subject {
                    Subject::User(name) | Subject::Group(name) => basic_string(name),
                    Subject::Uid(id) | Subject::Gid(id) => id.to_string(),
                };
                let (key, access) = (subject.key(), permit.access());
                let _ =
                    write!(text, "[[profile.permit]]\n{key} = {value}\naccess = \"{access}\"\n");
            }
        }
        text
    }
}

/// A TOML basic string. All names of a policy are printable ASCII, so that only its own two signs
/// need an escape.
fn basic_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
