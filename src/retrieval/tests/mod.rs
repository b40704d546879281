//! The tables of the contract, row by row, with a hand-moved clock.

mod agent;
mod names;

use super::fuzzing::found;
use super::*;
use crate::info::Routing;
use crate::token::UserToken;

const USER: PartnerRequest = PartnerRequest::USER_ID;
const PATIENCE: Duration = Duration::from_secs(1);

/// One connection, one stand-in for the resolvers and the name service, one clock.
struct Bench {
    retrieval: Retrieval,
    now: Instant,
    outcome: Outcome,
    name: Name,
    asked: u32,
    /// How often a name was asked for.
    named: u32,
    /// What reading the processes comes to; pending where there is none.
    token: Option<UserToken>,
    read: u32,
    /// What the agent comes to next; pending where there is nothing.
    agent: Option<AgentSays>,
    agent_asked: u32,
}

impl Bench {
    fn new() -> Self {
        Self {
            retrieval: Retrieval::default(),
            now: Instant::now(),
            outcome: found(1000),
            name: Name::Known(Some("alice".into())),
            asked: 0,
            named: 0,
            token: None,
            read: 0,
            agent: None,
            agent_asked: 0,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn carry_out(&mut self, step: &Step) -> bool {
        match step {
            Step::Retrieve(_) => {
                self.asked += 1;
                self.retrieval.handle_outcome(self.outcome.clone(), PATIENCE, self.now);
                true
            }
            Step::Name(_) => {
                self.named += 1;
                self.retrieval.handle_name(self.name.clone(), self.now);
                true
            }
            Step::Read(holding) => {
                self.read += 1;
                let read = match self.token.take() {
                    Some(token) => TokenRead::Read(token),
                    None => TokenRead::Pending,
                };
                assert_eq!(*holding, HOLDING);
                self.retrieval.handle_token(read, PATIENCE, self.now);
                true
            }
            Step::Ask(_) => {
                self.agent_asked += 1;
                let says = self.agent.take().unwrap_or(AgentSays::Pending);
                self.retrieval.handle_agent(says, PATIENCE, self.now);
                true
            }
            Step::Answer(_) | Step::Wait(_) => false,
        }
    }

    fn drive(&mut self) {
        while let Some(step) = self.retrieval.step_under_way(self.now) {
            if !self.carry_out(&step) {
                break;
            }
        }
    }

    /// A get with timeout zero, as the driver does it.
    fn poll(&mut self, request: PartnerRequest) -> Result<Credentials, Error> {
        match self.retrieval.begin_poll(request) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => {
                self.drive();
                Err(Error::new(ErrorKind::InProgress))
            }
            Err(error) if error.kind() == ErrorKind::InProgress => {
                self.drive();
                self.retrieval.end_poll(request)
            }
            Err(error) => Err(error),
        }
    }

    /// One poll of a waiting get: its answer, or the instant it waits for.
    fn step(
        &mut self,
        request: PartnerRequest,
        deadline: Option<Instant>,
    ) -> Result<Result<Credentials, Error>, Instant> {
        for _ in 0..100 {
            let step = self.retrieval.step_wait(request, deadline, self.now);
            if self.carry_out(&step) {
                continue;
            }
            match step {
                Step::Answer(answer) => return Ok(answer),
                Step::Wait(until) => return Err(until.expect("a wait for an instant")),
                Step::Retrieve(_) | Step::Ask(_) | Step::Read(_) | Step::Name(_) => {}
            }
        }
        panic!("a get must answer or wait");
    }

    /// A get that waits to its end; the clock jumps to each instant it waits for.
    fn wait(&mut self, request: PartnerRequest, timeout: Duration) -> Result<Credentials, Error> {
        if let Some(answer) = self.retrieval.settled(request) {
            return answer;
        }
        self.retrieval.begin_wait()?;
        let deadline = self.now + timeout;
        let answer = loop {
            match self.step(request, Some(deadline)) {
                Ok(answer) => break answer,
                Err(until) => {
                    assert!(until > self.now, "waiting for the past spins");
                    assert!(until <= deadline, "waits are bounded by the timeout");
                    self.now = until;
                }
            }
        };
        self.retrieval.end_wait();
        answer
    }
}

fn kind<T>(result: &Result<T, Error>) -> Option<ErrorKind> {
    result.as_ref().err().map(Error::kind)
}

fn uid(result: Result<Credentials, Error>) -> u32 {
    result.expect("an answer").user.as_ref().expect("a user").uid()
}

/// The states of semantics.md.
#[derive(Clone, Copy, Debug)]
enum State {
    NothingSet,
    SetNotBegun,
    UnderWay,
    Saved,
    DomainRefused,
}

fn in_state(state: State) -> Bench {
    let mut bench = Bench::new();
    match state {
        State::NothingSet => {}
        State::SetNotBegun => bench.retrieval.handle_set(USER),
        State::UnderWay => {
            bench.retrieval.handle_set(USER);
            bench.outcome = Outcome::NotYetAccepted;
            assert_eq!(kind(&bench.poll(USER)), Some(ErrorKind::InProgress));
            assert_eq!(bench.asked, 1);
        }
        State::Saved => {
            bench.wait(USER, PATIENCE).expect("saved");
        }
        State::DomainRefused => {
            bench.outcome = Outcome::Failed(Error::new(ErrorKind::SecurityDomain));
            let refused = bench.wait(USER, PATIENCE);
            assert_eq!(kind(&refused), Some(ErrorKind::SecurityDomain));
            // A corrected domain needs a new connection.
            bench.outcome = found(1000);
        }
    }
    bench
}

#[test]
fn states_with_timeout_zero() {
    let table = [
        (State::NothingSet, Some(ErrorKind::NotRequested), 0),
        (State::SetNotBegun, Some(ErrorKind::InProgress), 1),
        (State::UnderWay, Some(ErrorKind::InProgress), 1),
        (State::Saved, None, 1),
        (State::DomainRefused, Some(ErrorKind::SecurityDomain), 1),
    ];
    for (state, expected, asked) in table {
        let mut bench = in_state(state);
        assert_eq!(kind(&bench.poll(USER)), expected, "{state:?}");
        assert_eq!(bench.asked, asked, "retrievals in {state:?}");
    }
}

#[test]
fn states_with_a_timeout() {
    let table = [
        (State::NothingSet, None, 1),
        (State::SetNotBegun, None, 1),
        (State::UnderWay, None, 2),
        (State::Saved, None, 1),
        (State::DomainRefused, Some(ErrorKind::SecurityDomain), 1),
    ];
    for (state, expected, asked) in table {
        let mut bench = in_state(state);
        bench.outcome = found(1000);
        let answer = bench.wait(USER, PATIENCE);
        assert_eq!(kind(&answer), expected, "{state:?}");
        assert_eq!(bench.asked, asked, "retrievals in {state:?}");
        if expected.is_none() {
            assert_eq!(uid(answer), 1000, "{state:?}");
        }
    }
}

#[test]
fn nothing_set_starts_nothing() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        assert_eq!(kind(&bench.poll(USER)), Some(ErrorKind::NotRequested));
        bench.pass(PATIENCE);
    }
    assert_eq!(bench.asked, 0);
}

