//! Channels whose subscribers are to be told later how many they are: a queue for a thread that waits.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use crate::name::ChannelName;

/// The queue of one app. A channel is in it once at most.
#[derive(Debug, Default)]
pub(crate) struct DueCounts(OnceLock<Sender<Due>>);

#[derive(Debug)]
struct Due {
    at: Instant,
    channel: ChannelName,
}

impl DueCounts {
    /// Starts the thread, which calls `tell` for each channel when it is due. It ends with the queue.
    ///
    /// # Errors
    /// The system has no thread.
    pub(crate) fn start(&self, tell: impl Fn(&ChannelName) + Send + 'static) -> io::Result<()> {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("pusher-counts".to_owned());
        thread.spawn(move || tell_when_due(&receiver, tell))?;
        // Called once.
        let _ = self.0.set(sender);
        Ok(())
    }

    /// All are added the same time before they are due, so they are in order.
    pub(crate) fn add(&self, channel: ChannelName, at: Instant) {
        if let Some(sender) = self.0.get() {
            // The thread takes everything while the queue is there.
            let _ = sender.send(Due { at, channel });
        }
    }
}

fn tell_when_due(receiver: &Receiver<Due>, tell: impl Fn(&ChannelName)) {
    while let Ok(Due { at, channel }) = receiver.recv() {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        tell(&channel);
    }
}
