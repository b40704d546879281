//! What is recorded of each question.

use serde_json::{Value, json};

use super::super::puppet::{Puppet, connected};
use super::super::support::{connect, eventually, loopbacks};
use super::daemon::{ONE, Partnerd, gap};
use super::places::{addresses, neighbour, two_stacks};
use super::speaker::Speaker;

crate::harness::tests![
    a_disclosure_is_recorded_with_who_was_told_what_and_why,
    a_refusal_is_recorded_with_the_rule_that_decided,
    what_is_no_question_is_recorded,
    a_renamed_audit_file_is_made_anew_on_request,
];

/// The records, once there are so many.
fn records(agent: &Partnerd, count: usize) -> Vec<Value> {
    eventually("all is recorded", || agent.audit().lines().count() >= count);
    let records = agent.audit();
    assert_eq!(records.lines().count(), count, "{records}");
    records.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn caller(puppet: &Puppet, uid: u32) -> Value {
    json!({"uid": uid, "gid": uid, "pid": puppet.pid()})
}

fn a_disclosure_is_recorded_with_who_was_told_what_and_why() {
    let (_there, agent, server, client) = two_stacks(ONE);
    let [at, _] = addresses(1, 1, 8080);
    let (near, far) = connected(&server, &client, at);
    assert_eq!(far.must("anew user 5000"), "user 1001");
    far.must("anew token 5000");
    far.must("anew routing 5000");
    let records = records(&agent, 3);
    let rule = format!(
        "permit uid 1000 READ in profile EZB.IOCTL.*.*.PARTNERINFO ({}:8)",
        agent.file("policy.toml").display()
    );
    for record in &records {
        assert_eq!(record["version"], 1);
        assert_eq!(record["event"], "disclosure");
        assert_eq!(record["caller"], caller(&server, 1000));
        assert_eq!(record["connection"]["local"], at.to_string());
        assert_eq!(record["connection"]["remote"], near.local().to_string());
        assert!(record["connection"]["cookie"].as_u64().unwrap() > 0);
        assert!(record["connection"]["namespace"].as_u64().unwrap() > 0);
        assert_eq!(record["refused"], Value::Null);
        assert!(record["time"].as_str().unwrap().ends_with('Z'));
    }
    let [user, token, routing] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&user["asked"], &user["rule"]), (&json!(["user-id"]), &json!(rule)));
    let told = json!({"user": 1001, "routing": 14, "holders": null, "holders_gap": null});
    assert_eq!(user["told"], told);
    assert_eq!((&token["asked"], &token["rule"]), (&json!(["user-id", "utoken"]), &json!(rule)));
    assert_eq!(token["told"]["user"], 1001);
    let holder = &token["told"]["holders"][0];
    assert_eq!((&holder["pid"], &holder["process_user"]), (&json!(client.pid()), &json!(1001)));
    assert!(holder["command"].is_string());
    let holders_gap = if gap() == "-" { Value::Null } else { json!(gap()) };
    assert_eq!(token["told"]["holders_gap"], holders_gap);
    assert_eq!((&routing["asked"], &routing["rule"]), (&json!([]), &Value::Null));
    let told = json!({"user": null, "routing": 14, "holders": null, "holders_gap": null});
    assert_eq!(routing["told"], told);
}

fn a_refusal_is_recorded_with_the_rule_that_decided() {
    let there = neighbour(1);
    let agent = Partnerd::start(ONE);
    let server = agent.puppet(1002);
    let allowed = agent.puppet(1000);
    let client = there.run(|| agent.puppet(1001));
    let [at, _] = addresses(1, 1, 8080);
    let (near, far) = connected(&server, &client, at);
    assert_eq!(far.must("anew user 5000"), "NotAuthorized");
    let other = allowed.listen(addresses(1, 1, 8081)[0]);
    let gone = client.connect(addresses(1, 1, 8081)[0]);
    let of_gone = other.accept();
    gone.close();
    of_gone.must("wait-for-end");
    let said = of_gone.must("anew user 5000");
    let records = records(&agent, 2);
    let [refused, unknown] = &records[..] else { panic!("{records:?}") };
    assert_eq!(refused["event"], "refusal");
    assert_eq!(refused["caller"], caller(&server, 1002));
    assert_eq!(refused["connection"]["remote"], near.local().to_string());
    assert_eq!(refused["told"], Value::Null);
    assert_eq!(refused["refused"]["kind"], "not-authorized");
    let rule = format!(
        "universal access NONE of profile EZB.IOCTL.*.*.PARTNERINFO ({}:6)",
        agent.file("policy.toml").display()
    );
    assert_eq!(refused["rule"], rule);
    assert!(refused["refused"]["text"].as_str().unwrap().contains("uid 1002 "));
    // Nobody is named there either.
    assert_eq!(unknown["event"], "refusal");
    assert_eq!(unknown["caller"], caller(&allowed, 1000));
    assert_eq!(unknown["refused"]["kind"], "unidentified");
    let reason = unknown["refused"]["reason"].as_str().unwrap().replace('-', "");
    assert_eq!(reason, said.to_ascii_lowercase());
    assert_eq!(unknown["told"], Value::Null);
}

fn what_is_no_question_is_recorded() {
    let agent = Partnerd::start(ONE);
    let speaker = Speaker::new(&agent.socket());
    speaker.ask(&[0xff; 8], &[]);
    let records = records(&agent, 1);
    let record = &records[0];
    assert_eq!(record["event"], "refusal");
    assert_eq!(record["caller"], json!({"uid": 0, "gid": 0, "pid": std::process::id()}));
    assert_eq!((&record["connection"], &record["asked"]), (&Value::Null, &Value::Null));
    assert_eq!(record["refused"]["kind"], "malformed");
}

/// As logrotate(8) does it.
fn a_renamed_audit_file_is_made_anew_on_request() {
    let agent = Partnerd::start(ONE);
    let speaker = Speaker::new(&agent.socket());
    let [at, _] = loopbacks(8080);
    let listener = super::super::support::listen(at);
    let _client = connect(at);
    let server = super::super::support::accept(&listener);
    assert_eq!(speaker.ask_about(1, &server).what, "user 0");
    records(&agent, 1);
    std::fs::rename(agent.file("audit.jsonl"), agent.file("audit.1")).unwrap();
    assert_eq!(speaker.ask_about(2, &server).what, "user 0");
    let old = || std::fs::read_to_string(agent.file("audit.1")).unwrap();
    eventually("it goes on in the old one", || old().lines().count() == 2);
    agent.signal("HUP");
    eventually("there is a new one", || agent.file("audit.jsonl").exists());
    assert_eq!(speaker.ask_about(3, &server).what, "user 0");
    records(&agent, 1);
    assert_eq!(old().lines().count(), 2);
}
