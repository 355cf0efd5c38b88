//! What differs between two readings of the settings: for a server that runs.

use super::settings::Settings;
use super::table::table;

/// The names of settings.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// A running server has taken their new values.
    pub changed: Vec<&'static str>,
    /// Their new values need a restart.
    pub need_restart: Vec<&'static str>,
}

impl Changes {
    /// `started`: the settings that the server has started with; `before`: those that it has read last. `has_tls`: it has started
    /// with a certificate.
    pub(crate) fn between(
        started: &Settings,
        before: &Settings,
        now: &Settings,
        has_tls: bool,
    ) -> Changes {
        let mut started = started.clone().resolved();
        let (mut before, mut now) = (before.clone().resolved(), now.clone().resolved());
        let keeps_tls = has_tls == now.tls_files().is_empty();
        let mut changes = Changes::default();
        for row in table() {
            let is_kept = row.is_kept_until_restart() || keeps_tls && row.name.starts_with(TLS);
            let (settings, names) = match is_kept {
                true => (&mut started, &mut changes.need_restart),
                false => (&mut before, &mut changes.changed),
            };
            if row.value(settings) != row.value(&mut now) {
                names.push(row.name);
            }
        }
        changes
    }
}

/// The options about certificates.
const TLS: &str = "tls-";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Command;
    use crate::arguments::tests::parse_line;

    fn settings(line: &str) -> Settings {
        match parse_line(&format!("serve {line}")) {
            Ok(Command::Serve(settings)) => settings.settings,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn changes(lines: [&str; 3], has_tls: bool) -> (Vec<&'static str>, Vec<&'static str>) {
        let [started, before, now] = lines.map(settings);
        let changes = Changes::between(&started, &before, &now, has_tls);
        (changes.changed, changes.need_restart)
    }

    #[test]
    fn change_is_reported_once_and_a_need_to_restart_until_the_restart() {
        let now = "--ping-interval 3 --workers 7";
        let found = changes(["", "", now], false);
        assert_eq!(found, (vec!["ping-interval"], vec!["workers"]));
        let found = changes(["", now, now], false);
        assert_eq!(found, (vec![], vec!["workers"]));
        assert_eq!(
            changes(["", now, ""], false),
            (vec!["ping-interval"], vec![])
        );
    }

    #[test]
    fn certificates_need_a_restart_where_there_were_none_or_are_none_any_more() {
        let lines = ["--tls-cert a", "--tls-cert a", "--tls-cert b"];
        assert_eq!(changes(lines, true), (vec!["tls-cert"], vec![]));
        let lines = ["", "", "--tls-cert b"];
        assert_eq!(changes(lines, false), (vec![], vec!["tls-cert"]));
        let lines = ["--tls-cert a", "--tls-cert a", ""];
        assert_eq!(changes(lines, true), (vec![], vec!["tls-cert"]));
    }

    #[test]
    fn first_keys_close_the_paths_only_with_a_restart() {
        let lines = ["", "", "--shared-keys-file keys"];
        let paths = vec!["chat", "broadcast", "presence"];
        assert_eq!(changes(lines, false), (vec!["shared-keys-file"], paths));
    }

    /// docs/restart.md lists them.
    #[test]
    fn documentation_names_each_setting_that_needs_a_restart() {
        let page = include_str!("../../../../docs/restart.md");
        let (_, list) = page.split_once("need a restart: ").expect("the list");
        let (list, _) = list.split_once(".\n").expect("its end");
        let documented: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        let rows = table().into_iter();
        let kept = rows.filter(|row| row.is_kept_until_restart());
        let kept: Vec<&str> = kept.map(|row| row.name).collect();
        assert_eq!(documented, kept);
    }
}
