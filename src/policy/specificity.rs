//! Which of two profile names is the more specific one.

use super::name::{Part, ProfileName};

/// The place of a profile name among all others: the lower, the more specific.
///
/// RACF compares two names from left to right; where they differ first, a character is more
/// specific than `%`, `%` more than `*`, and `*` more than `**`. Three refinements make that a
/// total order in which only names that are equal without regard to case tie, so that the choice
/// never depends on the order of the file:
///
/// * A name that ends where the other goes on is more specific: `A.%` before `A.%.**`.
/// * A `*` or `**` at the name's end reaches over all that follows, and so comes after the same
///   sign within the name: `A.*.B` before `A.*`, and `A.**.B` before `A.**`.
/// * Of two different characters the one with the lower code comes first. Both names can match a
///   resource and differ so only behind a `**` (`**.B.*` and `**.C.*`).
///
/// A discrete profile precedes every generic one that matches the same resource: up to the first
/// difference the generic name agrees with the resource character by character, so there it has a
/// wildcard where the discrete name has a character, or goes on where the discrete name ends.
///
/// Left to right also means that `A.*` comes before `A.**.B`, although it matches more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Specificity(Box<[Sign]>);

/// One step of a name, the most specific kind first: the derived order is the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Sign {
    /// A character, the point between qualifiers included.
    Character(u8),
    /// `%`
    AnyCharacter,
    /// `*` before the name's end.
    Star,
    /// `*` at the name's end.
    LastStar,
    /// `**` before the name's end.
    DoubleStar,
    /// `**` at the name's end.
    LastDoubleStar,
}

impl Specificity {
    pub(crate) fn of(name: &ProfileName) -> Self {
        let mut signs = Vec::new();
        for (index, part) in name.parts().iter().enumerate() {
            if index > 0 {
                signs.push(Sign::Character(b'.'));
            }
            let last = index + 1 == name.parts().len();
            match part {
                Part::Exactly(text) => push_text(&mut signs, text),
                Part::Beginning(text) => {
                    push_text(&mut signs, text);
                    signs.push(Sign::Star);
                }
                Part::Rest(text) => {
                    push_text(&mut signs, text);
                    signs.push(Sign::LastStar);
                }
                Part::Any => signs.push(if last { Sign::LastDoubleStar } else { Sign::DoubleStar }),
            }
        }
        Specificity(signs.into())
    }
}

fn push_text(signs: &mut Vec<Sign>, text: &str) {
    signs.extend(text.bytes().map(|byte| match byte {
        b'%' => Sign::AnyCharacter,
        character => Sign::Character(character),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specificity(name: &str) -> Specificity {
        Specificity::of(&ProfileName::parse(name).unwrap())
    }

    #[test]
    fn the_order_case_by_case() {
        // Each chain goes from the most specific name to the least; all names of one chain match
        // the resource that stands first.
        let chains: &[&[&str]] = &[
            &[
                "EZB.IOCTL.WEB1.TCPIP.PARTNERINFO",
                "EZB.IOCTL.WEB1.TCPIP.PARTNER*",
                "EZB.IOCTL.WEB1.TCPIP.%%%%%%%%%%%",
                "EZB.IOCTL.WEB1.TCPIP.*",
                "EZB.IOCTL.WEB1.*.PARTNERINFO",
                "EZB.IOCTL.WEB1.*",
                "EZB.IOCTL.WEB1.**",
                "EZB.IOCTL.WEB%.TCPIP.PARTNERINFO",
                "EZB.IOCTL.WEB%.*.PARTNERINFO",
                "EZB.IOCTL.WEB*.TCPIP.PARTNERINFO",
                "EZB.IOCTL.WEB*",
                "EZB.IOCTL.*.TCPIP.PARTNERINFO",
                "EZB.IOCTL.*.*.PARTNERINFO",
                "EZB.IOCTL.*",
                "EZB.IOCTL.**.PARTNERINFO",
                "EZB.IOCTL.**",
                "EZB.**",
                "EZB*",
                "%%%.IOCTL.WEB1.TCPIP.PARTNERINFO",
                "*.IOCTL.**",
                "*",
                "**.PARTNERINFO",
                "**",
            ],
            &["A.B", "A.B.**", "A.B*", "A.%", "A.%.**", "A.*.**", "A.*", "A.**.B", "A.**"],
            &["A", "A.**", "A*", "%", "%.**", "*.**", "*", "**.A", "**"],
            &["B.C.D", "**.B.*", "**.C.D", "**.C.*"],
        ];
        for chain in chains {
            let resource = chain[0].parse().unwrap();
            for name in *chain {
                assert!(ProfileName::parse(name).unwrap().matches(&resource), "{name}");
            }
            for pair in chain.windows(2) {
                let (before, after) = (specificity(pair[0]), specificity(pair[1]));
                assert!(before < after, "{} before {}", pair[0], pair[1]);
            }
        }
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!(specificity("ezb.Ioctl.w%b*.**"), specificity("EZB.IOCTL.W%B*.**"));
        assert_ne!(specificity("A.*"), specificity("A.**"));
    }
}
