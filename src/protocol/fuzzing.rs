//! What must hold for any packet that claims to be a question or an answer.

use super::{
    Answer, MAX_ANSWER, MAX_QUESTION, Malformed, Outcome, Pids, Question, Refused, Told, number,
};
use crate::info::{PartnerRequest, Routing};
use crate::token::{Gid, HoldersGap, Uid, UserToken};

/// Reads `data` as a question and as an answer. Returns whether it is one of them.
pub fn check_messages(data: &[u8]) -> bool {
    let question = check_question(data);
    let ours = check_answer(data, Pids::Ours);
    let foreign = check_answer(data, Pids::Foreign);
    assert_eq!(ours, foreign, "whose pids they are decides what they are worth, and nothing else");
    question || ours
}

fn check_question(data: &[u8]) -> bool {
    let question = match Question::decode(data) {
        Ok(question) => question,
        Err(malformed) => {
            check_text(&malformed.to_string());
            return false;
        }
    };
    assert!(data.len() <= MAX_QUESTION);
    assert_eq!(number(data), Some(question.number), "a question that can be read can be answered");
    assert!(PartnerRequest::all().contains(question.request));
    if let Some(Some(domain)) = &question.domain {
        assert!((1..=255).contains(&domain.chars().count()), "{domain:?}");
        check_text(domain);
    }
    let bytes = question.encode();
    assert!(bytes.len() <= MAX_QUESTION, "{} bytes", bytes.len());
    assert_eq!(number(&bytes), Some(question.number));
    assert_eq!(Question::decode(&bytes).as_ref(), Ok(&question));
    true
}

fn check_answer(data: &[u8], pids: Pids) -> bool {
    let answer = match Answer::decode(data, pids) {
        Ok(answer) => answer,
        Err(malformed) => {
            check_text(&malformed.to_string());
            return false;
        }
    };
    assert!(data.len() <= MAX_ANSWER);
    match &answer.outcome {
        Outcome::Told(told) => check_told(told, pids),
        Outcome::NotYetAccepted => {}
        Outcome::Refused(refused) => check_refused(refused),
    }
    let bytes = answer.encode();
    assert!(bytes.len() <= MAX_ANSWER, "{} bytes", bytes.len());
    let again = Answer::decode(&bytes, pids);
    assert!(
        again == Ok(answer.clone()) || is_shortened(&again, &answer),
        "{again:?} of {answer:?}"
    );
    true
}

/// What it says is fit for a line of a log.
pub(super) fn check_refused(refused: &Refused) {
    match refused {
        Refused::NotAuthorized(text) | Refused::Failed(text) => check_text(text),
        Refused::SecurityDomain
        | Refused::NotConnected
        | Refused::NotTcp
        | Refused::Unidentified(_) => {}
    }
}

fn check_told(told: &Told, pids: Pids) {
    assert!(!told.routing.is_empty() && Routing::all().contains(told.routing));
    let of_token = told.token.as_ref().map(UserToken::user);
    assert!(of_token.is_none() || of_token == told.user, "two users of one socket");
    let request = match (told.user, &told.token) {
        (_, Some(_)) => PartnerRequest::UTOKEN,
        (Some(_), None) => PartnerRequest::USER_ID,
        (None, None) => PartnerRequest::empty(),
    };
    assert!(told.fits(request));
    for other in [PartnerRequest::empty(), PartnerRequest::USER_ID, PartnerRequest::UTOKEN] {
        assert_eq!(told.fits(other), other == request, "{other:?} for {request:?}");
    }
    assert!(told.user.is_none_or(|user| user.as_raw() != u32::MAX));
    if let Some(token) = &told.token {
        check_token(token, pids);
    }
}

pub(super) fn check_token(token: &UserToken, pids: Pids) {
    check_text(&token.to_string());
    assert_eq!(token.flags().undefined_user(), None, "names are looked up here");
    assert!(token.holders().is_sorted_by(|one, next| one.pid() < next.pid()));
    for holder in token.holders() {
        let parts = holder.parts();
        assert_eq!(parts.local, pids == Pids::Ours);
        let users = [parts.process_user, parts.real_user, parts.submitting_user];
        assert!(users.into_iter().flatten().map(Uid::as_raw).all(|it| it != u32::MAX));
        let groups = parts.supplementary_groups.iter().flatten().copied();
        let groups = groups.chain(parts.process_group).chain(parts.real_group);
        assert!(groups.map(Gid::as_raw).all(|it| it != u32::MAX));
    }
}

/// Whether `again` lacks the last holders and says so: where the bytes came in a shorter form than
/// they are given in here, and had no room to spare.
fn is_shortened(again: &Result<Answer, Malformed>, answer: &Answer) -> bool {
    let again = again.as_ref().ok().and_then(token);
    matches!((again, token(answer)), (Some(again), Some(token)) if is_shorter(again, token))
}

/// Whether the one lacks the last holders of the other and says so.
pub(super) fn is_shorter(again: &UserToken, token: &UserToken) -> bool {
    let gap = again.holders_gap();
    again.holders().len() < token.holders().len()
        && token.holders().starts_with(again.holders())
        && (gap == Some(HoldersGap::TooManyHolders)
            || (gap.is_some() && gap == token.holders_gap()))
}

fn token(answer: &Answer) -> Option<&UserToken> {
    match &answer.outcome {
        Outcome::Told(told) => told.token.as_ref(),
        Outcome::NotYetAccepted | Outcome::Refused(_) => None,
    }
}

/// Fit for a line of a log.
pub(super) fn check_text(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
}
