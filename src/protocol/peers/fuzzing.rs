//! What must hold for any bytes that claim to come from another agent.

use super::super::fuzzing::{check_refused, check_text, check_token, is_shorter};
use super::{Answer, Hello, MAX_FRAME, NOBODY_S, Outcome, Question, Told, split};
use crate::info::PartnerRequest;
use crate::protocol::{Malformed, Pids};
use crate::token::UserToken;

/// Reads `data` as frames, and as each of the messages. Returns whether it is one of them.
pub fn check_peer_messages(data: &[u8]) -> bool {
    check_frames(data);
    let hello = match Hello::decode(data) {
        Ok(hello) => check_hello(&hello),
        Err(malformed) => is_not(&malformed),
    };
    let question = match Question::decode(data) {
        Ok(question) => check_question(&question),
        Err(malformed) => is_not(&malformed),
    };
    let answer = match Answer::decode(data) {
        Ok(answer) => check_answer(&answer),
        Err(malformed) => is_not(&malformed),
    };
    hello || question || answer
}

fn is_not(malformed: &Malformed) -> bool {
    check_text(&malformed.to_string());
    false
}

/// No byte is lost between frames, and no frame is longer than it may be.
fn check_frames(data: &[u8]) {
    let mut rest = data;
    loop {
        match split(rest) {
            Ok(Some((message, left))) => {
                assert!(message.len() <= MAX_FRAME);
                assert_eq!(message.len() + left.len() + 4, rest.len());
                rest = left;
            }
            Ok(None) => break assert!(rest.len() < MAX_FRAME + 4),
            Err(malformed) => {
                is_not(&malformed);
                break;
            }
        }
    }
}

/// The one message of a frame.
fn message(frame: &[u8]) -> &[u8] {
    match split(frame) {
        Ok(Some((message, []))) => message,
        other => unreachable!("one frame: {other:?}"),
    }
}

fn check_hello(hello: &Hello) -> bool {
    check_text(&hello.host);
    if let Some(domain) = &hello.domain {
        assert!((1..=255).contains(&domain.len()));
        check_text(domain);
    }
    let mut frame = Vec::new();
    hello.put(&mut frame);
    assert_eq!(Hello::decode(message(&frame)).as_ref(), Ok(hello));
    true
}

fn check_question(question: &Question) -> bool {
    assert!(question.number != NOBODY_S && PartnerRequest::all().contains(question.request));
    for end in [question.asked, question.asker] {
        assert!(end.port() != 0 && end.ip() == end.ip().to_canonical(), "{end}");
    }
    assert_eq!(question.asked.is_ipv4(), question.asker.is_ipv4());
    let mut frame = Vec::new();
    question.put(question.number, question.timeout, &mut frame);
    assert_eq!(Question::decode(message(&frame)).as_ref(), Ok(question));
    true
}

fn check_answer(answer: &Answer) -> bool {
    match &answer.outcome {
        Outcome::Told { told, end: _ } => check_told(told),
        Outcome::NotYetAccepted { end: _ } => {}
        Outcome::Refused(refused) => check_refused(refused),
    }
    let mut frame = Vec::new();
    answer.put(&mut frame);
    let again = Answer::decode(message(&frame));
    assert!(
        again.as_ref() == Ok(answer) || is_shortened(&again, answer),
        "{again:?} of {answer:?}"
    );
    true
}

fn check_told(told: &Told) {
    let request = match (told.user, &told.token) {
        (_, Some(_)) => PartnerRequest::UTOKEN,
        (Some(_), None) => PartnerRequest::USER_ID,
        (None, None) => PartnerRequest::empty(),
    };
    for other in [PartnerRequest::empty(), PartnerRequest::USER_ID, PartnerRequest::UTOKEN] {
        assert_eq!(told.fits(other), other == request, "{other:?} for {request:?}");
    }
    assert!(told.user.is_none_or(|user| user.as_raw() != u32::MAX));
    if let Some(token) = &told.token {
        assert!(token.flags().remote());
        check_token(token, Pids::Foreign);
    }
}

/// Whether `again` lacks the last holders and says so.
fn is_shortened(again: &Result<Answer, Malformed>, answer: &Answer) -> bool {
    let again = again.as_ref().ok().and_then(token);
    matches!((again, token(answer)), (Some(again), Some(token)) if is_shorter(again, token))
}

fn token(answer: &Answer) -> Option<&UserToken> {
    match &answer.outcome {
        Outcome::Told { told, end: _ } => told.token.as_ref(),
        Outcome::NotYetAccepted { .. } | Outcome::Refused(_) => None,
    }
}
