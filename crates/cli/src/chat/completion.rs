//! Completing a word of the draft: a command at its start, or the name of a member.
//!
//! ```text
//!   /to█        /topic █                one candidate: it, and a space
//!   @Ai█        @Aiko█                  several: what they have in common
//!   @Aiko█      * Aiko, Aiko 2          several, and nothing in common is missing: they are listed
//! ```
//!
//! Upper and lower case are the same; the draft gets the name as it is written.

use super::entry::COMMANDS;

/// What completes a draft.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// Instead of so many bytes in front of the cursor.
    Replace(usize, String),
    /// Candidates, of which the user has to type more.
    Choose(Vec<String>),
    /// The cursor is not behind a word, or no candidate begins with it.
    Nothing,
}

/// Completes the word in front of the cursor. `before`: the draft up to the cursor.
pub(super) fn complete(before: &str, names: &[String]) -> Completion {
    if let Some(command) = before.strip_prefix('/')
        && !command.contains(char::is_whitespace)
        && !command.starts_with('/')
    {
        return choose(command, COMMANDS.iter().copied());
    }
    let start = before
        .rfind(|c: char| c.is_whitespace() || c == '@')
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(0, char::len_utf8)
        });
    match &before[start..] {
        "" => Completion::Nothing,
        word => choose(word, names.iter().map(String::as_str)),
    }
}

fn choose<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Completion {
    let begins = |candidate: &&str| starts_with(candidate, word);
    let mut found: Vec<&str> = candidates.filter(begins).collect();
    found.sort_unstable();
    match &found[..] {
        [] => Completion::Nothing,
        [only] => Completion::Replace(word.len(), format!("{only} ")),
        [first, rest @ ..] => {
            let common = rest
                .iter()
                .fold(*first, |common, other| common_start(common, other));
            match common.chars().count() > word.chars().count() {
                true => Completion::Replace(word.len(), common.to_owned()),
                false => Completion::Choose(found.iter().map(|name| (*name).to_owned()).collect()),
            }
        }
    }
}

fn starts_with(candidate: &str, word: &str) -> bool {
    let mut characters = candidate.chars();
    word.chars()
        .all(|c| characters.next().is_some_and(|other| is_same(c, other)))
}

fn common_start<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.char_indices().zip(other.chars());
    let end = same
        .map(|((at, c), other)| (at, is_same(c, other)))
        .find(|(_, same)| !same);
    match end {
        Some((at, _)) => &one[..at],
        None if one.chars().count() <= other.chars().count() => one,
        None => {
            let end = one.char_indices().nth(other.chars().count());
            &one[..end.map_or(one.len(), |(at, _)| at)]
        }
    }
}

fn is_same(one: char, other: char) -> bool {
    one == other || one.to_lowercase().eq(other.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(before: &str, names: &[&str]) -> Completion {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        complete(before, &names)
    }

    fn replace(bytes: usize, text: &str) -> Completion {
        Completion::Replace(bytes, text.to_owned())
    }

    #[test]
    fn command_is_completed_at_the_start_of_the_draft_and_nowhere_else() {
        assert_eq!(completed("/to", &[]), replace(2, "topic "));
        assert_eq!(completed("/W", &[]), replace(1, "who "));
        assert_eq!(completed("so /to", &[]), Completion::Nothing);
        assert_eq!(completed("//to", &[]), Completion::Nothing);
    }

    #[test]
    fn only_candidate_is_inserted_as_it_is_written_and_a_space_behind_it() {
        assert_eq!(completed("hello @ai", &["Aiko", "Bo"]), replace(2, "Aiko "));
        assert_eq!(completed("AI", &["Aiko", "Bo"]), replace(2, "Aiko "));
        assert_eq!(completed("見て 山", &["山田"]), replace(3, "山田 "));
    }

    #[test]
    fn several_candidates_give_their_common_start_and_then_the_choice() {
        let names = ["Aiko", "Aiko 2", "Akane", "Bo"];
        assert_eq!(
            completed("@aik", &["Aiko 3", "Aiko 2"]),
            replace(3, "Aiko ")
        );
        let all = ["Aiko", "Aiko 2", "Akane"].map(str::to_owned).to_vec();
        assert_eq!(completed("@A", &names), Completion::Choose(all));
        let two = ["Aiko", "Aiko 2"].map(str::to_owned).to_vec();
        assert_eq!(completed("Aiko", &names), Completion::Choose(two));
    }

    #[test]
    fn nothing_is_completed_without_a_word_or_a_candidate() {
        for before in ["", "hello ", "@", "x\n", "Zo"] {
            assert_eq!(
                completed(before, &["Aiko"]),
                Completion::Nothing,
                "{before:?}"
            );
        }
    }
}
