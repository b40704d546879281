//! Names that come late, or are not wanted.

use super::*;

#[test]
fn h29_a_late_name_is_absent_and_the_number_is_answered() {
    let mut bench = Bench::new();
    bench.name = Name::Pending;
    let began = bench.now;
    let answer = bench.wait(USER, Duration::from_millis(300)).expect("the number is known");
    assert_eq!(bench.now - began, Duration::from_millis(300));
    let user = answer.user.as_ref().expect("a user");
    assert_eq!((user.uid(), user.name()), (1000, None));
    // With more time than patience, patience ends it.
    let mut bench = Bench::new();
    bench.name = Name::Pending;
    let began = bench.now;
    bench.wait(USER, PATIENCE * 10).expect("the number is known");
    assert_eq!(bench.now - began, PATIENCE);
    // It may still come, for the next get.
    assert_eq!(bench.retrieval.late_names(), Some([Some(1000), None]));
    bench.retrieval.handle_late_names([Some("alice".into()), None]);
    assert_eq!(bench.retrieval.late_names(), None);
    assert_eq!(bench.poll(USER).expect("saved").user.as_ref().unwrap().name(), Some("alice"));
    assert_eq!(bench.asked, 1, "a name costs no retrieval");
}

#[test]
fn h29_without_waiting_a_late_name_ends_with_patience() {
    let mut bench = in_state(State::SetNotBegun);
    bench.name = Name::Pending;
    for _ in 0..3 {
        assert_eq!(kind(&bench.poll(USER)), Some(ErrorKind::InProgress));
    }
    bench.pass(PATIENCE);
    assert_eq!(uid(bench.poll(USER)), 1000);
    let mut bench = in_state(State::SetNotBegun);
    bench.name = Name::Unavailable;
    assert_eq!(kind(&bench.poll(USER)), Some(ErrorKind::InProgress));
    assert_eq!(uid(bench.poll(USER)), 1000);
}

#[test]
fn h29_where_no_name_is_wanted_none_is_waited_for() {
    let mut bench = Bench::new();
    bench.name = Name::NotWanted;
    let began = bench.now;
    let answer = bench.wait(USER, PATIENCE).expect("the number is known");
    let user = answer.user.as_ref().expect("a user");
    assert_eq!((user.uid(), user.name()), (1000, None));
    assert_eq!(bench.now, began);
    // It is no late name either, which each later get would ask for again.
    assert!(!answer.name_late);
    assert_eq!(bench.retrieval.late_names(), None);
    let mut bench = in_state(State::SetNotBegun);
    bench.name = Name::NotWanted;
    assert_eq!(kind(&bench.poll(USER)), Some(ErrorKind::InProgress));
    assert_eq!(uid(bench.poll(USER)), 1000);
}
