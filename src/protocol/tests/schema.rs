//! `proto/partnerd.proto` and what is sent agree.

use std::collections::BTreeSet;
use std::fmt::Debug;

use protox::prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};

use super::*;
use crate::protocol::wire;

const PACKAGE: &str = "partner_info.partnerd.v1";

fn pool() -> DescriptorPool {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let files = protox::compile(["partnerd.proto"], [folder]).expect("the file is protobuf");
    DescriptorPool::from_file_descriptor_set(files).expect("its descriptors are valid")
}

/// The message as somebody reads it who has the file alone.
fn read(pool: &DescriptorPool, name: &str, bytes: &[u8]) -> DynamicMessage {
    let message = pool.get_message_by_name(&format!("{PACKAGE}.{name}")).unwrap();
    DynamicMessage::decode(message, bytes).unwrap()
}

/// Collects the fields that are set, and finds none that the file does not have.
fn fields(message: &DynamicMessage, seen: &mut BTreeSet<String>) {
    let name = message.descriptor();
    assert_eq!(message.unknown_fields().count(), 0, "{}", name.full_name());
    for (field, value) in message.fields() {
        seen.insert(field.full_name().to_owned());
        let list = value.as_list().into_iter().flatten();
        for inner in list.chain([value]).filter_map(Value::as_message) {
            fields(inner, seen);
        }
    }
}

#[test]
fn a_question_by_the_file() {
    let message = read(&pool(), "Question", &question().encode());
    assert_eq!(
        message.to_text_format(),
        "version:1,number:7,request:3,search:HOLDER_SEARCH_FIRST,timeout_milliseconds:1500,\
         domain{name:\"PROD.EXAMPLE\"}"
    );
}

#[test]
fn a_token_by_the_file() {
    let message = read(&pool(), "Answer", &told(recorded::full_token()).encode());
    assert_eq!(
        message.to_text_format(),
        "version:1,number:7,cookie:4097,told{user:1000,routing:14,token{user:1000,holders:[{\
         pid:4711,start_ticks:91229,started_seconds:1700000000,pidfs_inode:7,descriptor:3,\
         process_user:1000,process_group:1000,real_user:1000,real_group:1000,submitting_user:1000,\
         session_id:3,security_label:\"unconfined\",\
         session_type:SESSION_TYPE_INTERACTIVE_TERMINAL,\
         port_of_entry{class:PORT_CLASS_TERMINAL,name:\"pts/1\"},same_user_namespace:true,\
         supplementary_groups{groups:[27]},effective_capabilities:0,\
         cgroup:\"/user.slice/user-1000.slice/session-3.scope\",systemd_unit:\"session-3.scope\",\
         container_id:\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\
         executable:\"/usr/bin/curl\",executable_deleted:false,command:\"curl\"}],\
         completeness:COMPLETENESS_COMPLETE,\
         node{host_name:\"db1\",machine_id:\"3d1219c7c4c5404aaa1f6d2a48adfda4\",\
         boot_id:\"0e8cb1b4-4d1c-4a3e-8f3a-1f6a7f1f0f5e\"},remote:false}}"
    );
}

#[test]
fn no_field_is_in_one_of_them_alone() {
    let pool = pool();
    let mut seen = BTreeSet::new();
    fields(&read(&pool, "Question", &question().encode()), &mut seen);
    let afar = Told {
        user: Uid::new(1_000),
        name: Some("alice".to_owned()),
        routing: Routing::SAME_CLUSTER,
        token: None,
    };
    for answer in [
        Answer { number: 7, cookie: None, outcome: Outcome::Told(afar) },
        told(recorded::full_token()),
        refusal(Refused::NotAuthorized("no".to_owned())),
        refusal(Refused::Unidentified(Reason::PartnerGone)),
        Answer { number: 7, cookie: None, outcome: Outcome::NotYetAccepted },
    ] {
        fields(&read(&pool, "Answer", &answer.encode()), &mut seen);
    }
    let mut described = BTreeSet::new();
    for field in pool.all_messages().flat_map(|it| it.fields().collect::<Vec<_>>()) {
        let name = field.full_name().to_owned();
        assert!(field.is_list() || field.supports_presence(), "{name}: unknown would be zero");
        described.insert(name);
    }
    assert_eq!(seen, described);
}

/// The enumeration has the same numbers and names in both.
fn same_names<W: TryFrom<i32> + Debug>(name: &str) {
    let described = pool().get_enum_by_name(&format!("{PACKAGE}.{name}")).unwrap();
    for number in -1..100 {
        let here = W::try_from(number).ok().map(|it| screaming(&format!("{name}{it:?}")));
        let there = described.get_value(number).map(|it| it.name().to_owned());
        assert_eq!(here, there, "{name} {number}");
    }
}

/// `OverflowUid` as `OVERFLOW_UID`.
fn screaming(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(letter.to_ascii_uppercase());
    }
    words
}

#[test]
fn enumerations_by_the_file() {
    same_names::<wire::HolderSearch>("HolderSearch");
    same_names::<wire::Refusal>("Refusal");
    same_names::<wire::Reason>("Reason");
    same_names::<wire::Completeness>("Completeness");
    same_names::<wire::SessionType>("SessionType");
    same_names::<wire::PortClass>("PortClass");
    assert_eq!(pool().all_enums().count(), 6);
}
