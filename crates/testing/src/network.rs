//! A network that can be cut: a proxy of TCP connections on this machine.
//!
//! While it is cut, it takes bytes and drops them, as a cable that is pulled out does: neither side is told. Connections that have
//! lost bytes are closed when it is whole again, because the rest would not fit.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A proxy in front of one server. It ends with the process.
pub struct Network {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Nothing is passed on.
    is_cut: AtomicBool,
    /// Nothing that the server says is passed on.
    is_deaf: AtomicBool,
    /// Both ends of each connection that has lost bytes.
    damaged: Mutex<Vec<TcpStream>>,
}

impl Network {
    /// In front of the server at this address.
    pub fn to(server: SocketAddr) -> Network {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            is_cut: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            damaged: Mutex::default(),
        });
        let accepts = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                accepts.connect(client, server);
            }
        });
        Network { address, shared }
    }

    /// Passes nothing on, in both directions.
    pub fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
    }

    /// Passes on what clients say, and nothing that the server says: it does what it is told, and nobody hears of it.
    pub fn cut_answers(&self) {
        self.shared.is_deaf.store(true, Ordering::SeqCst);
    }

    /// Passes everything on again.
    pub fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
        self.shared.is_deaf.store(false, Ordering::SeqCst);
        for stream in self.shared.damaged().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream, server: SocketAddr) {
        // While it is cut, a connection that is new seems to be made, too: the kernel of the proxy has accepted it.
        let Ok(server) = TcpStream::connect(server) else {
            return;
        };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        let (up, down) = (self.clone(), self.clone());
        thread::spawn(move || up.copy(client, to_server, false));
        thread::spawn(move || down.copy(server, to_client, true));
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, is_answer: bool) {
        // Ends that nobody uses any more go.
        let _ = from.set_read_timeout(Some(Duration::from_secs(600)));
        let mut buffer = vec![0; 64 << 10];
        let mut is_damaged = false;
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let is_cut = self.is_cut.load(Ordering::SeqCst);
            let is_cut = is_cut || is_answer && self.is_deaf.load(Ordering::SeqCst);
            if is_cut && !is_damaged {
                self.damaged()
                    .extend(from.try_clone().into_iter().chain(to.try_clone()));
            }
            is_damaged |= is_cut;
            if !is_damaged && to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn damaged(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
