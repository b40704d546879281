//! What becomes of a retrieval that has to ask the agent.

use super::*;

const BOTH: PartnerRequest = PartnerRequest::all();
const TIMEOUT: Duration = Duration::from_secs(3);

/// Nobody here; the agent may know.
fn nobody_here() -> Outcome {
    Outcome::Elsewhere(Elsewhere { without: Box::new(not_here()), owner: None })
}

fn not_here() -> Outcome {
    Outcome::Failed(Error::unidentified(Reason::NotInThisStack))
}

/// The kernel has proven 1000, and the agent may know the processes.
fn owner_here() -> Outcome {
    Outcome::Elsewhere(Elsewhere { without: Box::new(found_with_token(1000)), owner: Some(1000) })
}

fn found_with_token(uid: u32) -> Outcome {
    let token = TokenState::Read(crate::token::tests::token_of(uid, uid));
    Outcome::Found(Found { uid: Some(uid), name: None, routing: Routing::SAME_STACK, token })
}

fn says(outcome: Outcome) -> Option<AgentSays> {
    Some(AgentSays::Outcome(outcome))
}

fn told(answer: &Result<Credentials, Error>) -> String {
    match answer {
        Ok(found) => format!("{:?}", found.user.as_ref().map(UserId::uid)),
        Err(error) => match error.reason() {
            Some(reason) => format!("{reason:?}"),
            None => format!("{:?}", error.kind()),
        },
    }
}

#[test]
fn what_the_agent_says_is_the_answer_and_what_stands_without_it_where_there_is_none() {
    let refused = |kind| says(Outcome::Failed(Error::new(kind)));
    for (kernel, agent, expected) in [
        (nobody_here(), says(found(2000)), "Some(2000)"),
        (nobody_here(), Some(AgentSays::Absent), "NotInThisStack"),
        (nobody_here(), refused(ErrorKind::SecurityDomain), "SecurityDomain"),
        (nobody_here(), refused(ErrorKind::NotAuthorized), "NotAuthorized"),
        (nobody_here(), refused(ErrorKind::Agent), "Agent"),
        // The kernel's word stands against the agent's.
        (owner_here(), says(found_with_token(1000)), "Some(1000)"),
        (owner_here(), says(found_with_token(0)), "ConnectionChanged"),
        (owner_here(), says(found_with_token(2000)), "ConnectionChanged"),
        (owner_here(), Some(AgentSays::Absent), "Some(1000)"),
        (owner_here(), refused(ErrorKind::NotAuthorized), "Some(1000)"),
        (owner_here(), refused(ErrorKind::Agent), "Some(1000)"),
        (owner_here(), says(Outcome::NotYetAccepted), "Some(1000)"),
    ] {
        let mut bench = Bench::new();
        bench.outcome = kernel.clone();
        bench.agent = agent;
        let answer = bench.wait(BOTH, TIMEOUT);
        assert_eq!(told(&answer), expected, "{kernel:?}");
        assert_eq!((bench.asked, bench.agent_asked), (1, 1));
    }
}

#[test]
fn an_agent_that_says_nothing_does_not_hold_a_get_beyond_its_time() {
    let mut bench = Bench::new();
    bench.outcome = nobody_here();
    let began = bench.now;
    assert_eq!(told(&bench.wait(USER, TIMEOUT)), "TimedOut");
    assert_eq!(bench.now - began, TIMEOUT);
    // The retrieval goes on: what the agent says later is found by a later get, without asking
    // the kernel again.
    bench.agent = says(found(2000));
    assert_eq!(told(&bench.wait(USER, TIMEOUT)), "Some(2000)");
    assert_eq!(bench.asked, 1);
}

#[test]
fn an_answer_is_taken_as_soon_as_it_wakes_who_waits() {
    let mut bench = Bench::new();
    bench.outcome = nobody_here();
    bench.retrieval.begin_wait().unwrap();
    let deadline = Some(bench.now + TIMEOUT);
    let until = bench.step(USER, deadline).expect_err("asked");
    assert!(until > bench.now, "nothing to do before the answer");
    // Not by itself ...
    assert!(bench.step(USER, deadline).is_err());
    assert_eq!(bench.agent_asked, 1);
    // ... but when woken.
    bench.agent = says(found(2000));
    bench.retrieval.handle_wake();
    let answer = bench.step(USER, deadline).expect("the answer");
    assert_eq!(told(&answer), "Some(2000)");
}

#[test]
fn an_agent_that_is_busy_is_asked_again_soon() {
    let mut bench = Bench::new();
    bench.outcome = nobody_here();
    bench.agent = Some(AgentSays::Busy);
    bench.retrieval.begin_wait().unwrap();
    let deadline = Some(bench.now + TIMEOUT);
    let until = bench.step(USER, deadline).expect_err("busy");
    assert!(until <= bench.now + LONGEST_PAUSE);
    bench.now = until;
    bench.agent = says(found(2000));
    let answer = bench.step(USER, deadline).expect("the answer");
    assert_eq!(told(&answer), "Some(2000)");
}

