//! No loss, no duplicate and one order over three nodes, while something fails.

use std::panic::{catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use yamabiko_testing::network::Network;
use yamabiko_testing::redis::Redis;
use yamabiko_testing::waiting::eventually;

use crate::checker::{Outcome, Run, Size};
use crate::nodes::Node;

/// Three nodes of a Redis that has everything on its disk before it answers.
struct Cluster {
    redis: Redis,
    nodes: Vec<Node>,
    /// Between the last node and Redis.
    network: Network,
}

impl Cluster {
    fn start(options: &[&str]) -> Option<Cluster> {
        let redis = Redis::start(options)?;
        let network = Network::to(redis.address());
        let far = format!("redis://{}", network.address);
        let urls = [redis.url(), redis.url(), far];
        let nodes = urls.iter().map(|url| Node::start(url, &[])).collect();
        Some(Cluster {
            redis,
            nodes,
            network,
        })
    }

    fn urls(&self) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| node.url("/broadcast/proof"))
            .collect()
    }

    fn are_ready(&self) {
        self.nodes.iter().for_each(Node::is_ready);
    }
}

/// What happens in the middle.
type Fault = fn(&mut Cluster, &Run);

/// One run of the short form, or as many as the long form has time for. `may_end`: whether the connection of a member of this
/// node may end.
fn proof(name: &str, options: &[&str], fault: Fault, may_end: fn(usize) -> bool) {
    let seconds = std::env::var("TEST_CLUSTER_PROOF").ok();
    let seconds = seconds.map(|text| text.parse::<u64>().expect("seconds"));
    let Some(seconds) = seconds else {
        let size = Size {
            members: 24,
            publishers: 6,
            messages: 300,
        };
        let outcome = run(options, size, fault, may_end);
        eprintln!("{name}: {outcome:?}");
        return;
    };
    let mut done = Done::read(name);
    let size = Size {
        members: 300,
        publishers: 30,
        messages: 2000,
    };
    while done.milliseconds < 1000 * seconds {
        let began = Instant::now();
        let outcome = catch_unwind(|| run(options, size, fault, may_end));
        let milliseconds = u64::try_from(began.elapsed().as_millis()).expect("a short time");
        match outcome {
            Ok(None) => return,
            Ok(Some(outcome)) => done.add(milliseconds, &outcome),
            Err(panic) => {
                done.failed += 1;
                done.write();
                resume_unwind(panic);
            }
        }
    }
    eprintln!("{name}: {}", done.line());
}

/// What the long form has done with a fault, over all its processes.
struct Done {
    path: PathBuf,
    runs: u64,
    acknowledged: u64,
    milliseconds: u64,
    /// Messages that members have got.
    received: u64,
    /// Connections of members that have ended, which is how they are told of a gap.
    gaps: u64,
    /// Runs that have found a fault of the cluster.
    failed: u64,
}

impl Done {
    fn read(name: &str) -> Done {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cluster-proof");
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
        let mut numbers = numbers.chain(std::iter::repeat(0));
        let mut next = || numbers.next().expect("without an end");
        Done {
            path,
            runs: next(),
            acknowledged: next(),
            milliseconds: next(),
            received: next(),
            gaps: next(),
            failed: next(),
        }
    }

    /// Adds a run that has passed.
    fn add(&mut self, milliseconds: u64, outcome: &Outcome) {
        self.runs += 1;
        self.acknowledged += outcome.acknowledged as u64;
        self.milliseconds += milliseconds;
        self.received += outcome.received as u64;
        let gaps = outcome.segments.iter().map(|segments| segments - 1);
        self.gaps += gaps.sum::<usize>() as u64;
        self.write();
    }

    fn write(&self) {
        std::fs::write(&self.path, self.line() + "\n").expect("a file");
    }

    fn line(&self) -> String {
        format!(
            "{} runs, {} messages acknowledged, in {} ms; {} received, {} gaps told, {} runs failed",
            self.runs, self.acknowledged, self.milliseconds, self.received, self.gaps, self.failed
        )
    }

    /// A row of the page.
    fn row(&self, fault: &str) -> String {
        let Done {
            runs,
            acknowledged,
            received,
            gaps,
            failed,
            ..
        } = self;
        let minutes = self.milliseconds as f64 / 60_000.0;
        format!(
            "| {fault} | {runs} | {minutes:.1} | {acknowledged} | {received} | {gaps} | {failed} |\n"
        )
    }
}

/// What the long form has found, in `docs/cluster.md`. `TEST_CLUSTER_PROOF_WRITE` writes it there, from the files of the runs.
#[test]
fn page_has_the_results_of_each_fault() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cluster.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let (before, rest) = page.split_once(TABLE_BEGINS).expect("the table");
    let (table, behind) = rest.split_once(TABLE_ENDS).expect("its end");
    if std::env::var_os("TEST_CLUSTER_PROOF_WRITE").is_some() {
        let rows: String = FAULTS
            .iter()
            .map(|(name, fault)| Done::read(name).row(fault))
            .collect();
        let page = format!("{before}{TABLE_BEGINS}{TABLE_HEAD}{rows}{TABLE_ENDS}{behind}");
        std::fs::write(path, page).expect("the page");
        return;
    }
    assert!(table.starts_with(TABLE_HEAD));
    for (_, fault) in FAULTS {
        assert!(table.contains(&format!("| {fault} | ")), "{fault}");
    }
}

