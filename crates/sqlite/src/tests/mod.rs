//! Tests of the store with files, and what they share; `disk.rs` has those of a server on a slow disk.

mod disk;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, process};

use proptest::prelude::*;
use yamabiko::server::{BackplaneMessage, Erasure, Message, Position, RoomHistory};

use crate::error::OpenErrorReason;
use crate::file::DataFile;
use crate::records::RecordChanges;
use crate::room::Time;
use crate::settings::{Durability, SqliteSettings};
use crate::store::{RoomBatch, Store};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = env::temp_dir().join(format!("yamabiko-data-{}-{test}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("rooms.db")
    }

    fn open(&self, settings: &SqliteSettings) -> Store {
        Store::new(DataFile::open(&self.file(), settings).expect("a data file"))
    }

    fn refusal(&self) -> OpenErrorReason {
        let refused = DataFile::open(&self.file(), &SqliteSettings::default());
        let Err(error) = refused else {
            panic!("the file was opened");
        };
        let text = error.to_string();
        assert!(
            text.contains("rooms.db: ") && !text.contains('\n'),
            "{text}"
        );
        error_reason(error)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn error_reason(error: crate::OpenError) -> OpenErrorReason {
    // The reason is not `Clone`: its text tells which one it is.
    match error.reason() {
        OpenErrorReason::NoFolder => OpenErrorReason::NoFolder,
        OpenErrorReason::NoFile => OpenErrorReason::NoFile,
        OpenErrorReason::InUse => OpenErrorReason::InUse,
        OpenErrorReason::NotADatabase => OpenErrorReason::NotADatabase,
        OpenErrorReason::ReadOnly => OpenErrorReason::ReadOnly,
        OpenErrorReason::Damaged(detail) => OpenErrorReason::Damaged(detail.clone()),
        other => panic!("{other}"),
    }
}

fn batch(room: &str, history: RoomHistory, texts: &[&str]) -> RoomBatch {
    let message = |text: &&str| BackplaneMessage::new(0, Message::Text(text));
    RoomBatch {
        room: room.into(),
        history: Some(history),
        messages: texts.iter().map(message).collect(),
    }
}

fn append(store: &mut Store, room: &str, texts: &[&str], now: Time) -> Position {
    let batch = batch(room, RoomHistory::default(), texts);
    store.append(&[batch], now).expect("space")[0]
}

/// The place of the newest message, and the kept texts.
fn load(store: &mut Store, room: &str, history: RoomHistory, now: Time) -> (Position, Vec<String>) {
    let loaded = store
        .subscribe(&room.into(), Some(history), now)
        .expect("a room");
    assert!(loaded.unreadable.is_none());
    let text = |message: &BackplaneMessage| {
        assert!(message.is_text());
        String::from_utf8(message.payload().to_vec()).expect("a text")
    };
    (loaded.head, loaded.messages.iter().map(text).collect())
}

#[test]
fn offsets_and_messages_go_on_after_a_restart() {
    let folder = Folder::new("restart");
    let settings = SqliteSettings::default();
    let mut store = folder.open(&settings);
    let first = append(&mut store, "hall", &["one", "two"], 1);
    assert_eq!(first.offset(), 1);
    store.close().expect("a whole file");
    assert!(!folder.0.join("rooms.db-wal").exists());

    let mut store = folder.open(&settings);
    assert_eq!(append(&mut store, "hall", &["three"], 2), first.plus(2));
    // Without its end in order.
    drop(store);
    let mut store = folder.open(&settings);
    let (head, texts) = load(&mut store, "hall", RoomHistory::default(), 3);
    assert_eq!(
        (head, texts),
        (
            first.plus(2),
            ["one", "two", "three"].map(str::to_owned).to_vec()
        )
    );
}

#[test]
fn records_are_loaded_in_the_order_of_their_last_changes_and_none_is_missing_after_a_kill() {
    let folder = Folder::new("records");
    let settings = SqliteSettings::default();
    let changes = |changes: &[(&str, Option<&str>)]| -> RecordChanges {
        let change = |(name, text): &(&str, Option<&str>)| ((*name).into(), text.map(Into::into));
        changes.iter().map(change).collect()
    };
    let mut store = folder.open(&settings);
    for set in [
        ("a", Some("1")),
        ("b", Some("2")),
        ("c", Some("3")),
        ("a", Some("4")),
        ("b", None),
        ("d", None),
    ] {
        store.change_records(&changes(&[set])).expect("space");
    }
    // Without its end in order.
    drop(store);
    let store = folder.open(&settings);
    let record = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let expected = vec![record("c", "3"), record("a", "4")];
    assert_eq!(store.records().expect("a table"), expected);
}

#[test]
fn text_of_an_erased_message_is_nowhere_in_the_files_and_its_offset_stays() {
    let folder = Folder::new("erased");
    let settings = SqliteSettings::default();
    let mut store = folder.open(&settings);
    // A short one, and one with pages of its own, between many others.
    let secrets = [
        "secret-words-short".to_owned(),
        "secret-words-long".repeat(2000),
    ];
    for number in 0..200 {
        append(&mut store, "hall", &[&format!("text {number}")], 1);
    }
    let short = append(&mut store, "hall", &[&secrets[0]], 1);
    let long = append(&mut store, "hall", &[&secrets[1]], 1);
    let other = append(&mut store, "attic", &["secret-words, kept"], 1);
    append(&mut store, "hall", &["behind"], 1);
    let notice = |position: Position| {
        let erasure = Erasure::new(position, "gone");
        BackplaneMessage::new(0, Message::Text("notice")).with_erasure(Some(erasure))
    };
    let elsewhere = Position::new(short.epoch().wrapping_add(1), 1);
    let erasures = RoomBatch {
        room: "hall".into(),
        history: Some(RoomHistory::default()),
        messages: vec![
            notice(short),
            notice(long),
            notice(elsewhere),
            notice(short.plus(900)),
        ],
    };
    store.append(&[erasures], 2).expect("space");
    let has_secret = |name: &str| {
        let bytes = fs::read(folder.0.join(name)).unwrap_or_default();
        let secret = b"secret-words-";
        bytes.windows(secret.len()).any(|window| window == secret)
    };
    assert!(!has_secret("rooms.db") && !has_secret("rooms.db-wal"));
    let (head, texts) = load(&mut store, "hall", RoomHistory::default(), 3);
    assert_eq!((head, texts.len()), (short.plus(6), 207));
    assert_eq!(texts[199..203], ["text 199", "gone", "gone", "behind"]);
    // The counted bytes are those of the messages: the room drops what is beyond its limits, and no more.
    let bytes_max = texts.iter().map(|text| text.len() as u64 + 2).sum();
    let limits = RoomHistory {
        bytes_max,
        ..RoomHistory::default()
    };
    drop(store);
    let mut store = folder.open(&settings);
    assert_eq!(load(&mut store, "hall", limits, 3).1, texts);
    assert_eq!(load(&mut store, "attic", limits, 3).0, other);
}

#[test]
fn binary_data_and_texts_come_back_as_they_were() {
    let folder = Folder::new("binary");
    let mut store = folder.open(&SqliteSettings::default());
    let messages = [
        Message::Binary(b"\0\xFF"),
        Message::Text(""),
        Message::Text("e\u{301}\0"),
    ];
    let batch = RoomBatch {
        room: "hall".into(),
        history: Some(RoomHistory::default()),
        messages: messages
            .map(|message| BackplaneMessage::new(1, message))
            .to_vec(),
    };
    store.append(&[batch], 1).expect("space");
    let loaded = store
        .subscribe(&"hall".into(), Some(RoomHistory::default()), 1)
        .expect("a room");
    let read: Vec<_> = loaded
        .messages
        .iter()
        .map(|one| (one.is_text(), one.payload().to_vec()))
        .collect();
    let expected = messages.map(|one| (one.as_text().is_some(), one.as_bytes().to_vec()));
    assert_eq!(read, expected);
}

#[test]
fn copy_of_the_file_has_other_epochs() {
    let folder = Folder::new("copy");
    let settings = SqliteSettings::default();
    let mut store = folder.open(&settings);
    let before = append(&mut store, "hall", &["one"], 1);
    store.close().expect("a whole file");
    let copy = folder.0.join("copy");
    fs::copy(folder.file(), &copy).expect("a copy");
    fs::rename(copy, folder.file()).expect("the copy in its place");
    let mut store = folder.open(&settings);
    let (head, texts) = load(&mut store, "hall", RoomHistory::default(), 1);
    assert_ne!(head.epoch(), before.epoch());
    assert_eq!((head.offset(), texts), (1, vec!["one".to_owned()]));
}

#[test]
fn room_without_a_history_is_numbered_and_keeps_nothing() {
    let folder = Folder::new("no-history");
    let mut store = folder.open(&SqliteSettings::default());
    append(&mut store, "hall", &["kept"], 1);
    let nothing = RoomBatch {
        history: None,
        ..batch("hall", RoomHistory::default(), &["not kept"])
    };
    assert_eq!(store.append(&[nothing], 2).expect("space")[0].offset(), 2);
    let (head, texts) = load(&mut store, "hall", RoomHistory::default(), 2);
    // What was kept before does not reach to the newest message.
    assert_eq!((head.offset(), texts.len()), (2, 0));
    assert_eq!(append(&mut store, "hall", &["kept again"], 3).offset(), 3);
    assert_eq!(
        load(&mut store, "hall", RoomHistory::default(), 3).1,
        ["kept again"]
    );
}

#[test]
fn transaction_that_fails_uses_no_offset() {
    let folder = Folder::new("full");
    let settings = SqliteSettings {
        file_bytes_max: 1 << 20,
        ..SqliteSettings::default()
    };
    let mut store = folder.open(&settings);
    let first = append(&mut store, "hall", &["one"], 1);
    let long = "x".repeat(2 << 20);
    let history = RoomHistory::default();
    let both = [
        batch("hall", history, &["two", &long]),
        batch("garden", history, &["one"]),
    ];
    let refused = store.append(&both, 2).expect_err("the file is too small");
    assert_eq!(
        crate::writer::reason(&refused),
        "the disk or the data file is full"
    );
    store.probe(100_000).expect("a change that fits");
    store.probe(2 << 20).expect_err("a change that does not");
    assert_eq!(append(&mut store, "hall", &["again"], 3), first.plus(1));
    assert_eq!(append(&mut store, "garden", &["one"], 3).offset(), 1);
}

#[test]
fn new_room_can_be_joined_while_the_file_is_full_and_keeps_its_epoch() {
    let folder = Folder::new("new-room");
    let mut store = folder.open(&SqliteSettings::default());
    store.refuse_changes(true);
    let (head, _) = load(&mut store, "hall", RoomHistory::default(), 1);
    assert_eq!(load(&mut store, "hall", RoomHistory::default(), 1).0, head);
    let refused = store.append(&[batch("hall", RoomHistory::default(), &["one"])], 1);
    assert!(refused.is_err());
    store.refuse_changes(false);
    assert_eq!(append(&mut store, "hall", &["one"], 2), head.plus(1));
}

#[test]
fn file_stays_within_its_size_and_keeps_the_newest_messages() {
    let folder = Folder::new("size");
    let settings = SqliteSettings {
        file_bytes_max: 1 << 20,
        ..SqliteSettings::default()
    };
    let mut store = folder.open(&settings);
    let history = RoomHistory {
        messages_max: u64::MAX,
        bytes_max: u64::MAX,
        age_max: None,
    };
    let text = "x".repeat(500);
    for round in 0..200 {
        let rooms = [round % 7, 7 + round % 50];
        let batches = rooms.map(|room| batch(&format!("room {room}"), history, &[&*text; 20]));
        store
            .append(&batches, round)
            .expect("space for new messages");
    }
    let (head, texts) = load(&mut store, "room 3", history, 200);
    assert_eq!(head.offset(), 29 * 20);
    assert!(texts.len() >= 20, "{}", texts.len());
    store.close().expect("a whole file");
    let bytes = fs::metadata(folder.file()).expect("the file").len();
    assert!(bytes <= 1 << 20, "{bytes}");
}

#[test]
fn messages_that_are_too_old_and_rooms_that_nobody_uses_are_dropped() {
    let folder = Folder::new("age");
    let mut store = folder.open(&SqliteSettings::default());
    let history = RoomHistory {
        age_max: Some(Duration::from_millis(100)),
        ..RoomHistory::default()
    };
    for (text, now) in [("old", 0), ("young", 50)] {
        store
            .append(&[batch("hall", history, &[text])], now)
            .expect("space");
    }
    let before = append(&mut store, "garden", &["stays"], 0);
    assert_eq!(load(&mut store, "hall", history, 99).1, ["old", "young"]);
    store.tidy(-1, 100).expect("a change");
    // Also for a longer history, because it is gone.
    assert_eq!(
        load(&mut store, "hall", RoomHistory::default(), 100).1,
        ["young"]
    );
    store
        .append(&[batch("hall", history, &[])], 100)
        .expect("the limits of before");
    store.tidy(-1, 150).expect("a change");
    let (hall, texts) = load(&mut store, "hall", history, 150);
    assert_eq!((hall.offset(), texts.len()), (2, 0));

    store.tidy(151, 151).expect("a change");
    assert_eq!(
        load(&mut store, "hall", history, 151).0,
        hall,
        "it has subscribers"
    );
    store.unsubscribe("hall");
    store.tidy(152, 152).expect("a change");
    let (again, _) = load(&mut store, "hall", history, 152);
    assert_eq!(again.offset(), 0);
    assert_ne!(again.epoch(), hall.epoch());
    assert_eq!(
        load(&mut store, "garden", RoomHistory::default(), 152).0,
        before
    );
}

#[test]
fn file_that_cannot_be_used_is_refused_with_the_reason() {
    let folder = Folder::new("refused");
    let path = folder.file();
    fs::create_dir(&path).expect("a folder");
    assert!(matches!(folder.refusal(), OpenErrorReason::NoFile));
    fs::remove_dir(&path).expect("no folder");

    fs::write(&path, "This is a text and no database. ".repeat(100)).expect("a file");
    assert!(matches!(folder.refusal(), OpenErrorReason::NotADatabase));
    fs::remove_file(&path).expect("no file");

    let store = folder.open(&SqliteSettings::default());
    assert!(matches!(folder.refusal(), OpenErrorReason::InUse));
    drop(store);

    let missing = Folder(folder.0.join("missing"));
    assert!(matches!(missing.refusal(), OpenErrorReason::NoFolder));
}

#[test]
fn damaged_file_is_refused_where_messages_may_be_missing() {
    let folder = Folder::new("damaged");
    let mut store = folder.open(&SqliteSettings::default());
    for round in 0..100 {
        append(&mut store, "hall", &["x".repeat(900).as_str(); 4], round);
    }
    store.close().expect("a whole file");
    // Written anew, so it is another file, with a hole in its middle.
    let mut content = fs::read(folder.file()).expect("the file");
    let middle = content.len() / 2;
    content[middle..middle + 8192].fill(0xA5);
    fs::remove_file(folder.file()).expect("no file");
    fs::write(folder.0.join("other"), content).expect("a file");
    fs::rename(folder.0.join("other"), folder.file()).expect("the file");
    let refusal = folder.refusal();
    assert!(
        matches!(refusal, OpenErrorReason::Damaged(_)),
        "{refusal:?}"
    );
}

#[cfg(unix)]
#[test]
fn only_the_owner_of_the_server_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("mode");
    let mut store = folder.open(&SqliteSettings::default());
    append(&mut store, "hall", &["one"], 1);
    for name in ["rooms.db", "rooms.db-wal"] {
        let mode = fs::metadata(folder.0.join(name))
            .expect(name)
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(usize, Vec<u8>)>),
    /// With a disk that takes nothing.
    Refused(usize),
    Load(usize),
    Restart {
        in_order: bool,
    },
    Tidy,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![4 => 0..40u8, 1 => 200..=255u8];
    let messages = prop::collection::vec((0..ROOMS, prop::collection::vec(length, 0..6)), 0..4);
    prop_oneof![
        6 => messages.prop_map(Step::Append),
        1 => (0..ROOMS).prop_map(Step::Refused),
        3 => (0..ROOMS).prop_map(Step::Load),
        1 => any::<bool>().prop_map(|in_order| Step::Restart { in_order }),
        1 => Just(Step::Tidy),
    ]
}

const ROOMS: usize = 3;

/// What a room must have: its whole sequence.
#[derive(Default)]
struct Model {
    epoch: Option<u64>,
    texts: VecDeque<String>,
}

fn history_of(room: usize) -> RoomHistory {
    RoomHistory {
        messages_max: [5, 1000, 20][room],
        bytes_max: [100_000, 300, 2000][room],
        age_max: None,
    }
}

/// How many of the newest texts are within the limits.
fn within(history: &RoomHistory, texts: &VecDeque<String>) -> usize {
    let mut bytes = 0;
    let fits = |text: &&String| {
        bytes += text.len() as u64 + if text.len() < 126 { 2 } else { 4 };
        bytes <= history.bytes_max
    };
    let most = usize::try_from(history.messages_max).unwrap_or(usize::MAX);
    texts.iter().rev().take(most).take_while(fits).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn room_is_the_end_of_its_whole_sequence_whatever_happens(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let folder = Folder::new("model");
        let settings = SqliteSettings { durability: Durability::Off, ..SqliteSettings::default() };
        let mut store = folder.open(&settings);
        let mut rooms: HashMap<usize, Model> = HashMap::new();
        let mut number = 0;
        for (now, step) in steps.into_iter().enumerate() {
            let now = now as Time;
            match step {
                Step::Append(batches) => {
                    let mut texts = Vec::new();
                    for (room, lengths) in batches {
                        let text = |&length: &u8| {
                            number += 1;
                            format!("{number:-<width$}", width = usize::from(length))
                        };
                        texts.push((room, lengths.iter().map(text).collect::<Vec<String>>()));
                    }
                    let batches: Vec<RoomBatch> = texts.iter().map(|(room, texts)| {
                        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                        batch(&room.to_string(), history_of(*room), &texts)
                    }).collect();
                    let firsts = store.append(&batches, now).expect("space");
                    for ((room, texts), first) in texts.into_iter().zip(firsts) {
                        let model = rooms.entry(room).or_default();
                        prop_assert_eq!(first.offset(), model.texts.len() as u64 + 1);
                        prop_assert_eq!(first.epoch(), *model.epoch.get_or_insert(first.epoch()));
                        model.texts.extend(texts);
                    }
                }
                Step::Refused(room) => {
                    store.refuse_changes(true);
                    let refused = batch(&room.to_string(), history_of(room), &["refused"]);
                    prop_assert!(store.append(&[refused], now).is_err());
                    store.refuse_changes(false);
                }
                Step::Load(room) => {
                    let history = history_of(room);
                    let (head, texts) = load(&mut store, &room.to_string(), history, now);
                    let model = rooms.entry(room).or_default();
                    prop_assert_eq!(head.epoch(), *model.epoch.get_or_insert(head.epoch()));
                    prop_assert_eq!(head.offset(), model.texts.len() as u64);
                    let kept = within(&history, &model.texts);
                    let expected: Vec<&String> =
                        model.texts.iter().skip(model.texts.len() - kept).collect();
                    prop_assert_eq!(texts.iter().collect::<Vec<_>>(), expected);
                }
                Step::Restart { in_order } => {
                    match in_order {
                        true => store.close().expect("a whole file"),
                        false => drop(store),
                    }
                    store = folder.open(&settings);
                }
                Step::Tidy => _ = store.tidy(-1, now).expect("a change"),
            }
        }
    }
}
