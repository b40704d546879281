//! Profile names: what they are, and which resources they match.
//!
//! The rules are RACF's for general resources. They differ from those for data sets: a `*` at the
//! end of the name always reaches over the qualifiers that follow, whatever the option EGN says.

use std::fmt;

use super::error::PolicyRule;
use super::resource::Resource;

/// Characters that a profile name has at most, as many as the longest resource name.
const MAX_CHARACTERS: usize = 255;

/// The name of a profile, checked, with its wildcards understood.
#[derive(Clone, Debug)]
pub(crate) struct ProfileName {
    written: Box<str>,
    parts: Box<[Part]>,
}

/// One qualifier of a profile name. Texts are in capitals; a `%` in one is any one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// No `*`: a qualifier of this length.
    Exactly(Box<str>),
    /// `TEXT*` before the name's end, or `*` with an empty text: one qualifier that begins so.
    Beginning(Box<str>),
    /// `TEXT*` or `*` at the name's end: one qualifier that begins so, and any that follow.
    Rest(Box<str>),
    /// `**`: zero or more qualifiers.
    Any,
}

impl ProfileName {
    /// Reads a profile name, or says which rule it breaks.
    pub(crate) fn parse(written: &str) -> Result<Self, PolicyRule> {
        if !(1..=MAX_CHARACTERS).contains(&written.chars().count()) {
            return Err(PolicyRule::ProfileLength);
        }
        if !written.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(PolicyRule::ProfileCharacter);
        }
        if written.contains('&') {
            return Err(PolicyRule::RacfVariable);
        }
        let folded = written.to_ascii_uppercase();
        let mut parts = Vec::new();
        let mut qualifiers = folded.split('.').peekable();
        while let Some(qualifier) = qualifiers.next() {
            let last = qualifiers.peek().is_none();
            let part = Part::parse(qualifier, last)?;
            if part == Part::Any && parts.contains(&Part::Any) {
                return Err(PolicyRule::DoubleStarTwice);
            }
            parts.push(part);
        }
        Ok(ProfileName { written: written.into(), parts: parts.into() })
    }

    /// The name as the file spells it.
    pub(crate) fn as_str(&self) -> &str {
        &self.written
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether the name holds no wildcard, and so matches one resource alone.
    pub(crate) fn is_discrete(&self) -> bool {
        !self.written.contains(['*', '%'])
    }

    /// Whether the profile guards this resource.
    pub(crate) fn matches(&self, resource: &Resource) -> bool {
        parts_match(&self.parts, Some(resource.as_str()))
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Part {
    fn parse(qualifier: &str, last: bool) -> Result<Self, PolicyRule> {
        match qualifier {
            "" => return Err(PolicyRule::EmptyQualifier),
            "**" => return Ok(Part::Any),
            _ if qualifier.contains("**") => return Err(PolicyRule::DoubleStarPart),
            _ => {}
        }
        let Some((text, behind)) = qualifier.split_once('*') else {
            return Ok(Part::Exactly(qualifier.into()));
        };
        if !behind.is_empty() {
            return Err(PolicyRule::StarPlace);
        }
        if !last {
            return Ok(Part::Beginning(text.into()));
        }
        // RACF refuses this ending (message ICH10313I).
        if text.ends_with('%') {
            return Err(PolicyRule::PercentStar);
        }
        Ok(Part::Rest(text.into()))
    }
}

/// Whether `parts` take up exactly the qualifiers of `resource`; `None` is no qualifier left.
///
/// Only `**` tries more than one way, and it stands once, so the work is at most the number of
/// parts times the number of qualifiers, and the depth at most the number of parts.
fn parts_match(parts: &[Part], mut resource: Option<&str>) -> bool {
    let Some((part, later)) = parts.split_first() else {
        return resource.is_none();
    };
    match part {
        Part::Any => loop {
            if parts_match(later, resource) {
                return true;
            }
            let Some(name) = resource else { return false };
            resource = split_qualifier(name).1;
        },
        Part::Exactly(text) => resource.map(split_qualifier).is_some_and(|(qualifier, rest)| {
            text.len() == qualifier.len() && begins(qualifier, text) && parts_match(later, rest)
        }),
        Part::Beginning(text) => resource
            .map(split_qualifier)
            .is_some_and(|(qualifier, rest)| begins(qualifier, text) && parts_match(later, rest)),
        Part::Rest(text) => {
            resource.map(split_qualifier).is_some_and(|(qualifier, _)| begins(qualifier, text))
        }
    }
}

/// The first qualifier, and the name behind it if there is more.
fn split_qualifier(name: &str) -> (&str, Option<&str>) {
    name.split_once('.').map_or((name, None), |(qualifier, rest)| (qualifier, Some(rest)))
}

/// Whether the qualifier begins with the text, each `%` in the text being any one character.
///
/// Both are ASCII in capitals, so bytes are characters.
fn begins(qualifier: &str, text: &str) -> bool {
    qualifier.len() >= text.len()
        && qualifier.bytes().zip(text.bytes()).all(|(is, wanted)| wanted == b'%' || wanted == is)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract, case by case: profile name, resources it matches, resources it does not.
    const MATCHES: &[(&str, &[&str], &[&str])] = &[
        // Discrete: that resource, without regard to case.
        ("AB.CD", &["AB.CD", "ab.cd"], &["AB", "AB.CDE", "AB.CD.EF", "AB.C", "X.AB.CD"]),
        ("ab.Cd", &["AB.CD"], &["AB.CE"]),
        // % is exactly one character of a qualifier, never a point, never none.
        ("AB.C%", &["AB.CD", "AB.C%", "AB.C*"], &["AB.C", "AB.CDE", "AB.C.D", "AB.CD.E"]),
        ("A%.CD", &["AB.CD"], &["A.CD", "ABB.CD", "A.B.CD"]),
        ("%%%", &["ABC"], &["AB", "ABCD", "A.C"]),
        ("%.%", &["A.B"], &["A", "AB", "A.BC", "A.B.C"]),
        // * as a qualifier before the end is exactly one qualifier.
        ("AB.*.EF", &["AB.CD.EF", "AB.C.EF"], &["AB.EF", "AB.C.D.EF", "AB.CD.EF.G"]),
        ("*.CD", &["AB.CD"], &["CD", "A.B.CD"]),
        // * at the end of a qualifier before the end: the rest of that qualifier.
        ("AB.C*.EF", &["AB.C.EF", "AB.CDD.EF"], &["AB.EF", "AB.D.EF", "AB.C.D.EF"]),
        ("AB.%*.EF", &["AB.C.EF", "AB.CD.EF"], &["AB.EF", "AB.C.D.EF"]),
        // * as the last qualifier: one or more qualifiers.
        ("AB.CD.*", &["AB.CD.EF", "AB.CD.EF.GH"], &["AB.CD", "AB.CDE", "AB.CDE.F"]),
        ("*", &["A", "AB.CD", "A.B.C"], &[]),
        // * ending the last qualifier: the rest of it, and any qualifiers after it.
        ("AB.CD*", &["AB.CD", "AB.CDEF", "AB.CD.EF", "AB.CDE.F.G"], &["AB", "AB.C", "ABC.CD"]),
        ("AB.C%D*", &["AB.CXD", "AB.CXDE.F"], &["AB.CD", "AB.CXE"]),
        // ** is zero or more qualifiers, at the beginning, in the middle, at the end, alone.
        ("**.CD", &["CD", "AB.CD", "A.B.CD"], &["ABCD", "CD.AB", "AB.CDE"]),
        ("AB.**.EF", &["AB.EF", "AB.CD.EF", "AB.C.D.EF", "AB.EF.EF"], &["AB", "EF", "AB.EF.G"]),
        ("AB.CD.**", &["AB.CD", "AB.CD.EF", "AB.CD.E.F"], &["AB.CDE", "AB"]),
        ("**", &["A", "AB.CD", "A.B.C"], &[]),
        // Combinations.
        ("AB.CD.*.**", &["AB.CD.EF", "AB.CD.E.F"], &["AB.CD"]),
        ("AB.CD*.**", &["AB.CD", "AB.CDE.F"], &["AB.C"]),
        ("**.C*.E", &["C.E", "CD.E", "A.B.CD.E", "C.X.C.E"], &["C.D.E", "E"]),
        ("A.**.B*", &["A.B", "A.X.BC", "A.B.X", "A.X.Y.BC.Z"], &["A", "A.X", "B"]),
        ("A.**.*", &["A.B", "A.B.C"], &["A", "B.C"]),
        ("**.*.X", &["A.X", "A.B.X"], &["X"]),
        // A wildcard in a resource is a character like any other.
        ("A.B", &[], &["A.*", "A.%", "*", "**", "A.**"]),
        // The names this crate asks for.
        (
            "EZB.IOCTL.*.*.PARTNERINFO",
            &["EZB.IOCTL.WEB1.TCPIP.PARTNERINFO"],
            &["EZB.IOCTL.WEB1.PARTNERINFO", "EZB.IOCTL.A.B.C.PARTNERINFO"],
        ),
        ("EZB.**", &["EZB.IOCTL.WEB1.TCPIP.PARTNERINFO", "EZB"], &["EZBDOMAIN"]),
        ("EZB*", &["EZB.IOCTL.WEB1.TCPIP.PARTNERINFO", "EZBDOMAIN"], &["EZ"]),
    ];

    #[test]
    fn every_case_of_matching() {
        for (name, matched, others) in MATCHES {
            let name = ProfileName::parse(name).unwrap();
            for (resources, expected) in [(matched, true), (others, false)] {
                for resource in *resources {
                    let resource = resource.parse().unwrap();
                    assert_eq!(name.matches(&resource), expected, "{name} and {resource}");
                }
            }
        }
    }

    #[test]
    fn names_that_are_refused() {
        let long = "A".repeat(256);
        for (name, rule) in [
            ("", PolicyRule::ProfileLength),
            (long.as_str(), PolicyRule::ProfileLength),
            (".", PolicyRule::EmptyQualifier),
            ("A..B", PolicyRule::EmptyQualifier),
            (".A", PolicyRule::EmptyQualifier),
            ("A.", PolicyRule::EmptyQualifier),
            ("**.", PolicyRule::EmptyQualifier),
            ("**.A.**", PolicyRule::DoubleStarTwice),
            ("A.**.**", PolicyRule::DoubleStarTwice),
            ("A**", PolicyRule::DoubleStarPart),
            ("**A", PolicyRule::DoubleStarPart),
            ("***", PolicyRule::DoubleStarPart),
            ("A.B**.C", PolicyRule::DoubleStarPart),
            ("*A", PolicyRule::StarPlace),
            ("A*B.C", PolicyRule::StarPlace),
            ("A*B*", PolicyRule::StarPlace),
            ("*%", PolicyRule::StarPlace),
            ("A.B%*", PolicyRule::PercentStar),
            ("%*", PolicyRule::PercentStar),
            ("A.&VAR.B", PolicyRule::RacfVariable),
            ("A B", PolicyRule::ProfileCharacter),
            (" A", PolicyRule::ProfileCharacter),
            ("A\n", PolicyRule::ProfileCharacter),
            ("A\u{0}", PolicyRule::ProfileCharacter),
            ("Ä", PolicyRule::ProfileCharacter),
            ("A\u{200b}", PolicyRule::ProfileCharacter),
            ("＊", PolicyRule::ProfileCharacter),
        ] {
            assert_eq!(ProfileName::parse(name).map(|_| ()), Err(rule), "{name:?}");
        }
    }

    #[test]
    fn discrete_is_without_wildcards() {
        for (name, discrete) in [("A.B", true), ("A.*", false), ("A.B%", false), ("**", false)] {
            assert_eq!(ProfileName::parse(name).unwrap().is_discrete(), discrete, "{name}");
        }
    }
}
