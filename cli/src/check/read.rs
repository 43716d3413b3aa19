//! Histories from JSON lines: docs/checking.md describes the format.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead};
use std::time::{Duration, Instant};

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use turtle_buffers::check::{Event, History, Op, PENDING, Spec};

/// Stamps have to be smaller than this: the checker counts in halves and has its own infinity.
const STAMPS: u64 = 1 << 61;
/// Numbers from here on stand for names: of threads up to `VALUE_NAMES`, of values beyond. No stamp
/// is that large, and no value or thread stands for itself from here on, so a number in a text that
/// is in these ranges can only be a name.
const THREAD_NAMES: u64 = 1 << 62;
const VALUE_NAMES: u64 = 1 << 63;

const EXAMPLE: &str = r#"{"thread":0,"call":1,"ret":2,"op":"push","value":3}"#;

/// What is wrong with the input, and where.
#[derive(Debug)]
pub(super) enum Bad {
    Line { line: u64, what: String },
    File(io::Error),
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, what } => write!(f, "line {line}: {what}"),
            Self::File(error) => error.fmt(f),
        }
    }
}

/// A name or a number, as it stands in the file.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Name<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of 64 bits or a string")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Name<'de>, E> {
                Ok(Name::Number(number))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Name<'de>, E> {
                Ok(Name::Text(number.to_string().into()))
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name::Text(text.into()))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name::Text(text.to_owned().into()))
            }
        }
        from.deserialize_any(Either)
    }
}

/// The first line, if it is one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<'a> {
    history: u64,
    /// Not there: not said. Null: unbounded.
    #[serde(default, deserialize_with = "said")]
    capacity: Option<Option<usize>>,
    #[serde(default, borrow)]
    initial: Vec<Name<'a>>,
    #[serde(default)]
    drained: bool,
    #[serde(default)]
    unit: String,
}

fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<usize>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// A field that may be null, but must be there.
fn or_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(from)
}

/// One operation. What else stands in the line is left alone.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    thread: Name<'a>,
    call: u64,
    #[serde(deserialize_with = "or_null")]
    ret: Option<u64>,
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(default, borrow)]
    value: Option<Name<'a>>,
}

/// Numbers for names, and back.
#[derive(Debug, Default)]
struct Numbered {
    number: HashMap<Box<str>, u64>,
    name: Vec<Box<str>>,
}

impl Numbered {
    fn number(&mut self, name: &str) -> u64 {
        if let Some(&number) = self.number.get(name) {
            return number;
        }
        let number = self.name.len() as u64;
        self.number.insert(name.into(), number);
        self.name.push(name.into());
        number
    }

    fn name(&self, number: u64) -> Option<&str> {
        self.name
            .get(usize::try_from(number).ok()?)
            .map(|name| &**name)
    }
}

/// A value or a thread as the file has it, for output.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Original<'a> {
    Number(u64),
    Text(&'a str),
}

/// A history and all that the file says about it.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) history: History,
    pub(super) spec: Spec,
    /// Whether the file says how much fits, be it no limit.
    pub(super) capacity_said: bool,
    pub(super) unit: String,
    /// The line of each operation.
    lines: Vec<u64>,
    values: Numbered,
    threads: Numbered,
}

impl Input {
    /// Reads everything. `tell` hears now and then how many operations there are so far.
    pub(super) fn read(mut from: impl BufRead, mut tell: impl FnMut(usize)) -> Result<Self, Bad> {
        let mut input = Self::default();
        let (mut text, mut line) = (Vec::new(), 0);
        let mut told = Instant::now();
        loop {
            text.clear();
            if from.read_until(b'\n', &mut text).map_err(Bad::File)? == 0 {
                return Ok(input);
            }
            line += 1;
            // A mark of byte order, which some systems put at the front.
            let mut bytes = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
            bytes = bytes.trim_ascii();
            if bytes.is_empty() {
                continue;
            }
            let first = input.history.is_empty() && input.lines.is_empty();
            let outcome = if first && is_head(bytes) {
                input.head(bytes)
            } else {
                input.line(bytes, line)
            };
            outcome.map_err(|what| Bad::Line { line, what })?;
            if line % (1 << 16) == 0 && told.elapsed() > Duration::from_secs(2) {
                told = Instant::now();
                tell(input.history.len());
            }
        }
    }

