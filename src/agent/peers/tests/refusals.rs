//! Whom nothing is told, and about what.

use super::raw::Raw;
use super::*;
use crate::protocol::Refused;

async fn refused(world: &World, asked: Question) -> Refused {
    let answered = world.link().ask(asked).await.unwrap();
    let Outcome::Refused(refused) = answered.answer.outcome else { panic!("{answered:?}") };
    refused
}

#[tokio::test]
async fn only_a_connection_between_the_two_is_told_of() {
    let world = World::new(Limits::standard()).await;
    let other = IpAddr::from([127, 0, 0, 2]);
    for asked in [
        Question { asker: (other, 10).into(), ..question(10) },
        Question { asked: (other, 5_432).into(), ..question(10) },
        Question {
            asker: "[::1]:10".parse().unwrap(),
            asked: "[::1]:5432".parse().unwrap(),
            ..question(10)
        },
    ] {
        let Refused::Failed(text) = refused(&world, asked).await else { panic!("a reason") };
        assert!(text.contains("only a connection between the two of us"), "{text}");
    }
    assert_eq!(world.events.count("question not-between-us"), 3);
    // As who it is, it is told.
    let local = Key { local: other, ..KEY };
    let link = Link::new(local, Arc::new(world.means()));
    let asked = Question { asker: (other, 10).into(), ..question(10) };
    assert_eq!(link.ask(asked).await.unwrap().answer.outcome, told(10));
}

#[tokio::test]
async fn a_question_of_another_domain_is_refused() {
    let world = World::new(Limits::standard()).await;
    for domain in [None, Some("TEST".to_owned()), Some("PROD ".to_owned())] {
        let asked = Question { domain, ..question(10) };
        assert_eq!(refused(&world, asked).await, Refused::SecurityDomain);
    }
    let asked = Question { domain: Some("pRoD".to_owned()), ..question(10) };
    assert!(world.link().ask(asked).await.is_ok(), "case is no difference");
}

#[tokio::test]
async fn a_certificate_of_another_domain_is_told_nothing() {
    let world = World::of(Limits::standard(), Some("PROD"), "test").await;
    assert_eq!(refused(&world, question(10)).await, Refused::SecurityDomain);
    assert_eq!(world.events.count("question security-domain"), 1);
}

#[tokio::test]
async fn without_a_domain_of_our_own_nothing_is_told_and_nothing_asked() {
    let world = World::of(Limits::standard(), None, "prod").await;
    let mut raw = Raw::connect(&world).await;
    let mut out = Vec::new();
    question(10).put(1, LONG, &mut out);
    raw.write(&out).await;
    let _hello = raw.message().await.unwrap();
    let answer = raw.answer().await.unwrap();
    assert_eq!(answer.outcome, Outcome::Refused(Refused::SecurityDomain));

    let error = world.link().ask(question(10)).await.unwrap_err();
    assert_eq!(error, AskError::SecurityDomain, "its Hello has none");
    let means = Means { introduce: introduce(None), ..world.means() };
    let error = Link::new(KEY, Arc::new(means)).ask(question(10)).await.unwrap_err();
    assert_eq!(error, AskError::SecurityDomain, "we have none");
}

#[tokio::test]
async fn who_is_not_trusted_is_not_asked() {
    let world = World::new(Limits::standard()).await;
    for (domain, host) in [("test", "answerer"), ("prod", "nobody")] {
        let means = Means { trust: trust(&world.tls, domain, host), ..world.means() };
        let error = Link::new(KEY, Arc::new(means)).ask(question(10)).await.unwrap_err();
        match host {
            "nobody" => assert!(matches!(error, AskError::Untrusted(_)), "{error:?}"),
            _ => assert_eq!(error, AskError::SecurityDomain),
        }
    }
    // Another authority's certificates, on either side.
    let strangers = certificates::domain();
    let mixed = |client: &Configurations, server: &Configurations| Configurations {
        client: Arc::clone(&client.client),
        server: Arc::clone(&server.server),
    };
    let tls = mixed(&strangers, &world.tls);
    let means = Means { trust: trust(&tls, "prod", "answerer"), ..world.means() };
    let error = Link::new(KEY, Arc::new(means)).ask(question(10)).await.unwrap_err();
    assert!(matches!(error, AskError::Untrusted(_)), "{error:?}");
    world.events.wait_for("failed tls").await;
}
