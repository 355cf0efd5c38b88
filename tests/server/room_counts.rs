//! How many connections subscribe to a room, and how many of them a message was published to.

use yamabiko::server::Config;
use yamabiko_testing::socket::{Client, Running, TIMEOUT, eventually, with_1_and_3_workers};

#[test]
fn publication_tells_how_many_subscribers_it_has_reached_on_all_workers() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut clients = server.subscribers(7, "hall");
        let publish = |room| {
            let receipt = server.publisher.publish_counted(room, "counted");
            receipt.expect("no worker is behind").wait()
        };
        assert_eq!(publish("hall"), 7);
        assert_eq!(publish("nobody's"), 0);
        for client in &mut clients {
            assert_eq!(client.read_text(), "counted");
        }
    });
}

#[test]
fn each_counted_publication_has_a_count_of_its_own() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let _clients = server.subscribers(3, "hall");
        let _others = server.subscribers(2, "garden");
        let receipts: Vec<_> = (0..100)
            .map(|number| {
                let room = ["hall", "garden"][number % 2];
                server.publisher.publish_counted(room, number.to_string())
            })
            .map(|receipt| receipt.expect("no worker is behind"))
            .collect();
        for (number, receipt) in receipts.into_iter().enumerate() {
            assert_eq!(receipt.wait(), [3, 2][number % 2]);
        }
    });
}

#[test]
fn subscribers_of_a_room_are_counted_on_all_workers_as_they_come_and_go() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            count_subscribers: true,
            ..config
        });
        let count = |room| server.publisher.subscribers(room);
        assert_eq!(count("hall"), Some(0));
        let mut clients = server.subscribers(5, "hall");
        clients[0].join("garden");
        assert_eq!((count("hall"), count("garden")), (Some(5), Some(1)));
        clients[0].text("/leave hall");
        assert_eq!(clients[0].read_text(), "left");
        assert_eq!(count("hall"), Some(4));
        drop(clients);
        eventually("all have left", TIMEOUT, || count("hall") == Some(0));
    });
}

#[test]
fn subscribers_are_not_counted_unless_the_application_wants_that() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let _client = Client::open(server.address).joined_to("hall");
        assert_eq!(server.publisher.subscribers("hall"), None);
    });
}