    fn value(&mut self, name: &Name<'_>) -> u64 {
        match name {
            Name::Number(number) if *number < THREAD_NAMES => *number,
            Name::Number(number) => VALUE_NAMES + self.values.number(&number.to_string()),
            Name::Text(text) => VALUE_NAMES + self.values.number(text),
        }
    }

    fn thread(&mut self, name: &Name<'_>) -> usize {
        let number = match name {
            Name::Number(number) if *number < STAMPS => *number,
            Name::Number(number) => THREAD_NAMES + self.threads.number(&number.to_string()),
            Name::Text(text) => THREAD_NAMES + self.threads.number(text),
        };
        // The library runs on 64 bits only.
        number as usize
    }

    fn head(&mut self, text: &[u8]) -> Result<(), String> {
        let head: Head<'_> = serde_json::from_slice(text).map_err(|error| {
            let known = "history, capacity, initial, drained and unit";
            format!(
                "the first line is no specification: {}; it may have {known}",
                plain(&error)
            )
        })?;
        if head.history != 1 {
            return Err(format!(
                "this is version {} of the format; this program reads version 1",
                head.history
            ));
        }
        let initial = head.initial.iter().map(|name| self.value(name)).collect();
        self.capacity_said = head.capacity.is_some();
        self.spec = Spec {
            capacity: head.capacity.flatten(),
            initial,
            drained: head.drained,
        };
        self.unit = head.unit;
        Ok(())
    }

    fn line(&mut self, text: &[u8], number: u64) -> Result<(), String> {
        let line: Line<'_> = serde_json::from_slice(text).map_err(|error| {
            format!(
                "{}; an operation is a line such as {EXAMPLE}",
                plain(&error)
            )
        })?;
        if line.call >= STAMPS || line.ret.is_some_and(|ret| ret >= STAMPS) {
            return Err("a stamp is 2^61 or more; count from the start of the run".to_owned());
        }
        let value = line.value.as_ref().map(|name| self.value(name));
        let op = operation(&line.op, value)?;
        let event = Event {
            thread: self.thread(&line.thread),
            op,
            call: line.call,
            ret: line.ret.unwrap_or(PENDING),
        };
        self.history.push(event);
        self.lines.push(number);
        Ok(())
    }

    /// The line of the file in which this operation stands.
    pub(super) fn line_of(&self, event: usize) -> u64 {
        self.lines[event]
    }

    pub(super) fn thread_of(&self, thread: usize) -> Original<'_> {
        original(thread as u64, THREAD_NAMES, &self.threads)
    }

    pub(super) fn value_of(&self, value: u64) -> Original<'_> {
        original(value, VALUE_NAMES, &self.values)
    }

    /// A text of the checker with names for numbers where the file has names.
    pub(super) fn named(&self, text: &str) -> String {
        if self.values.name.is_empty() && self.threads.name.is_empty() {
            return text.to_owned();
        }
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
            let digits = &rest[begin..];
            let end = digits
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(digits.len());
            named.push_str(&rest[..begin]);
            let name = digits[..end].parse().ok().and_then(|number: u64| {
                if number >= VALUE_NAMES {
                    self.values.name(number - VALUE_NAMES)
                } else {
                    self.threads.name(number.checked_sub(THREAD_NAMES)?)
                }
            });
            named.push_str(name.unwrap_or(&digits[..end]));
            rest = &digits[end..];
        }
        named + rest
    }
}

