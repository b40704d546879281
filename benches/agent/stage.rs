//! Two network namespaces, and who stands in them besides agents and askers.

use crate::common::Folder;
use crate::common::actor::Actor;
use crate::common::namespaces::Namespace;
use crate::support::places;

/// Where the listener is, beside the agent.
const HERE: &str = "10.7.0.1";
/// Where partners of everybody's are accepted, in the other namespace.
pub const THERE: &str = "10.7.0.2:7001";

pub struct Stage {
    there: Namespace,
    folder: Folder,
    _floor: Actor,
}

impl Stage {
    /// Moves this process into a new network namespace, with another one at the end of a cable.
    pub fn new() -> Self {
        Namespace::enter_new();
        let there = Namespace::neighbour(7);
        let folder = Folder::new();
        let socket = folder.file("floor.sock");
        let floor = places::first(|| Actor::start(&format!("floor {}", socket.display()), 0));
        Self { there, folder, _floor: floor }
    }

    /// The socket of the floor.
    pub fn floor(&self) -> String {
        self.folder.file("floor.sock").display().to_string()
    }

    /// A process that asks, connected with a partner in the other namespace that accepts others'
    /// connections, too.
    pub fn asker(&self, user: u32, partner: u32, connections: usize) -> Actor {
        let mut asker = Actor::start(&format!("asker {HERE}:7000 {connections}"), user);
        let role = format!("partner {HERE}:7000 {connections} {THERE}");
        asker.keeps(self.there.run(|| Actor::start(&role, partner)));
        asker.ask("accept");
        asker
    }
}
