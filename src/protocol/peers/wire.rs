//! The messages of `proto/peers.proto`, field by field, written by hand as those of
//! `proto/partnerd.proto` are. What the fields mean is written there.

use super::super::wire::{Refused, Token};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Hello {
    #[prost(uint32, optional, tag = "1")]
    pub(super) version: Option<u32>,
    #[prost(string, optional, tag = "2")]
    pub(super) domain: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) host: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Question {
    #[prost(uint64, optional, tag = "1")]
    pub(super) number: Option<u64>,
    #[prost(message, optional, tag = "2")]
    pub(super) asked: Option<Endpoint>,
    #[prost(message, optional, tag = "3")]
    pub(super) asker: Option<Endpoint>,
    #[prost(uint32, optional, tag = "4")]
    pub(super) request: Option<u32>,
    #[prost(enumeration = "super::super::wire::HolderSearch", optional, tag = "5")]
    pub(super) search: Option<i32>,
    #[prost(uint64, optional, tag = "6")]
    pub(super) timeout_milliseconds: Option<u64>,
    #[prost(string, optional, tag = "7")]
    pub(super) domain: Option<String>,
    #[prost(message, optional, tag = "8")]
    pub(super) end: Option<End>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Endpoint {
    #[prost(fixed32, optional, tag = "1")]
    pub(super) ipv4: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) ipv6: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) port: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct End {
    #[prost(fixed32, optional, tag = "1")]
    pub(super) received_next: Option<u32>,
    #[prost(fixed32, optional, tag = "2")]
    pub(super) sent_next: Option<u32>,
    #[prost(fixed32, optional, tag = "3")]
    pub(super) unacknowledged: Option<u32>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) bytes_received: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) bytes_acknowledged: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(uint64, optional, tag = "1")]
    pub(super) number: Option<u64>,
    #[prost(oneof = "Outcome", tags = "2, 3, 4")]
    pub(super) outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Outcome {
    #[prost(message, tag = "2")]
    Told(Told),
    #[prost(message, tag = "3")]
    NotYetAccepted(NotYetAccepted),
    #[prost(message, tag = "4")]
    Refused(Refused),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Told {
    #[prost(uint32, optional, tag = "1")]
    pub(super) user: Option<u32>,
    #[prost(message, optional, tag = "2")]
    pub(super) token: Option<Token>,
    #[prost(message, optional, tag = "3")]
    pub(super) end: Option<End>,
    #[prost(string, optional, tag = "4")]
    pub(super) user_name: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NotYetAccepted {
    #[prost(message, optional, tag = "1")]
    pub(super) end: Option<End>,
}
