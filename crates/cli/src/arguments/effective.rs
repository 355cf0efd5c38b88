//! The settings in effect as a file: what `yamabiko config` prints.
//!
//! Each row of the table is written in the form in which its option reads it. So each value can be set again: a setting that
//! is switched off is `none` or 0.

use super::settings::ServeSettings;
use super::table::table;

/// The settings file that has the same effect as these settings of `serve`. The comment above a setting is its help, and the
/// reason of its default.
pub(crate) fn effective(settings: ServeSettings) -> String {
    let ServeSettings { settings, .. } = settings;
    let mut settings = settings.resolved();
    let mut text = String::from(EFFECTIVE);
    let mut heading = None;
    for row in table() {
        if let Some(next) = row.heading.filter(|next| heading != Some(*next)) {
            heading = Some(next);
            text.push_str(&format!("\n# ── {next} ──\n"));
        }
        text.push_str(&format!("\n# {}\n", row.help));
        if !row.reason.is_empty() {
            text.push_str(&format!("# Reason of the default: {}\n", row.reason));
        }
        let value = row.value(&mut settings).in_file();
        text.push_str(&format!("{} = {value}\n", row.name));
    }
    text
}

const EFFECTIVE: &str = "\
# The settings of 'yamabiko serve' as they are in effect. This is a settings file:
# 'yamabiko serve --config FILE' reads it. The command line and environment variables win.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::tests::parse_line;
    use crate::arguments::{Command, parse};
    use std::ffi::OsString;
    use std::fs;

    fn settings(line: &str) -> ServeSettings {
        match parse_line(line) {
            Ok(Command::Serve(settings)) => settings,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// What a configuration and the access to the paths are.
    fn described(settings: ServeSettings) -> String {
        let given = settings.settings.clone();
        let access = given.access.clone().resolved();
        let config = settings.config();
        format!("{config:?} {:?} {access:?}", given.compression)
    }

    /// The settings of this file.
    fn read(name: &str, text: &str) -> ServeSettings {
        let file = std::env::temp_dir().join(format!("yamabiko-{}-{name}", std::process::id()));
        fs::write(&file, text).expect("a temporary file");
        let arguments = [
            OsString::from("serve"),
            "--config".into(),
            file.clone().into(),
        ];
        let parsed = parse(arguments);
        fs::remove_file(&file).expect("a temporary file");
        match parsed {
            Ok(Command::Serve(settings)) => settings,
            other => panic!("{other:?}\n{text}"),
        }
    }

    #[test]
    fn effective_settings_are_a_file_with_the_same_effect() {
        for (index, line) in [
            "serve",
            "serve --workers 3 --connections-per-address 5 --bytes-per-second 64KiB --no-compress --lag-age-max 0 \
             --allow-origin https://a.example --allow-origin null --lag-messages-max 7 --rate-action close",
            "serve --allow-origin * --compress-takeover 12 --ping-interval 0 --memory-bytes-max 0",
            "serve --no-compress --compress-level 9 --compress-threshold 1KiB --compress-takeover 15",
            "serve --message-bytes-max 18446744073709551615 --lag-messages-max 18446744073709551615 \
             --connections-max 18446744073709551615 --memory-bytes-max 9223372036854775808",
            "serve --listen :1 --listen [::1]:2,unix:/run/x --unix-mode 660 --unix-owner 7:8",
            "serve --listen unix:/run/x --unix-mode 600 --http-requests-max 9 --http-body-timeout 0.5",
            "serve --allow-host a.example,*.b.example --broadcast off --chat open --presence off",
            "serve --publish-per-second 7 --token-audience a\"b\\c --token-leeway 0",
        ]
        .into_iter()
        .enumerate()
        {
            let settings = settings(line);
            let expected = described(settings.clone());
            let text = effective(settings);
            let found = read(&format!("effective-{index}"), &text);
            assert_eq!(described(found), expected, "{line}\n{text}");
        }
    }

    /// No line is an example: what the file says is in effect.
    #[test]
    fn every_line_of_the_effective_settings_is_a_comment_a_setting_or_empty() {
        let text = effective(ServeSettings::default());
        let settings = text.lines().filter(|line| line.contains(" = "));
        let uncommented: String = settings
            .map(|line| format!("{}\n", line.trim_start_matches("# ")))
            .collect();
        let found = read("uncommented", &uncommented);
        assert_eq!(described(found), described(ServeSettings::default()));
        for line in text.lines() {
            let is_comment = line.is_empty() || line.starts_with("# ");
            assert_ne!(is_comment, line.contains(" = "), "{line}");
        }
    }

    #[test]
    fn secret_of_an_app_is_hidden_and_must_be_written_before_the_file_is_read() {
        let text = effective(settings("serve --app 1:k:s3cret:x,2:l:t0p"));
        let line = "app = [\"1:k:***\", \"2:l:***\"]\n";
        assert!(text.contains(line), "{text}");
        assert!(!text.contains("s3cret") && !text.contains("t0p"), "{text}");
        let refused = parse_line("serve --app 1:k:***");
        let Err(crate::arguments::Stop::Usage(message)) = refused else {
            panic!("{refused:?}");
        };
        assert!(message.contains("the secret is hidden"), "{message}");
    }

    #[test]
    fn every_setting_of_serve_is_in_the_effective_settings_once_with_a_comment() {
        let text = effective(ServeSettings::default());
        let command = crate::arguments::command();
        let serve = command.find_subcommand("serve").expect("serve");
        let not_settings = ["config", "check", "help", "version"];
        for option in serve.get_arguments() {
            let long = option.get_long().expect("an option");
            let count = text.matches(&format!("\n{long} = ")).count();
            assert_eq!(count, usize::from(!not_settings.contains(&long)), "{long}");
        }
    }

    #[test]
    fn every_heading_of_the_effective_settings_is_written_once() {
        let text = effective(ServeSettings::default());
        let mut headings: Vec<&str> = text.lines().filter(|line| line.contains("──")).collect();
        let count = headings.len();
        headings.sort_unstable();
        headings.dedup();
        assert_eq!((headings.len(), count > 5), (count, true));
    }
}
