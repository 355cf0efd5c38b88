//! Memory of a subscription in rooms of a thousand to a million. This test has its own binary,
//! because the memory of other tests would be counted too.
#![cfg(all(feature = "server", target_os = "linux"))]

use yamabiko::broadcast::{ChunkPool, LogLimits, SharedLog, SubscriptionId};

/// 28 bytes for a subscription (`shared_log/mod.rs`), and as much again for a table that has
/// just grown.
const SUBSCRIPTION_BYTES_MAX: usize = 56;

/// What a room and its pool need besides its subscriptions: chunks of 64 KiB, and the
/// allocator's own pages.
const ROOM_BYTES_MAX: usize = 1 << 20;

/// The maximum of the memory that this process has used so far.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|value| value.trim().strip_suffix(" kB"));
    let kibibytes = number.and_then(|number| number.parse::<usize>().ok());
    kibibytes.expect("the peak is given in kB") << 10
}

#[test]
fn memory_of_a_subscription_does_not_grow_with_the_room() {
    for subscriptions in [1_000, 10_000, 100_000, 1_000_000] {
        let before = peak_bytes();
        let mut pool = ChunkPool::new(LogLimits::default(), 16);
        let mut shared = SharedLog::new();
        let ids: Vec<SubscriptionId> = (0..subscriptions)
            .map(|key| shared.subscribe(key))
            .collect();
        let own_bytes = ids.capacity() * size_of::<SubscriptionId>();
        // One subscription in a hundred is behind for a while, which needs no memory of its own.
        for _ in 0..3 {
            shared.append(&[7; 66], &mut pool);
            let accepted = |key, bytes| if key % 100 == 0 { bytes / 2 } else { bytes };
            shared.flush(&mut pool, |key, backlog| accepted(key, backlog.bytes()));
        }
        assert_eq!(shared.blocked() as u64, subscriptions / 100);
        for id in ids {
            shared.flush_one(id, &mut pool, |_, backlog| backlog.bytes());
        }
        assert_eq!((shared.blocked(), shared.log().held_bytes()), (0, 0));
        let grown = peak_bytes() - before;
        let allowed = ROOM_BYTES_MAX + own_bytes + subscriptions as usize * SUBSCRIPTION_BYTES_MAX;
        assert!(
            grown <= allowed,
            "{subscriptions} subscriptions: {grown} bytes"
        );
    }
}
