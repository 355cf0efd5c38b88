//! A simulated engine of the backplane, shared by the servers of a test.
//!
//! ```text
//!   server 1 ── SimulatedNode ─┐                       ┌─ commands of node 1, in their order
//!   server 2 ── SimulatedNode ─┴─ SimulatedEngine ─────┼─ commands of node 2
//!                                  │ a thread: one      └─ output of each node and room, in its order
//!                                  │ random step after another
//!                                  └─ what it has ever ordered: the log that clients are compared with
//! ```
//!
//! A seed decides the order of the steps: a command of any node, or the next output of any room at any node. So the rooms and the nodes
//! overtake each other, and messages of one room never do. Faults are commands of the test, or random ones of [`Faults`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use yamabiko::server::{
    Backplane, BackplaneConfig, BackplaneMessage, BackplaneNode, BackplanePublication,
    BackplaneState, KeptMessages, NotPublished, Position, RoomHistory,
};

/// The engine of a test. Dropping it ends its thread.
pub struct SimulatedEngine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How often something goes wrong: once in so many times. 0: never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A publication is refused.
    pub refused: u64,
    /// A delivery to one node is lost, and the engine does not notice.
    pub lost: u64,
    /// A delivery comes twice.
    pub doubled: u64,
    /// The engine tells a node again where a room is.
    pub reloaded: u64,
    /// The engine forgets a room: its next messages are in a new epoch.
    pub restarted: u64,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    random: u64,
    faults: Faults,
    rooms: BTreeMap<String, Room>,
    nodes: Vec<Node>,
    /// Everything that was ever ordered, by room: place and payload.
    ordered: BTreeMap<String, Vec<(Position, Vec<u8>)>>,
    /// Nothing is done while it is paused.
    is_paused: bool,
    /// Publications are refused, and rooms are not loaded.
    is_gone: bool,
    ends: bool,
}

/// A room of the engine.
struct Room {
    head: Position,
    kept: VecDeque<BackplaneMessage>,
}

/// A server, as the engine knows it.
#[derive(Default)]
struct Node {
    node: Option<BackplaneNode>,
    commands: VecDeque<Command>,
    subscribed: BTreeMap<String, Subscribed>,
    has_stopped: bool,
    /// Its way to the engine is cut: the engine gets nothing of it, and it gets nothing.
    is_cut: bool,
}

/// What a node gets of a room.
#[derive(Default)]
struct Subscribed {
    history: Option<RoomHistory>,
    output: VecDeque<Output>,
}

enum Command {
    Publish(BackplanePublication),
    Subscribe(String, Option<RoomHistory>),
    Unsubscribe(String),
}

#[derive(Clone)]
enum Output {
    Load,
    Deliver(Position, BackplaneMessage),
    Gap(Position),
}

/// Messages that the engine keeps of a room at most.
const KEPT_MAX: usize = 100_000;

impl SimulatedEngine {
    /// An engine whose steps follow this seed.
    pub fn start(seed: u64) -> SimulatedEngine {
        SimulatedEngine::with_faults(seed, Faults::default())
    }