#[test]
fn a_second_get_while_one_waits_is_already_in_progress() {
    let mut bench = Bench::new();
    bench.outcome = Outcome::NotYetAccepted;
    bench.retrieval.begin_wait().expect("the first get");
    bench.step(USER, None).expect_err("waits");
    let already = Some(ErrorKind::AlreadyInProgress);
    assert_eq!(kind(&bench.retrieval.begin_wait()), already);
    assert_eq!(kind(&bench.poll(USER)), already);
    // The refused ones left no trace.
    bench.retrieval.end_wait();
    bench.outcome = found(1000);
    bench.pass(LONGEST_PAUSE);
    assert_eq!(uid(bench.wait(USER, PATIENCE)), 1000);
}

#[test]
fn saved_credentials_are_given_while_another_get_waits_for_more() {
    let mut bench = in_state(State::Saved);
    bench.outcome = Outcome::NotYetAccepted;
    let all = PartnerRequest::all();
    bench.retrieval.begin_wait().expect("the first get");
    bench.step(all, None).expect_err("waits");
    assert_eq!(uid(bench.poll(USER)), 1000);
    assert_eq!(uid(bench.wait(USER, PATIENCE)), 1000);
    // That one has ended, and the first still waits.
    assert_eq!(kind(&bench.poll(all)), Some(ErrorKind::AlreadyInProgress));
    assert_eq!(kind(&bench.retrieval.begin_wait()), Some(ErrorKind::AlreadyInProgress));
}

