//! The options of `serve` for a cluster.

use std::process::{Command, Output};

use yamabiko_testing::redis::Redis;

use crate::nodes::{Node, PROGRAM};

fn yamabiko(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).envs(variables.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn password_of_redis_is_in_no_output() {
    let secret = "redis://user:hidden@127.0.0.1:1";
    let variables = [("YAMABIKO_CLUSTER", secret)];
    let (status, output, errors) = yamabiko(&["config"], &variables);
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        output.contains(r#"cluster = "redis://user:***@127.0.0.1:1""#),
        "{output}"
    );
    assert!(!output.contains("hidden"), "{output}");
    let (status, _, errors) = yamabiko(
        &["serve", "--check", "--cluster", "redis://user:***@host"],
        &[],
    );
    assert_eq!(status, Some(2));
    assert!(errors.contains("the password is hidden"), "{errors}");
}

#[test]
fn settings_of_a_cluster_without_its_redis_are_an_error() {
    for (arguments, expected) in [
        (&["--cluster", "http://host"][..], "expected redis://"),
        (
            &["--cluster-password-file", "/nowhere"][..],
            "need --cluster",
        ),
        (
            &[
                "--cluster",
                "redis://host",
                "--cluster-password-file",
                "/nowhere/x",
            ][..],
            "cannot read /nowhere/x",
        ),
    ] {
        let (status, _, errors) = yamabiko(&[&["serve", "--check"], arguments].concat(), &[]);
        assert!(matches!(status, Some(1 | 2)), "{errors}");
        assert!(errors.contains(expected), "{errors}");
        assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
    }
}

/// It serves what needs no Redis, and waits.
#[test]
fn server_starts_without_its_redis_and_is_not_ready() {
    let node = Node::start_with(&["--cluster", "redis://127.0.0.1:1"]);
    node.is_not_ready();
    assert!(node.get("/health").starts_with("HTTP/1.1 200"));
}

#[test]
fn node_has_its_name_in_the_list_of_clients() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let _node = Node::start(&redis.url(), &["--node", "the first"]);
    let clients = redis.lines("CLIENT LIST");
    let named = clients
        .iter()
        .filter(|line| line.contains(" name=yamabiko:the_first "));
    assert_eq!(named.count(), 2, "{clients:?}");
}
