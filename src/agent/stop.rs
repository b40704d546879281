//! The request to stop, as the parts of the agent see it.

use tokio::sync::watch;

/// Waits for the request to stop. Clones see the same request.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// Makes the request; dropping it makes it too.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<bool>);

pub(crate) fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until the agent is to stop; returns at once ever after. Cancel safe.
    pub(crate) async fn requested(&mut self) {
        // Fails where the stopper is gone.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}
