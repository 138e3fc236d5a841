//! A wire between a browser and a page that can be cut: connections through it are closed and refused while it is.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A wire on loopback.
#[derive(Debug)]
pub struct Wire {
    /// Where to connect to.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    open: Vec<TcpStream>,
}

impl Wire {
    /// A wire to `target`.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut state = shared.lock().expect("nobody panics with it");
                if state.cut {
                    continue;
                }
                if let Ok(far) = TcpStream::connect(target) {
                    pass(&near, &far);
                    pass(&far, &near);
                    state.open.extend([near, far]);
                }
            }
        });
        Self { address, state }
    }

    /// Closes what is open, and refuses what comes, until it is mended.
    ///
    /// # Panics
    /// Never: nobody panics with the lock.
    pub fn cut(&self, cut: bool) {
        let mut state = self.state.lock().expect("nobody panics with it");
        state.cut = cut;
        if !cut {
            return;
        }
        for stream in state.open.drain(..) {
            // the other end may have closed it already
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Carries bytes one way until an end closes.
fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) =
        (from.try_clone().expect("a handle more"), to.try_clone().expect("a handle more"));
    std::thread::spawn(move || {
        // an end that is gone ends it
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