    pub fn with_faults(seed: u64, faults: Faults) -> SimulatedEngine {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                random: seed | 1,
                faults,
                rooms: BTreeMap::new(),
                nodes: Vec::new(),
                ordered: BTreeMap::new(),
                is_paused: false,
                is_gone: false,
                ends: false,
            }),
            changed: Condvar::new(),
        });
        let of_thread = shared.clone();
        SimulatedEngine {
            shared,
            thread: Some(thread::spawn(move || of_thread.run())),
        }
    }

    /// The backplane of one more server.
    pub fn node(&self) -> BackplaneConfig {
        let mut state = self.shared.lock();
        state.nodes.push(Node::default());
        let number = state.nodes.len() - 1;
        BackplaneConfig::new(Arc::new(SimulatedNode {
            shared: self.shared.clone(),
            number,
        }))
    }

    /// Nothing is done until [`SimulatedEngine::go_on`].
    pub fn pause(&self) {
        self.shared.lock().is_paused = true;
    }

    pub fn go_on(&self) {
        self.shared.lock().is_paused = false;
        self.shared.changed.notify_all();
    }

    /// From now on (`true`) publications are refused, and rooms are not loaded.
    pub fn set_gone(&self, is_gone: bool) {
        let mut state = self.shared.lock();
        state.is_gone = is_gone;
        let nodes: Vec<_> = state
            .nodes
            .iter()
            .filter_map(|node| node.node.clone())
            .collect();
        drop(state);
        self.shared.changed.notify_all();
        nodes.iter().for_each(BackplaneNode::state_changed);
    }

    /// The way between the engine and one of the servers, in the order of [`SimulatedEngine::node`], is cut (`true`): the server gets nothing,
    /// what it publishes is lost, and it is not told of either. Later it loads its rooms again.
    pub fn set_cut(&self, node: usize, is_cut: bool) {
        let mut state = self.shared.lock();
        let node = &mut state.nodes[node];
        node.is_cut = is_cut;
        for subscribed in node.subscribed.values_mut() {
            subscribed.output = [Output::Load].into();
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// The engine forgets a room: its next messages are in a new epoch. The nodes are told.
    pub fn restart(&self, room: &str) {
        self.shared.lock().restart(room);
        self.shared.changed.notify_all();
    }

    /// The engine tells the nodes where all rooms are.
    pub fn reload(&self) {
        let mut state = self.shared.lock();
        for node in &mut state.nodes {
            for subscribed in node.subscribed.values_mut() {
                subscribed.output.push_back(Output::Load);
            }
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Everything that was ever ordered in a room.
    pub fn ordered(&self, room: &str) -> Vec<(Position, Vec<u8>)> {
        self.shared
            .lock()
            .ordered
            .get(room)
            .cloned()
            .unwrap_or_default()
    }

    /// How many nodes have subscribed to a room.
    pub fn subscribers(&self, room: &str) -> usize {
        let state = self.shared.lock();
        let nodes = state.nodes.iter();
        nodes
            .filter(|node| node.subscribed.contains_key(room))
            .count()
    }

    /// How many nodes have subscribed to a room and have been told all of it.
    pub fn told(&self, room: &str) -> usize {
        let state = self.shared.lock();
        let of_room = state
            .nodes
            .iter()
            .filter_map(|node| node.subscribed.get(room));
        of_room.filter(|room| room.output.is_empty()).count()
    }

    /// How many servers have said that they have stopped.
    pub fn stopped(&self) -> usize {
        let state = self.shared.lock();
        state.nodes.iter().filter(|node| node.has_stopped).count()
    }
}

impl Drop for SimulatedEngine {
    fn drop(&mut self) {
        self.shared.lock().ends = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("the engine has no fault");
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.ends {
            let has_done = !state.is_paused && state.step();
            if !has_done {
                // A server that was behind takes more later.
                let waited = self.changed.wait_timeout(state, Duration::from_millis(1));
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl State {
    /// A random number below this one.
    fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % end.max(1) as u64) as usize
    }

    fn happens(&mut self, once_in: u64) -> bool {
        once_in > 0 && self.below(once_in as usize) == 0
    }

    /// Does something. False: there is nothing to do.
    fn step(&mut self) -> bool {
        let mut choices = Vec::new();
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if node.is_cut {
                // The results of its publications are unknown.
                let is_order = |command: &Command| !matches!(command, Command::Publish(_));
                node.commands.retain(is_order);
                continue;
            }
            if !node.commands.is_empty() {
                choices.push((number, None));
            }
            let rooms = node.subscribed.iter();
            for (room, _) in rooms.filter(|(_, subscribed)| !subscribed.output.is_empty()) {
                choices.push((number, Some(room.clone())));
            }
        }
        if choices.is_empty() {
            return false;
        }
        let choice = self.below(choices.len());
        match choices.swap_remove(choice) {
            (number, None) => self.command(number),
            (number, Some(room)) => self.output(number, &room),
        }
    }

    fn command(&mut self, number: usize) -> bool {
        match self.nodes[number].commands.pop_front() {
            None => return false,
            Some(Command::Publish(publication)) => self.publish(publication),
            Some(Command::Unsubscribe(room)) => {
                self.nodes[number].subscribed.remove(&room);
            }
            Some(Command::Subscribe(room, history)) => {
                let subscribed = Subscribed {
                    history,
                    output: [Output::Load].into(),
                };
                self.nodes[number].subscribed.insert(room, subscribed);
            }
        }
        true
    }

    fn room(&mut self, room: &str) -> &mut Room {
        let epoch = self.below(usize::MAX) as u64;
        self.rooms.entry(room.to_owned()).or_insert_with(|| Room {
            head: Position::new(epoch, 0),
            kept: VecDeque::new(),
        })
    }

    fn publish(&mut self, publication: BackplanePublication) {
        if self.is_gone {
            return publication.refuse(NotPublished::BackplaneGone);
        }
        if self.happens(self.faults.refused) {
            return publication.refuse(NotPublished::BackplaneBehind);
        }
        let name = publication.room().to_owned();
        if self.happens(self.faults.restarted) {
            self.restart(&name);
        }
        let message = publication.message().clone();
        let room = self.room(&name);
        room.head = room.head.plus(1);
        room.kept.push_back(message.clone());
        if room.kept.len() > KEPT_MAX {
            room.kept.pop_front();
        }
        let position = room.head;
        let ordered = self.ordered.entry(name.clone()).or_default();
        ordered.push((position, message.payload().to_vec()));
        for number in 0..self.nodes.len() {
            self.deliver(number, &name, position, &message);
        }
        publication.taken(position);
    }

    fn deliver(
        &mut self,
        number: usize,
        room: &str,
        position: Position,
        message: &BackplaneMessage,
    ) {
        let (lost, doubled) = (
            self.happens(self.faults.lost),
            self.happens(self.faults.doubled),
        );
        let reloaded = self.happens(self.faults.reloaded);
        if self.nodes[number].is_cut {
            return;
        }
        let Some(subscribed) = self.nodes[number].subscribed.get_mut(room) else {
            return;
        };
        if !lost {
            let delivery = Output::Deliver(position, message.clone());
            subscribed
                .output
                .extend(vec![delivery; 1 + usize::from(doubled)]);
        }
        if reloaded {
            subscribed.output.push_back(Output::Load);
        }
    }

    fn restart(&mut self, room: &str) {
        let epoch = self.below(usize::MAX) as u64;
        let offset = self.below(100) as u64;
        let head = Position::new(epoch, offset);
        let kept = VecDeque::new();
        self.rooms.insert(room.to_owned(), Room { head, kept });
        for node in &mut self.nodes {
            if let Some(subscribed) = node.subscribed.get_mut(room) {
                subscribed.output.push_back(Output::Gap(head));
            }
        }
    }

    /// Gives a node the next output of a room. False: the server is behind, or the engine is gone.
    fn output(&mut self, number: usize, room: &str) -> bool {
        if self.is_gone {
            return false;
        }
        let of_room = self.room(room);
        let (head, kept) = (of_room.head, of_room.kept.clone());
        let state = &mut self.nodes[number];
        let (Some(node), Some(subscribed)) = (&state.node, state.subscribed.get_mut(room)) else {
            return false;
        };
        let is_taken = match subscribed.output.front() {
            None => false,
            Some(Output::Gap(position)) => node.gap(room, *position).is_ok(),
            Some(Output::Deliver(position, message)) => node
                .deliver(room, *position, std::slice::from_ref(message))
                .is_ok(),
            Some(Output::Load) => {
                let most = subscribed.history.map_or(0, |history| history.messages_max);
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                let skipped = kept.len().saturating_sub(most);
                let messages = kept.into_iter().skip(skipped).collect();
                // All that follows in the output until now is in it.
                let is_taken = node.load(room, KeptMessages { head, messages }).is_ok();
                if is_taken {
                    subscribed.output.clear();
                    return true;
                }
                false
            }
        };
        if is_taken {
            subscribed.output.pop_front();
        }
        is_taken
    }
}

/// The engine, as one server has it.
struct SimulatedNode {
    shared: Arc<Shared>,
    number: usize,
}

impl SimulatedNode {
    fn command(&self, command: Command) {
        self.shared.lock().nodes[self.number]
            .commands
            .push_back(command);
        self.shared.changed.notify_all();
    }
}

impl Backplane for SimulatedNode {
    fn start(&self, node: BackplaneNode) {
        self.shared.lock().nodes[self.number].node = Some(node);
    }

    fn publish(&self, publication: BackplanePublication) {
        self.command(Command::Publish(publication));
    }

    fn subscribe(&self, room: &str, history: Option<RoomHistory>) {
        self.command(Command::Subscribe(room.to_owned(), history));
    }

    fn unsubscribe(&self, room: &str) {
        self.command(Command::Unsubscribe(room.to_owned()));
    }

    fn state(&self) -> BackplaneState {
        match self.shared.lock().is_gone {
            false => BackplaneState::ready(),
            true => BackplaneState::not_ready("the test has stopped it"),
        }
    }

    fn stop(&self) {
        self.shared.lock().nodes[self.number].has_stopped = true;
    }
}
