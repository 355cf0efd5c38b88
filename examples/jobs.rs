//! Long tasks on threads: the event loop goes on, and each client gets its own answer.
//!
//! `cargo run --release --example jobs`, then
//! `cargo run --release --example echo_client -- ws://127.0.0.1:9001/ 600851475143`.
//!
//! A text is a number, and the answer is its largest prime factor. [`Context::handle`] names the connection for the thread, and
//! the receipt of [`ConnectionHandle::send`] tells the thread whether the answer was sent. A queue with a bound keeps clients from
//! asking for more than the threads do.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use yamabiko::server::{
    Admission, Config, ConnectionHandle, Context, Handler, Message, Refusal, Server, Upgrade,
};

/// A number, and the client that wants to know its largest prime factor.
pub struct Job {
    number: u64,
    client: ConnectionHandle,
}

/// The handler: puts each job into the queue of the threads.
pub struct Jobs {
    queue: SyncSender<Job>,
}

impl Jobs {
    /// The handler, and the queue of its jobs with room for so many.
    pub fn with_queue(room: usize) -> (Jobs, Receiver<Job>) {
        let (queue, jobs) = sync_channel(room);
        (Jobs { queue }, jobs)
    }
}

impl Handler for Jobs {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let number = message.as_text().and_then(|text| text.parse().ok());
        let refusal = match number {
            Some(0 | 1) | None => "send a number from 2 on",
            Some(number) => {
                let client = context.handle();
                match self.queue.try_send(Job { number, client }) {
                    Ok(()) => return,
                    Err(_) => "there are too many jobs; try again later",
                }
            }
        };
        // An error means that the client is closing, or does not read.
        let _ = context.send(refusal);
    }
}

/// Works until the server has dropped the queue.
pub fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().expect("no job panics").recv();
        let Ok(Job { number, client }) = job else {
            return;
        };
        let answer = largest_prime_factor(number).to_string();
        if let Err(error) = client.send(answer).wait() {
            println!("{} did not get its answer: {error}", client.id());
        }
    }
}

/// 2 ≤ number.
fn largest_prime_factor(mut number: u64) -> u64 {
    let mut factor = 2;
    while factor <= number / factor {
        match number % factor {
            0 => number /= factor,
            _ => factor += 1,
        }
    }
    number
}

fn main() -> std::io::Result<()> {
    let (handler, jobs) = Jobs::with_queue(64);
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..2 {
        let jobs = jobs.clone();
        thread::spawn(move || work(&jobs));
    }
    let config = Config {
        listen: ([127, 0, 0, 1], 9001).into(),
        ..Config::default()
    };
    let server = Server::bind(config, handler)?;
    println!("listening on ws://{}/", server.local_address());
    server.run()
}
