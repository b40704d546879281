//! `partnerd` and the namespaces beside it, as tests/live stages them.

#[path = "../live/agent/daemon.rs"]
#[allow(dead_code, reason = "shared with tests/live, which uses all of it")]
pub(crate) mod daemon;
#[path = "../live/agent/places.rs"]
#[allow(dead_code, reason = "shared with tests/live, which uses all of it")]
pub(crate) mod places;