fn original(number: u64, from: u64, names: &Numbered) -> Original<'_> {
    match number.checked_sub(from).and_then(|index| names.name(index)) {
        Some(name) => Original::Text(name),
        None => Original::Number(number),
    }
}

impl fmt::Display for Original<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn is_head(text: &[u8]) -> bool {
    matches!(serde_json::from_slice(text), Ok(Value::Object(object)) if object.contains_key("history"))
}

/// An error without the line number, which is always 1 here.
fn plain(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}

fn operation(word: &str, value: Option<u64>) -> Result<Op, String> {
    const WITHOUT: [Op; 9] = [
        Op::PushFull,
        Op::PushBusy,
        Op::PushClosed,
        Op::PushAbandoned,
        Op::PopEmpty,
        Op::PopBusy,
        Op::PopClosed,
        Op::PopUnknown,
        Op::Close,
    ];
    match (word, value) {
        ("push", Some(value)) => Ok(Op::Push(value)),
        ("pop", Some(value)) => Ok(Op::Pop(value)),
        ("push", None) => Err(r#"a "push" needs its "value""#.to_owned()),
        ("pop", None) => Err(
            r#"a "pop" needs its "value"; "pop_empty" took none, and of "pop_unknown" nobody knows"#
                .to_owned(),
        ),
        _ => match (WITHOUT.into_iter().find(|op| op.word() == word), value) {
            (Some(op), None) => Ok(op),
            (Some(_), Some(_)) => Err(format!(r#"a "{word}" has no "value""#)),
            (None, _) => {
                let words: Vec<&str> = WITHOUT.iter().map(|op| op.word()).collect();
                Err(format!(
                    "there is no operation {word:?}; the operations are push, pop, {}",
                    words.join(", ")
                ))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Input, Bad> {
        Input::read(text.as_bytes(), |_| {})
    }

    #[test]
    fn names_and_numbers_are_told_apart() {
        let input = read(
            "{\"history\":1,\"initial\":[5,\"5\"]}\n\
             {\"thread\":\"a\",\"call\":1,\"ret\":null,\"op\":\"push\",\"value\":-5}\n\n\
             {\"thread\":3,\"call\":1,\"ret\":2,\"op\":\"pop\",\"value\":18446744073709551615,\"more\":[]}\n",
        )
        .unwrap();
        let events = input.history.events();
        assert_eq!(input.spec.initial[0], 5);
        assert_eq!(input.value_of(input.spec.initial[1]).to_string(), "5");
        assert_ne!(input.spec.initial[1], 5);
        assert_eq!(events[0].ret, PENDING);
        assert_eq!((input.line_of(0), input.line_of(1)), (2, 4));
        let text = input.named(&format!("{} {}", events[0], events[1]));
        assert!(
            text.starts_with("push(-5)") && text.contains("thread a, called at 1"),
            "{text}"
        );
        assert!(
            text.contains("pop -> 18446744073709551615") && text.contains("thread 3"),
            "{text}"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let event = |op, ret| Event {
            thread: 7,
            op,
            call: 3,
            ret,
        };
        let all = [
            Op::Push(1),
            Op::PushFull,
            Op::PushBusy,
            Op::PushClosed,
            Op::PushAbandoned,
            Op::Pop(1),
            Op::PopEmpty,
            Op::PopBusy,
            Op::PopClosed,
            Op::PopUnknown,
            Op::Close,
        ];
        let mut history: History = all.into_iter().map(|op| event(op, 4)).collect();
        history.push(event(Op::Push(2), PENDING));
        for spec in [
            Spec::bounded(3).initial([8, 9]),
            Spec::unbounded().drained(),
        ] {
            let mut text = Vec::new();
            history.write_lines(&spec, &mut text).unwrap();
            let input = Input::read(&text[..], |_| {}).unwrap();
            assert_eq!(
                (input.history, input.spec, input.capacity_said),
                (history.clone(), spec, true)
            );
        }
    }
}
