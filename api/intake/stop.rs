use tokio::sync::watch;

/// Tells a task that it is to end; so does the loss of whoever would tell it.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// The other end of a [`Stop`].
#[derive(Debug)]
pub(crate) struct StopSwitch(watch::Sender<bool>);

/// A switch and what it switches.
pub(crate) fn stop() -> (StopSwitch, Stop) {
    let (sender, receiver) = watch::channel(false);
    (StopSwitch(sender), Stop(receiver))
}

impl Stop {
    /// Resolves once the switch was thrown or is gone, and from then on at once.
    pub(crate) async fn told(&mut self) {
        drop(self.0.wait_for(|told| *told).await);
    }
}

impl StopSwitch {
    pub(crate) fn throw(&self) {
        self.0.send_replace(true);
    }
}
