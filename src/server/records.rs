//! The trait of a place where an application keeps small records that survive the server.

/// A place for small records of an application: texts with a name, kept where the messages of rooms are kept. The data file of the crate
/// `yamabiko-sqlite` is one; the chat keeps its created rooms there (`Chat::records`).
///
/// The methods are called on the threads of the event loops: [`put`](Records::put) and [`remove`](Records::remove) must not block and must
/// not wait. An implementation has a thread of its own that writes. It must guarantee:
///
/// 1. **Order.** A record is kept before a message that is published after it is delivered to anybody, and before a room that is
///    [subscribed to](super::Backplane::subscribe) after it is loaded. So nobody learns of something that a restart forgets.
/// 2. **The last one counts.** Of several records with one name the last one is kept; those between need not be.
/// 3. **No loss.** What cannot be written is tried again until it can.
///
/// The application bounds the number of its records and their length.
pub trait Records: Send + Sync + 'static {
    /// All records, the one last that was put last. The application asks once, before the server starts.
    fn load(&self) -> Vec<(String, String)>;

    /// Keeps a record, in the place of one with the same name.
    fn put(&self, name: &str, text: &str);

    /// Removes a record, if there is one.
    fn remove(&self, name: &str);
}
