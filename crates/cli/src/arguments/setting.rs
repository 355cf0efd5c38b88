//! One row of the table of settings, and the option of the command line that it is.
//!
//! A [`Setting`] has a name, a text, a reason, and the place in [`Settings`] of its value. The place is one function,
//! which lends the field: reading an option writes it, and the help and `yamabiko config` read it. The [`Form`] tells how the
//! value is written as text. Everything else follows from the row:
//!
//! ```text
//!                          ┌─▶ --ping-interval           an option of clap, with help and default
//!   interval(…,            ├─▶ YAMABIKO_PING_INTERVAL    environment.rs
//!     "ping-interval", …) ─┼─▶ ping-interval = 25        file.rs reads it, effective.rs writes it
//!                          └─▶ docs/limits.md            compared by the tests
//! ```

use std::sync::Arc;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches};

use super::settings::Settings;
use super::values::{Form, NONE, Value, is_set};

/// One setting of the servers.
pub(super) struct Setting {
    /// The option without `--`, and the key in a file.
    pub name: &'static str,
    /// The heading of the help that it is under.
    pub heading: Option<&'static str>,
    /// Its effect, in one line.
    pub help: &'static str,
    /// The reason of its default; may be empty.
    pub reason: &'static str,
    details: &'static str,
    /// The default in the help of `serve` and of `echo`, if it is no value.
    described: Option<[&'static str; 2]>,
    unit: &'static str,
    servers: Servers,
    needs_restart: bool,
    kind: Kind,
    read: ValueParser,
    clear: Option<Change>,
    write: Arc<dyn Fn(&mut Settings) -> Value>,
}

/// The commands that have the setting.
#[derive(Clone, Copy, PartialEq)]
enum Servers {
    Both,
    ServeOnly,
}

/// How the option is given.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// At most once, with a value.
    Value,
    /// Any number of times, or several values with commas.
    List,
    /// Alone, or with true or false.
    Switch,
}

/// A value that has been read: what it does to the settings.
type Change = Arc<dyn Fn(&mut Settings) + Send + Sync>;

/// A field of the settings.
type Place<T> = fn(&mut Settings) -> &mut T;

/// A setting that always has a value.
pub(super) fn value<T: Field>(name: &'static str, form: Form<T>, place: Place<T>) -> Setting {
    let read = move |text: &str| (form.read)(text).map(|value| changes(place, value));
    let write = move |settings: &mut Settings| (form.write)(place(settings));
    Setting::new(name, form.unit, ValueParser::from(read), write)
}

/// A setting that can be switched off, by `none`.
pub(super) fn optional<T: Field>(
    name: &'static str,
    form: Form<T>,
    place: Place<Option<T>>,
) -> Setting {
    let off = |expected| format!("{expected}, or {NONE}");
    switched_off_by(NONE, off, name, form, place)
}

/// A setting that can be switched off, by `0`.
pub(super) fn or_zero<T: Field>(
    name: &'static str,
    form: Form<T>,
    place: Place<Option<T>>,
) -> Setting {
    let off = |expected: String| expected.replacen("expected ", "expected 0, or ", 1);
    switched_off_by("0", off, name, form, place)
}

fn switched_off_by<T: Field>(
    off: &'static str,
    expected: fn(String) -> String,
    name: &'static str,
    form: Form<T>,
    place: Place<Option<T>>,
) -> Setting {
    let read = move |text: &str| match text == off {
        true => Ok(changes(place, None)),
        false => match (form.read)(text) {
            Ok(value) => Ok(changes(place, Some(value))),
            Err(error) => Err(expected(error)),
        },
    };
    let write = move |settings: &mut Settings| match place(settings) {
        Some(value) => (form.write)(value),
        None => Value::number_or_text(off),
    };
    Setting::new(name, form.unit, ValueParser::from(read), write)
}

/// A setting with any number of values.
pub(super) fn list<T: Field>(name: &'static str, form: Form<T>, place: Place<Vec<T>>) -> Setting {
    let read = move |text: &str| {
        let value = (form.read)(text)?;
        let push = move |settings: &mut Settings| place(settings).push(value.clone());
        Ok::<Change, String>(Arc::new(push))
    };
    let write = move |settings: &mut Settings| {
        let values = place(settings).iter();
        Value::List(
            values
                .map(|value| (form.write)(value).to_string())
                .collect(),
        )
    };
    Setting {
        kind: Kind::List,
        clear: Some(Arc::new(move |settings| place(settings).clear())),
        ..Setting::new(name, form.unit, ValueParser::from(read), write)
    }
}

/// A setting that is true or false.
pub(super) fn switch(name: &'static str, place: Place<bool>) -> Setting {
    let read = move |text: &str| is_set(text).map(|value| changes(place, value));
    let write = move |settings: &mut Settings| Value::Bare(place(settings).to_string());
    Setting {
        kind: Kind::Switch,
        ..Setting::new(name, "BOOL", ValueParser::from(read), write)
    }
}