#[test]
fn a_prefetch_asks_the_agent_at_once_and_a_no_suspend_get_finds_the_answer() {
    let mut bench = Bench::new();
    bench.outcome = nobody_here();
    bench.retrieval.handle_set(USER);
    bench.retrieval.begin_prefetch();
    bench.drive();
    assert_eq!((bench.asked, bench.agent_asked), (1, 1), "asked before anybody gets");
    assert_eq!(kind(&bench.poll(USER)), Some(ErrorKind::InProgress));
    bench.agent = says(found(2000));
    bench.retrieval.handle_wake();
    assert_eq!(told(&bench.poll(USER)), "Some(2000)");
    assert_eq!(bench.asked, 1);
}

#[test]
fn a_domain_that_the_agent_refused_stays_refused() {
    let mut bench = Bench::new();
    bench.outcome = nobody_here();
    bench.agent = says(Outcome::Failed(Error::new(ErrorKind::SecurityDomain)));
    assert_eq!(told(&bench.wait(USER, TIMEOUT)), "SecurityDomain");
    // Corrected meanwhile, and too late for this connection.
    bench.agent = says(found(2000));
    assert_eq!(told(&bench.wait(USER, TIMEOUT)), "SecurityDomain");
    assert_eq!(kind(&bench.poll(USER)), Some(ErrorKind::SecurityDomain));
}

#[test]
fn a_partner_elsewhere_that_is_not_accepted_yet_is_asked_for_until_it_is() {
    let mut bench = Bench::new();
    bench.outcome = nobody_here();
    bench.agent = says(Outcome::NotYetAccepted);
    bench.retrieval.begin_wait().unwrap();
    let deadline = Some(bench.now + TIMEOUT);
    bench.now = bench.step(USER, deadline).expect_err("not yet");
    bench.agent = says(found(2000));
    let answer = bench.step(USER, deadline).expect("accepted");
    assert_eq!(told(&answer), "Some(2000)");
    assert_eq!(bench.asked, 2, "the partner may have come here meanwhile");
}

#[test]
fn a_partner_elsewhere_that_nobody_accepts_is_asked_for_less_and_less_often() {
    let mut bench = Bench::new();
    bench.outcome = nobody_here();
    bench.agent = says(Outcome::NotYetAccepted);
    assert_eq!(told(&bench.wait(USER, TIMEOUT)), "NotYetAccepted");
    let longest = TIMEOUT.as_millis() / LONGEST_PAUSE.as_millis();
    let asked = u128::from(bench.agent_asked);
    assert!(asked <= longest + 10, "asked {asked} times");
}

#[test]
fn time_that_runs_out_while_the_agent_is_asked_again_ends_as_not_yet_accepted() {
    let mut bench = Bench::new();
    bench.outcome = nobody_here();
    bench.agent = says(Outcome::NotYetAccepted);
    bench.retrieval.begin_wait().unwrap();
    let deadline = bench.now + TIMEOUT;
    bench.now = bench.step(USER, Some(deadline)).expect_err("not yet");
    // Its next answer does not come in time.
    bench.agent = None;
    let until = bench.step(USER, Some(deadline)).expect_err("asked");
    assert!(until > bench.now);
    bench.now = deadline;
    let answer = bench.step(USER, Some(deadline)).expect("time ran out");
    assert_eq!(told(&answer), "NotYetAccepted");
}

#[test]
fn the_name_of_a_partner_on_another_image_is_the_one_that_was_told() {
    for (told, named) in [(Some("carol"), Some("carol")), (None, None)] {
        let mut bench = Bench::new();
        // What the accounts of this image call the number.
        bench.name = Name::Known(Some("mallory".into()));
        bench.outcome = nobody_here();
        let token = TokenState::Read(crate::token::tests::token_of(2000, 2000));
        let name = told.map(Into::into);
        let found = Found { uid: Some(2000), name, routing: Routing::SAME_CLUSTER, token };
        bench.agent = says(Outcome::Found(found));
        let found = bench.wait(BOTH, TIMEOUT).expect("an answer");
        assert_eq!(found.user.as_ref().and_then(UserId::name), named);
        assert_eq!(found.process_user.as_ref().map(UserId::uid), Some(2000));
        assert_eq!(found.process_user.as_ref().and_then(UserId::name), None);
        assert!(!found.name_late);
        assert_eq!(bench.named, 0, "no account of this image is looked up");
    }
}

#[test]
fn the_name_of_a_partner_on_this_image_is_looked_up_whatever_was_told() {
    let mut bench = Bench::new();
    bench.outcome = nobody_here();
    let name = Some("mallory".into());
    let token = TokenState::NotAskedFor;
    let found = Found { uid: Some(2000), name, routing: Routing::SAME_STACK, token };
    bench.agent = says(Outcome::Found(found));
    let found = bench.wait(USER, TIMEOUT).expect("an answer");
    assert_eq!(found.user.as_ref().and_then(UserId::name), Some("alice"));
    assert_eq!(bench.named, 1);
}
