//! The agent, asked by real processes of real users in real network namespaces.

mod audit;
mod authorization;
mod comings;
pub(crate) mod daemon;
mod domains;
mod forged;
mod impostor;
mod life;
mod limits;
mod malformed;
mod moments;
pub(crate) mod places;
mod prefetch;
mod restarts;
mod role;
mod sandboxes;
mod served;
mod speaker;
mod starved;
mod taken;
mod tokens;
mod trust;
mod twins;
mod users;
mod views;

pub(crate) use role::Asker;

use super::{Scene, Test};

/// What is run in a process of its own.
pub(crate) fn scenes() -> Vec<Scene> {
    [starved::SCENES, taken::SCENES].concat()
}

pub(crate) fn tests() -> Vec<Test> {
    [
        audit::TESTS,
        authorization::TESTS,
        comings::TESTS,
        domains::TESTS,
        forged::TESTS,
        life::TESTS,
        limits::TESTS,
        malformed::TESTS,
        moments::TESTS,
        prefetch::TESTS,
        restarts::TESTS,
        sandboxes::TESTS,
        served::TESTS,
        starved::TESTS,
        starved::SCENE_TESTS,
        taken::TESTS,
        tokens::TESTS,
        trust::TESTS,
        twins::TESTS,
        users::TESTS,
        views::TESTS,
    ]
    .concat()
}