/// A setting that is one of these values, each with its name and its meaning.
pub(super) fn choice<T: Field + PartialEq>(
    name: &'static str,
    unit: &'static str,
    values: &'static [(T, &'static str, &'static str)],
    place: Place<T>,
) -> Setting {
    let names = values
        .iter()
        .map(|(_, name, help)| PossibleValue::new(*name).help(*help));
    let read = PossibleValuesParser::new(names).map(move |name: String| {
        let named = values.iter().find(|(_, other, _)| *other == name);
        let value = named.map(|(value, ..)| value.clone());
        let change: Change = Arc::new(move |settings| {
            if let Some(value) = &value {
                place(settings).clone_from(value);
            }
        });
        change
    });
    let write = move |settings: &mut Settings| {
        let current = place(settings);
        let found = values.iter().find(|(value, ..)| value == current);
        Value::Text(found.map_or("", |(_, name, _)| name).to_owned())
    };
    Setting::new(name, unit, ValueParser::new(read), write)
}

/// What a field of the settings can be.
pub(super) trait Field: Clone + Send + Sync + 'static {}

impl<T: Clone + Send + Sync + 'static> Field for T {}

fn changes<T: Field>(place: Place<T>, value: T) -> Change {
    Arc::new(move |settings| place(settings).clone_from(&value))
}

impl Setting {
    fn new(
        name: &'static str,
        unit: &'static str,
        read: ValueParser,
        write: impl Fn(&mut Settings) -> Value + 'static,
    ) -> Setting {
        Setting {
            name,
            heading: None,
            help: "",
            reason: "",
            details: "",
            described: None,
            unit,
            servers: Servers::Both,
            needs_restart: false,
            kind: Kind::Value,
            read,
            clear: None,
            write: Arc::new(write),
        }
    }

    /// The heading of the help that it is under.
    pub(super) fn under(self, heading: Option<&'static str>) -> Setting {
        Setting { heading, ..self }
    }

    /// Its effect, in one line.
    pub(super) fn help(self, help: &'static str) -> Setting {
        Setting { help, ..self }
    }

    /// The reason of its default.
    pub(super) fn reason(self, reason: &'static str) -> Setting {
        Setting { reason, ..self }
    }

    /// What only the long help has.
    pub(super) fn details(self, details: &'static str) -> Setting {
        Setting { details, ..self }
    }

    /// The default in words, where it depends on the machine or on other settings.
    pub(super) fn by_default(self, described: &'static str) -> Setting {
        self.by_default_of([described; 2])
    }

    /// The default of `serve` and of `echo` in words.
    pub(super) fn by_default_of(self, servers: [&'static str; 2]) -> Setting {
        Setting {
            described: Some(servers),
            ..self
        }
    }

    /// The setting has no effect on `echo`, which has no rooms, and `echo` does not take it.
    pub(super) fn only_serve(self) -> Setting {
        Setting {
            servers: Servers::ServeOnly,
            ..self
        }
    }

    /// A running server keeps its value when the settings are read again.
    pub(super) fn needs_restart(self) -> Setting {
        Setting {
            needs_restart: true,
            ..self
        }
    }

    /// Whether a running server keeps its value when the settings are read again.
    pub(super) fn is_kept_until_restart(&self) -> bool {
        self.needs_restart
    }

    /// Whether `echo` has the setting.
    pub(super) fn is_of_echo(&self) -> bool {
        self.servers == Servers::Both
    }

    /// Whether its value is true or false.
    pub(super) fn is_switch(&self) -> bool {
        self.kind == Kind::Switch
    }

    /// Its value in these settings.
    pub(super) fn value(&self, settings: &mut Settings) -> Value {
        (self.write)(settings)
    }

    /// The values of this option among the arguments, and in the environment, become those of the settings.
    pub(super) fn apply(&self, matches: &ArgMatches, settings: &mut Settings) {
        let Some(changes) = matches.get_many::<Change>(self.name) else {
            return;
        };
        if let Some(clear) = &self.clear {
            clear(settings);
        }
        changes.for_each(|change| change(settings));
    }

    /// The option of the command line. `defaults`: the settings that it changes.
    pub(super) fn option(&self, defaults: &mut Settings) -> Arg {
        let default = match self.described {
            Some(described) => described[usize::from(defaults.is_echo)].to_owned(),
            None => self.value(defaults).to_string(),
        };
        let paragraphs = [self.help, self.details, &sentence(self.reason)];
        let long = paragraphs.map(|text| match text {
            "" => String::new(),
            text => format!("{text}\n\n"),
        });
        let option = Arg::new(self.name)
            .long(self.name)
            .value_name(self.unit)
            .value_parser(self.read.clone())
            .help_heading(self.heading)
            .help(format!("{} [default: {default}]", self.help))
            .long_help(format!("{}[default: {default}]", long.concat()));
        match self.kind {
            Kind::Value => option.action(ArgAction::Set),
            Kind::List => option.action(ArgAction::Append).value_delimiter(','),
            Kind::Switch => option
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true"),
        }
    }
}

/// The reason of a default as a sentence of the long help.
fn sentence(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!("Reason of the default: {reason}."),
    }
}