#[test]
fn h11_out_of_time_on_an_unaccepted_partner_and_found_later() {
    let mut bench = Bench::new();
    bench.outcome = Outcome::NotYetAccepted;
    let began = bench.now;
    let answer = bench.wait(USER, Duration::from_millis(500));
    let error = answer.expect_err("nobody accepts");
    assert_eq!(error.kind(), ErrorKind::Unidentified);
    assert_eq!(error.reason(), Some(Reason::NotYetAccepted));
    assert_eq!(bench.now - began, Duration::from_millis(500));
    assert!(bench.asked < 30, "{} questions in half a second", bench.asked);
    // The retrieval goes on: a later get without waiting may find it done.
    bench.outcome = found(1001);
    bench.pass(LONGEST_PAUSE);
    assert_eq!(uid(bench.poll(USER)), 1001);
}

#[test]
fn a_retrieval_that_says_nothing_in_time_is_timed_out() {
    let mut bench = Bench::new();
    bench.retrieval.begin_wait().expect("the only get");
    // The resolver was handed the question and has not come back.
    let step = bench.retrieval.step_wait(USER, Some(bench.now + PATIENCE), bench.now);
    assert!(matches!(step, Step::Retrieve(_)));
    bench.pass(PATIENCE);
    let Phase::UnderWay(under_way) = &mut bench.retrieval.phase else { panic!("under way") };
    under_way.next = Some(bench.now + PATIENCE);
    let step = bench.retrieval.step_wait(USER, Some(bench.now), bench.now);
    let Step::Answer(Err(error)) = step else { panic!("{step:?}") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    bench.retrieval.end_wait();
    bench.pass(PATIENCE);
    assert_eq!(uid(bench.poll(USER)), 1000);
}

#[test]
fn a_dropped_get_leaves_nothing_that_makes_the_next_fail() {
    let mut bench = Bench::new();
    bench.outcome = Outcome::NotYetAccepted;
    for _ in 0..3 {
        bench.retrieval.begin_wait().expect("the one before was dropped");
        bench.step(USER, None).expect_err("waits");
        bench.retrieval.end_wait();
    }
    bench.outcome = found(1000);
    bench.pass(LONGEST_PAUSE);
    assert_eq!(uid(bench.wait(USER, PATIENCE)), 1000);
}

#[test]
fn a_failure_is_told_once_and_then_asked_anew() {
    let gone = || Outcome::Failed(Error::unidentified(Reason::PartnerGone));
    let mut bench = in_state(State::SetNotBegun);
    bench.outcome = gone();
    let expected = [
        Some(ErrorKind::InProgress),
        Some(ErrorKind::Unidentified),
        Some(ErrorKind::InProgress),
        Some(ErrorKind::Unidentified),
    ];
    for kinds in expected {
        assert_eq!(kind(&bench.poll(USER)), kinds);
    }
    assert_eq!(bench.asked, 2);
    // A get that waits asks for itself, and does not repeat old news.
    assert_eq!(kind(&bench.poll(USER)), Some(ErrorKind::InProgress));
    bench.outcome = found(1000);
    assert_eq!(uid(bench.wait(USER, PATIENCE)), 1000);
}

#[test]
fn a_request_for_more_than_is_saved_retrieves_all_of_it_at_one_moment() {
    let mut bench = Bench::new();
    let routing = Outcome::Found(Found {
        uid: None,
        name: None,
        routing: Routing::SAME_STACK,
        token: TokenState::NotAskedFor,
    });
    bench.outcome = routing;
    let answer = bench.wait(PartnerRequest::empty(), PATIENCE).expect("routing alone");
    assert_eq!((answer.routing, answer.user.is_none()), (Routing::SAME_STACK, true));
    bench.outcome = found(1000);
    bench.retrieval.begin_wait().unwrap();
    let step = bench.retrieval.step_wait(USER, None, bench.now);
    assert!(matches!(step, Step::Retrieve(what) if what == USER), "{step:?}");
    bench.retrieval.end_wait();
    assert_eq!(uid(bench.wait(USER, PATIENCE)), 1000);
    let asked = bench.asked;
    bench.poll(PartnerRequest::empty()).expect("saved");
    assert_eq!(bench.asked, asked);
}

const HOLDING: Holding = Holding { uid: 1000, inode: 4711, cgroup: None };

fn token(process_user: u32) -> UserToken {
    crate::token::tests::token_of(1000, process_user)
}

fn found_to_read() -> Outcome {
    Outcome::Found(Found {
        uid: Some(1000),
        name: None,
        routing: Routing::SAME_STACK,
        token: TokenState::ToRead(HOLDING),
    })
}

#[test]
fn a_token_is_read_once_and_brings_the_process_user() {
    let mut bench = Bench::new();
    bench.outcome = found_to_read();
    let all = PartnerRequest::all();
    bench.retrieval.begin_wait().unwrap();
    bench.step(all, Some(bench.now + PATIENCE)).expect_err("it is being read");
    bench.token = Some(token(1001));
    bench.retrieval.handle_wake();
    let found = bench.step(all, Some(bench.now + PATIENCE)).expect("woken").expect("read");
    bench.retrieval.end_wait();
    assert_eq!(found.user.as_ref().map(UserId::uid), Some(1000));
    assert_eq!(found.process_user.as_ref().map(UserId::uid), Some(1001), "never merged");
    assert_eq!(found.token.as_ref().and_then(|token| token.flags().undefined_user()), Some(false));
    assert_eq!((bench.asked, bench.read), (1, 2));
    bench.poll(all).expect("saved");
    assert_eq!((bench.asked, bench.read), (1, 2));
}

#[test]
fn a_token_that_is_not_read_in_time_is_timed_out_and_found_later() {
    let mut bench = Bench::new();
    bench.outcome = found_to_read();
    let all = PartnerRequest::all();
    let began = bench.now;
    let error = bench.wait(all, PATIENCE).expect_err("never read");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(bench.now - began, PATIENCE);
    assert!(bench.read < 40, "{} looks in a second", bench.read);
    bench.token = Some(token(1000));
    bench.pass(LONGEST_PAUSE);
    bench.poll(all).expect("read meanwhile");
    assert_eq!(bench.asked, 1);
}

#[test]
fn h30_undefined_user_is_said_of_a_known_absence_alone() {
    let undefined = |name: Name| {
        let mut bench = Bench::new();
        bench.outcome = found_to_read();
        bench.name = name;
        bench.token = Some(token(1000));
        let found = bench.wait(PartnerRequest::UTOKEN, PATIENCE * 2).expect("read");
        found.token.expect("asked for").flags().undefined_user()
    };
    assert_eq!(undefined(Name::Known(Some("alice".into()))), Some(false));
    assert_eq!(undefined(Name::Known(None)), Some(true));
    assert_eq!(undefined(Name::Pending), None);
    assert_eq!(undefined(Name::Unavailable), None);
    assert_eq!(undefined(Name::NotWanted), None);
}

#[test]
fn a_prefetch_is_found_done() {
    let mut bench = in_state(State::SetNotBegun);
    bench.retrieval.begin_prefetch();
    bench.drive();
    assert_eq!(uid(bench.poll(USER)), 1000);
    // Nothing was set, or all is there: it starts nothing.
    let mut bench = Bench::new();
    bench.retrieval.begin_prefetch();
    bench.drive();
    assert_eq!((bench.asked, kind(&bench.poll(USER))), (0, Some(ErrorKind::NotRequested)));
    let mut bench = in_state(State::Saved);
    bench.retrieval.handle_set(USER);
    bench.retrieval.begin_prefetch();
    bench.drive();
    assert_eq!(bench.asked, 1);
}

#[test]
fn without_a_deadline_it_waits_on() {
    let mut bench = Bench::new();
    bench.outcome = Outcome::NotYetAccepted;
    bench.retrieval.begin_wait().unwrap();
    for _ in 0..1_000 {
        let until = bench.step(USER, None).expect_err("waits");
        assert!(until > bench.now && until <= bench.now + LONGEST_PAUSE);
        bench.now = until;
    }
}

proptest::proptest! {
    /// Whatever comes in whatever order: no state is stuck, no answer is made up.
    #[test]
    fn random_operations_keep_the_contract(operations in proptest::collection::vec(0_u8..9, 1..60)) {
        let mut bench = Bench::new();
        let mut truth: Option<u32> = None;
        let mut waiting = false;
        for operation in operations {
            match operation {
                0 => bench.outcome = found(1000),
                1 => bench.outcome = Outcome::NotYetAccepted,
                2 => bench.outcome = Outcome::Failed(Error::unidentified(Reason::PartnerGone)),
                3 => bench.retrieval.handle_set(USER),
                4 => bench.pass(LONGEST_PAUSE),
                5 => {
                    if let Ok(answer) = bench.poll(USER) {
                        truth.get_or_insert(uid(Ok(answer)));
                    }
                }
                6 if !waiting => waiting = bench.retrieval.begin_wait().is_ok(),
                7 if waiting => {
                    if let Ok(answer) = bench.step(USER, Some(bench.now)) {
                        if let Ok(answer) = answer {
                            truth.get_or_insert(uid(Ok(answer)));
                        }
                        bench.retrieval.end_wait();
                        waiting = false;
                    }
                }
                8 if waiting => {
                    bench.retrieval.end_wait();
                    waiting = false;
                }
                _ => {}
            }
        }
        if waiting {
            bench.retrieval.end_wait();
        }
        proptest::prop_assert!(truth.is_none_or(|uid| uid == 1000));
        bench.outcome = found(1000);
        bench.pass(LONGEST_PAUSE);
        proptest::prop_assert_eq!(uid(bench.wait(USER, PATIENCE)), 1000);
    }
}

#[test]
fn an_early_outcome_that_tells_less_than_was_saved_meanwhile_is_of_no_use() {
    let mut bench = Bench::new();
    let (user, token_alone) = (PartnerRequest::USER_ID, PartnerRequest::UTOKEN);
    // Another get was answered while the resolvers were asked for the token alone.
    bench.retrieval = Retrieval::with_saved(Credentials {
        covers: user,
        user: Some(UserId::new(1000, None)),
        process_user: None,
        token: None,
        name_late: false,
        routing: Routing::SAME_STACK,
    });
    bench.outcome = found_to_read();
    bench.token = Some(token(1000));
    bench.retrieval.begin_wait().unwrap();
    let read = TokenState::Read(token(1000));
    let early = Found { uid: None, name: None, routing: Routing::SAME_STACK, token: read };
    let early = Outcome::Found(early);
    bench.retrieval.handle_first_outcome(token_alone, early, PATIENCE, bench.now);
    let found = bench.step(token_alone, None).expect("read").expect("found");
    assert_eq!(found.covers, PartnerRequest::all());
    assert_eq!(found.user.map(|user| user.uid()), Some(1000), "what it covers is there");
}

#[test]
fn a_token_that_a_shortage_spoiled_is_an_error_that_is_told_once() {
    let short = || TokenRead::Failed(Error::io("read", libc::EMFILE));
    let mut retrieval = Retrieval::default();
    retrieval.handle_set(PartnerRequest::all());
    let now = Instant::now();
    assert!(retrieval.begin_poll(PartnerRequest::all()).unwrap().is_none());
    let token = TokenState::ToRead(HOLDING);
    let found = Found { uid: Some(1000), name: None, routing: Routing::SAME_STACK, token };
    retrieval.handle_outcome(Outcome::Found(found), PATIENCE, now);
    retrieval.handle_token(short(), PATIENCE, now);
    let error = retrieval.end_poll(PartnerRequest::all()).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Io, Some(libc::EMFILE)));
    assert!(retrieval.saved().is_none(), "nothing of it is kept");
    // And the next get starts anew.
    assert!(retrieval.begin_poll(PartnerRequest::all()).unwrap().is_none());
}
