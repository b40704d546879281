//! Servers with and without a question at every accept.

use std::time::Duration;

use crate::Effort;
use crate::support::rounds::{Measured, ratio};
use crate::support::servers::{Counted, Server, round};
use crate::support::{busy_runtime, places};

const ROUND: Duration = Duration::from_millis(250);

pub struct Service {
    pub name: &'static str,
    pub counted: &'static str,
    pub silent: Vec<Measured>,
    pub asking: Vec<Measured>,
}

impl Service {
    /// How many times as many it serves where it asks.
    pub fn ratio(&self) -> f64 {
        ratio(&self.asking, &self.silent, |round| round.rate)
    }
}

pub fn measure(effort: Effort) -> Vec<Service> {
    places::anywhere();
    busy_runtime().block_on(async {
        let mut all = Vec::new();
        for (name, server) in [("tokio, echo", Server::Echo), ("axum, hello", Server::Axum)] {
            for (what, counted) in
                [("connections", Counted::Connections), ("requests", Counted::Requests)]
            {
                let (mut silent, mut asking) = (Vec::new(), Vec::new());
                for _ in 0..effort.rounds {
                    silent.push(round(server, false, counted, ROUND).await);
                    asking.push(round(server, true, counted, ROUND).await);
                }
                all.push(Service { name, counted: what, silent, asking });
            }
        }
        all
    })
}
