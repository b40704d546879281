//! Agents of several hosts, which are network namespaces with an agent of their own.

mod allowed;
mod containers;
mod crowded;
pub(crate) mod described;
mod domains;
mod expired;
mod faults;
mod recorded;
mod renewal;
pub(crate) mod site;
mod third;
mod users;

use super::Test;

pub(crate) fn tests() -> Vec<Test> {
    [
        allowed::TESTS,
        containers::TESTS,
        crowded::TESTS,
        domains::TESTS,
        expired::TESTS,
        faults::TESTS,
        recorded::TESTS,
        renewal::TESTS,
        third::TESTS,
        users::TESTS,
    ]
    .concat()
}
