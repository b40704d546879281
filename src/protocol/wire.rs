//! The messages of `proto/partnerd.proto`, field by field.
//!
//! Written by hand, so that a build takes no protobuf compiler; a test compiles the file and holds
//! the two against each other. What the fields mean is written there.

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Question {
    #[prost(uint32, optional, tag = "1")]
    pub(super) version: Option<u32>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) number: Option<u64>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) request: Option<u32>,
    #[prost(enumeration = "HolderSearch", optional, tag = "4")]
    pub(super) search: Option<i32>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) timeout_milliseconds: Option<u64>,
    #[prost(message, optional, tag = "6")]
    pub(super) domain: Option<AskerDomain>,
}

/// What is read of a question that is malformed otherwise.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Number {
    #[prost(uint64, optional, tag = "2")]
    pub(super) number: Option<u64>,
}

/// What is read of a message first: another version may have made anything of its other fields.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Version {
    #[prost(uint32, optional, tag = "1")]
    pub(super) version: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AskerDomain {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum HolderSearch {
    Unspecified = 0,
    All = 1,
    First = 2,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(uint32, optional, tag = "1")]
    pub(super) version: Option<u32>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) number: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) cookie: Option<u64>,
    #[prost(oneof = "Outcome", tags = "4, 5, 6")]
    pub(super) outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Outcome {
    #[prost(message, tag = "4")]
    Told(Told),
    #[prost(message, tag = "5")]
    NotYetAccepted(NotYetAccepted),
    #[prost(message, tag = "6")]
    Refused(Refused),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Told {
    #[prost(uint32, optional, tag = "1")]
    pub(super) user: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) routing: Option<u32>,
    #[prost(message, optional, tag = "3")]
    pub(super) token: Option<Token>,
    #[prost(string, optional, tag = "4")]
    pub(super) user_name: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NotYetAccepted {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Refused {
    #[prost(enumeration = "Refusal", optional, tag = "1")]
    pub(super) kind: Option<i32>,
    #[prost(string, optional, tag = "2")]
    pub(super) text: Option<String>,
    #[prost(enumeration = "Reason", optional, tag = "3")]
    pub(super) reason: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Refusal {
    Unspecified = 0,
    NotAuthorized = 1,
    SecurityDomain = 2,
    NotConnected = 3,
    NotTcp = 4,
    Unidentified = 5,
    Failed = 6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Reason {
    Unspecified = 0,
    PartnerGone = 1,
    NotYetAccepted = 2,
    NotEstablished = 3,
    ConnectionChanged = 4,
    NotInThisStack = 5,
    OtherNamespace = 6,
    AddressTranslated = 7,
    TranslationHidden = 8,
    OverflowUid = 9,
    OutsideCluster = 10,
    Unproven = 11,
    StackNotServed = 12,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Token {
    #[prost(uint32, optional, tag = "1")]
    pub(super) user: Option<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(super) holders: Vec<Holder>,
    #[prost(enumeration = "Completeness", optional, tag = "3")]
    pub(super) completeness: Option<i32>,
    #[prost(message, optional, tag = "4")]
    pub(super) node: Option<Node>,
    #[prost(bool, optional, tag = "5")]
    pub(super) remote: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Completeness {
    Unspecified = 0,
    Complete = 1,
    StoppedAtFirst = 2,
    NoRight = 3,
    HiddenProcesses = 4,
    PidNamespace = 5,
    TooManyDescriptors = 6,
    Changing = 7,
    NotHeld = 8,
    NoProc = 9,
    TooManyHolders = 10,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Node {
    #[prost(string, optional, tag = "1")]
    pub(super) host_name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) machine_id: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) boot_id: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Holder {
    #[prost(uint32, optional, tag = "1")]
    pub(super) pid: Option<u32>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) start_ticks: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) started_seconds: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) pidfs_inode: Option<u64>,
    #[prost(uint32, optional, tag = "5")]
    pub(super) descriptor: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    pub(super) process_user: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    pub(super) process_group: Option<u32>,
    #[prost(uint32, optional, tag = "8")]
    pub(super) real_user: Option<u32>,
    #[prost(uint32, optional, tag = "9")]
    pub(super) real_group: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub(super) submitting_user: Option<u32>,
    #[prost(uint32, optional, tag = "11")]
    pub(super) session_id: Option<u32>,
    #[prost(string, optional, tag = "12")]
    pub(super) security_label: Option<String>,
    #[prost(enumeration = "SessionType", optional, tag = "13")]
    pub(super) session_type: Option<i32>,
    #[prost(message, optional, tag = "14")]
    pub(super) port_of_entry: Option<PortOfEntry>,
    #[prost(bool, optional, tag = "15")]
    pub(super) same_user_namespace: Option<bool>,
    #[prost(message, optional, tag = "16")]
    pub(super) supplementary_groups: Option<Groups>,
    #[prost(uint64, optional, tag = "17")]
    pub(super) effective_capabilities: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "18")]
    pub(super) cgroup: Option<Vec<u8>>,
    #[prost(string, optional, tag = "19")]
    pub(super) systemd_unit: Option<String>,
    #[prost(string, optional, tag = "20")]
    pub(super) container_id: Option<String>,
    #[prost(bytes = "vec", optional, tag = "21")]
    pub(super) executable: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "22")]
    pub(super) executable_deleted: Option<bool>,
    #[prost(bytes = "vec", optional, tag = "23")]
    pub(super) command: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum SessionType {
    Unspecified = 0,
    SystemService = 1,
    UserSession = 2,
    InteractiveTerminal = 3,
    Container = 4,
    Batch = 5,
    Kernel = 6,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PortOfEntry {
    #[prost(enumeration = "PortClass", optional, tag = "1")]
    pub(super) class: Option<i32>,
    #[prost(string, optional, tag = "2")]
    pub(super) name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum PortClass {
    Unspecified = 0,
    Terminal = 1,
    Unit = 2,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Groups {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) groups: Vec<u32>,
}