/// The files of the long form, and what the page calls the fault.
const FAULTS: [(&str, &str); 7] = [
    ("none", "none"),
    ("node-killed", "a node is killed"),
    ("redis-stopped-3s", "Redis does not answer for 3 s"),
    ("redis-stopped-10s", "Redis does not answer for 10 s"),
    ("redis-killed", "Redis is killed, and has all that it had"),
    ("redis-older", "Redis is killed, and has an older snapshot"),
    ("network-cut", "a node is cut off from Redis"),
];

const TABLE_BEGINS: &str = "<!-- results of the long form -->\n";
const TABLE_ENDS: &str = "<!-- end of the results -->\n";
const TABLE_HEAD: &str = "\
| fault | runs | minutes | messages acknowledged | messages that members have got | gaps that members were told of | runs that failed |
|---|---:|---:|---:|---:|---:|---:|
";

/// `None`: there is no Redis on this host.
fn run(options: &[&str], size: Size, fault: Fault, may_end: fn(usize) -> bool) -> Option<Outcome> {
    let mut cluster = Cluster::start(options)?;
    let nodes = cluster.nodes.len();
    let run = Run::begin(cluster.urls(), size);
    run.reaches(30);
    fault(&mut cluster, &run);
    let outcome = run.finish();
    for (member, &segments) in outcome.segments.iter().enumerate() {
        let node = member % nodes;
        assert!(
            may_end(node) || segments == 1,
            "a member of node {node} was disconnected"
        );
    }
    let published = size.publishers * size.messages;
    assert!(outcome.acknowledged <= published);
    Some(outcome)
}

const ON_DISK: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

#[test]
fn nothing_fails() {
    proof("none", &[], |_, _| {}, |_| false);
}

/// The members of the others stay connected and get everything.
#[test]
fn node_is_killed() {
    proof(
        "node-killed",
        &[],
        |cluster, _| cluster.nodes[1].kill(),
        |node| node == 1,
    );
}

/// Long enough that the nodes are not ready, and shorter than the time after which they give up their connections.
#[test]
fn redis_is_stopped_for_three_seconds() {
    let fault: Fault = |cluster, _| {
        cluster.redis.signal("STOP");
        let stopped = Instant::now();
        cluster.nodes.iter().for_each(Node::is_not_ready);
        eventually("three seconds are over", Duration::from_secs(10), || {
            stopped.elapsed() >= Duration::from_secs(3)
        });
        cluster.redis.signal("CONT");
    };
    proof("redis-stopped-3s", &[], fault, |_| false);
}

/// Longer than the nodes wait: they connect again, and send again what has no answer.
#[test]
fn redis_is_stopped_for_ten_seconds() {
    let fault: Fault = |cluster, _| {
        cluster.redis.signal("STOP");
        let stopped = Instant::now();
        cluster.nodes.iter().for_each(Node::is_not_ready);
        eventually("ten seconds are over", Duration::from_secs(20), || {
            stopped.elapsed() >= Duration::from_secs(10)
        });
        cluster.redis.signal("CONT");
        cluster.are_ready();
    };
    // What was published is refused after 8 s, which ends the connection of its publisher. Members stay, except where the other nodes were
    // connected before theirs, and have published more than the room keeps: then they are told of a gap.
    proof("redis-stopped-10s", &[], fault, |_| true);
}

/// The epoch is another one, which all members are told by the end of their connections.
#[test]
fn redis_is_killed_and_starts_with_all_that_it_had() {
    let fault: Fault = |cluster, _| {
        cluster.redis.kill();
        cluster.redis.run();
        cluster.are_ready();
    };
    proof("redis-killed", &ON_DISK, fault, |_| true);
}

#[test]
fn redis_is_killed_and_starts_from_an_older_snapshot() {
    let fault: Fault = |cluster, run| {
        cluster.redis.snapshot("older");
        // What is published meanwhile is lost.
        run.reaches(60);
        cluster.redis.kill();
        cluster.redis.restore("older");
        cluster.redis.run();
        cluster.are_ready();
    };
    proof("redis-older", &[], fault, |_| true);
}

/// Members of the node that was cut off wait, and get what they have missed from the log, or their connections end because it has
/// no more as much.
#[test]
fn node_is_cut_off_from_redis() {
    let fault: Fault = |cluster, _| {
        cluster.network.cut();
        cluster.nodes[2].is_not_ready();
        cluster.network.mend();
        cluster.are_ready();
    };
    proof("network-cut", &[], fault, |node| node == 2);
}
