//! The link of two agents beside its floor and beside tonic, as `cargo bench --bench peers` has it.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::Effort;
use crate::peers::certificates;
use crate::peers::rates::rates;
pub use crate::peers::rates::{FLOOR, LINK, TONIC};
use crate::support::places::{self, Place};
use crate::support::rounds::Measured;

pub const IN_FLIGHT: [usize; 2] = [1, 16];
const ROUND: Duration = Duration::from_millis(100);

pub fn measure(runtime: &Runtime, effort: Effort) -> Vec<(Place, [[Vec<Measured>; 4]; 2])> {
    let tls = certificates::domain();
    let mut all = Vec::new();
    for place in Place::all() {
        places::stand(place.of_asker());
        let measured = runtime.block_on(rates(&tls, IN_FLIGHT, effort.rounds, ROUND));
        all.push((place, measured));
    }
    all
}
