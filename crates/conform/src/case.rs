//! A case: one rule, and the scripts that show whether the peer obeys it.
//!
//! A case counts a rule, not inputs: a loop over opcodes is one case with a run for each of
//! them. A run is one connection.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::peer::Peer;
use crate::script::Script;

/// See the [module's text](self).
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Subject and name: `framing/reserved-opcodes`.
    pub id: &'static str,
    /// What a good peer does, in one sentence.
    pub title: &'static str,
    /// The requirement in `rules.csv`.
    pub rule: &'static str,
    pub level: Level,
    /// `None`: both.
    pub peer: Option<Peer>,
    /// The cases of the Autobahn suite that check this, each or as a range: `4.1.1-5`.
    pub old: &'static [&'static str],
    pub depth: Depth,
    /// It moves megabytes: only a few such connections are open at a time.
    pub is_heavy: bool,
    /// It is about the subprotocols of its requests.
    pub decides_subprotocols: bool,
    /// The connections of the case.
    pub runs: fn(&Setting) -> Vec<Run>,
}

/// How binding the rule of a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The RFC has no such rule; a robust implementation behaves so.
    Quality,
    /// The RFC recommends it.
    Should,
    /// The RFC demands it.
    Must,
}

/// How much is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What takes little time: less than 10 s for all cases.
    Quick,
    /// Larger messages too: less than a minute.
    Default,
    /// Everything.
    Full,
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Level::Must => "must",
            Level::Should => "should",
            Level::Quality => "quality",
        })
    }
}

/// What the runs of a case depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub depth: Depth,
    /// The longest message that the peer is said to accept.
    pub message_bytes_max: Option<usize>,
    /// How long a connection without a whole request may stay open.
    pub silence_max: Duration,
}

/// One connection of a case.
pub(crate) struct Run {
    /// The parameter; empty in a case with one run.
    pub label: String,
    script: Box<dyn Fn() -> Script + Send + Sync>,
}

/// A run, and its place in the suite: the case, and the run of the case.
pub(crate) struct Task {
    pub case: usize,
    pub run: usize,
    pub script: Run,
}

impl Case {
    pub(crate) const fn must(
        id: &'static str,
        rule: &'static str,
        title: &'static str,
        runs: fn(&Setting) -> Vec<Run>,
    ) -> Case {
        Case {
            id,
            title,
            rule,
            level: Level::Must,
            peer: None,
            old: &[],
            depth: Depth::Quick,
            is_heavy: false,
            decides_subprotocols: false,
            runs,
        }
    }

    pub(crate) const fn should(
        id: &'static str,
        rule: &'static str,
        title: &'static str,
        runs: fn(&Setting) -> Vec<Run>,
    ) -> Case {
        let mut case = Case::must(id, rule, title, runs);
        case.level = Level::Should;
        case
    }

    pub(crate) const fn quality(
        id: &'static str,
        rule: &'static str,
        title: &'static str,
        runs: fn(&Setting) -> Vec<Run>,
    ) -> Case {
        let mut case = Case::must(id, rule, title, runs);
        case.level = Level::Quality;
        case
    }

    /// The Autobahn suite's cases that check the same.
    pub(crate) const fn old(mut self, old: &'static [&'static str]) -> Case {
        self.old = old;
        self
    }

    /// For servers alone.
    pub(crate) const fn server(mut self) -> Case {
        self.peer = Some(Peer::Server);
        self
    }

    /// For clients alone.
    pub(crate) const fn client(mut self) -> Case {
        self.peer = Some(Peer::Client);
        self
    }

    /// It moves megabytes.
    pub(crate) const fn heavy(mut self) -> Case {
        self.is_heavy = true;
        self
    }

    /// It is about the subprotocols of its requests.
    pub(crate) const fn decides_subprotocols(mut self) -> Case {
        self.decides_subprotocols = true;
        self
    }

    /// Only in a full run.
    pub(crate) const fn full(mut self) -> Case {
        self.depth = Depth::Full;
        self
    }

    /// Whether this is an identifier of the case, here or in the Autobahn suite.
    pub(crate) fn has_name(&self, id: &str) -> bool {
        self.id == id || self.old_ids().iter().any(|old| old == id)
    }

    /// The Autobahn suite's identifiers, each by itself.
    pub(crate) fn old_ids(&self) -> Vec<String> {
        self.old.iter().flat_map(|range| old_ids(range)).collect()
    }
}

impl Run {
    pub(crate) fn new(
        label: impl fmt::Display,
        script: impl Fn() -> Script + Send + Sync + 'static,
    ) -> Run {
        Run {
            label: label.to_string(),
            script: Box::new(script),
        }
    }

    pub(crate) fn script(&self) -> Script {
        (self.script)()
    }
}

/// A case with one run.
pub(crate) fn one(script: fn() -> Script) -> Vec<Run> {
    vec![Run::new("", script)]
}

/// A run for each value; the value is its label.
pub(crate) fn each<T>(values: impl IntoIterator<Item = T>, script: fn(&T) -> Script) -> Vec<Run>
where
    T: fmt::Display + Send + Sync + 'static,
{
    let run = |value: T| Run::new(value.to_string(), move || script(&value));
    values.into_iter().map(run).collect()
}

/// A run for each pair of a label and a value.
pub(crate) fn named<T>(
    values: impl IntoIterator<Item = (&'static str, T)>,
    script: fn(&T) -> Script,
) -> Vec<Run>
where
    T: Send + Sync + 'static,
{
    let run = |(label, value): (&str, T)| Run::new(label, move || script(&value));
    values.into_iter().map(run).collect()
}

/// The same connections, which now need a Close frame with the right code.
pub(crate) fn with_code(runs: impl IntoIterator<Item = Run>) -> Vec<Run> {
    let strict = |run: Run| {
        let label = run.label.clone();
        Run::new(label, move || run.script().with_code())
    };
    runs.into_iter().map(strict).collect()
}

/// `4.1.1-3` is 4.1.1, 4.1.2 and 4.1.3.
fn old_ids(range: &str) -> Vec<String> {
    let Some((first, last)) = range.split_once('-') else {
        return vec![range.to_owned()];
    };
    let (group, first) = first.rsplit_once('.').unwrap_or(("", first));
    let first: u32 = first.parse().unwrap_or(1);
    let last: u32 = last.parse().unwrap_or(first);
    (first..=last)
        .map(|number| format!("{group}.{number}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_of_old_identifiers_is_each_of_them() {
        assert_eq!(old_ids("6.22.33-34"), ["6.22.33", "6.22.34"]);
        assert_eq!(old_ids("2.5"), ["2.5"]);
    }
}
