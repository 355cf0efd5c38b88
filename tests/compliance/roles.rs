//! In which roles a test runs, read from its text.
//!
//! A test runs as server and as client if it is written with `both_roles!`, takes a role, or names both. It runs in one role if it names
//! that one, or if its name or its path says so. Everything else runs in no role: it tests code that both share.

/// The roles of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    pub server: bool,
    pub client: bool,
}

impl Roles {
    pub const BOTH: Roles = Roles {
        server: true,
        client: true,
    };

    /// Of the test that begins at the first line. The lines have no indentation.
    pub fn of_test(file: &str, lines: &[&str]) -> Roles {
        let test = &lines[..length(lines)];
        let is_in = |mark: &str| test.iter().any(|line| line.contains(mark));
        if BOTH_ROLES.iter().any(|mark| is_in(mark)) {
            return Roles::BOTH;
        }
        let is_named = |role: &str| {
            let in_path = file.split(['/', '_', '.']).any(|part| part == role);
            let declared = test.iter().find(|line| line.starts_with("fn "));
            in_path || declared.is_some_and(|line| words(line).any(|word| word == role))
        };
        Roles {
            server: is_in("Role::Server") || is_named("server"),
            client: is_in("Role::Client") || is_named("client"),
        }
    }

    pub fn or(self, other: Roles) -> Roles {
        Roles {
            server: self.server || other.server,
            client: self.client || other.client,
        }
    }

    /// The role that is missing, or both.
    pub fn missing(self) -> &'static str {
        match (self.server, self.client) {
            (true, true) => "no role",
            (true, false) => "client",
            (false, true) => "server",
            (false, false) => "server or client",
        }
    }
}

/// The lines up to the next test.
fn length(lines: &[&str]) -> usize {
    let declared = lines.iter().position(|line| line.starts_with("fn "));
    let behind = declared.map_or(lines.len(), |at| at + 1);
    let next = lines[behind.min(lines.len())..].iter().position(|line| {
        let starts = ["#[test]", "//=", "both_roles!", "fn ", "proptest!"];
        starts.iter().any(|start| line.starts_with(start))
    });
    next.map_or(lines.len(), |more| behind + more)
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_alphanumeric())
}

/// Each of these is in tests of both roles only.
const BOTH_ROLES: [&str; 4] = ["both_roles!", "role: Role", "role in ", "roles()"];

#[test]
fn roles_of_a_test_are_read_from_its_text_its_name_and_its_path() {
    let (server, client) = (
        Roles {
            server: true,
            client: false,
        },
        Roles {
            server: false,
            client: true,
        },
    );
    for (file, lines, roles) in [
        (
            "a.rs",
            &["both_roles!(x);", "fn x(role: Role) {"][..],
            Roles::BOTH,
        ),
        ("a.rs", &["fn x() {", "for role in [a, b] {"], Roles::BOTH),
        ("a.rs", &["#[test]", "fn server_fails() {"], server),
        ("a.rs", &["fn x() {", "open(Role::Client);", "}"], client),
        (
            "a.rs",
            &["fn x() {", "}", "#[test]", "fn y() {", "Role::Client"],
            Roles::default(),
        ),
        ("tests/client/a.rs", &["fn x() {"], client),
        ("tests/tls_server.rs", &["fn x() {"], server),
        ("a.rs", &["fn observer_is_called() {"], Roles::default()),
    ] {
        assert_eq!(Roles::of_test(file, lines), roles, "{file} {lines:?}");
    }
}
