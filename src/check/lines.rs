//! Histories as JSON lines, for `turtle check` and for other programs.
//!
//! Only writing is here: it needs no library. Reading wants one that copes with whatever people
//! write, which the command line has and this crate shall not depend on.

use std::io::{self, Write};

use super::Spec;
use super::history::{History, Op, PENDING};

impl Op {
    /// The word for this operation in JSON lines: `"push"`, `"pop_empty"`, `"close"`.
    pub fn word(self) -> &'static str {
        match self {
            Op::Push(_) => "push",
            Op::PushFull => "push_full",
            Op::PushBusy => "push_busy",
            Op::PushClosed => "push_closed",
            Op::PushAbandoned => "push_abandoned",
            Op::Pop(_) => "pop",
            Op::PopEmpty => "pop_empty",
            Op::PopBusy => "pop_busy",
            Op::PopClosed => "pop_closed",
            Op::PopUnknown => "pop_unknown",
            Op::Close => "close",
        }
    }
}

impl History {
    /// Writes this history as JSON lines: the specification, then one operation a line, in their
    /// order. `turtle check` reads it; docs/checking.md describes the format.
    ///
    /// Many small writes are made: hand over a [`BufWriter`](io::BufWriter).
    ///
    /// ```
    /// use turtle_buffers::check::{Event, History, Op, Spec};
    ///
    /// let push = Event { thread: 0, op: Op::Push(7), call: 1, ret: 2 };
    /// let mut text = Vec::new();
    /// History::from(vec![push]).write_lines(&Spec::bounded(4), &mut text)?;
    /// assert_eq!(
    ///     String::from_utf8(text).unwrap(),
    ///     "{\"history\":1,\"capacity\":4}\n\
    ///      {\"thread\":0,\"call\":1,\"ret\":2,\"op\":\"push\",\"value\":7}\n"
    /// );
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_lines(&self, spec: &Spec, mut out: impl Write) -> io::Result<()> {
        out.write_all(b"{\"history\":1,\"capacity\":")?;
        match spec.capacity {
            Some(capacity) => write!(out, "{capacity}")?,
            None => out.write_all(b"null")?,
        }
        if !spec.initial.is_empty() {
            let values: Vec<String> = spec.initial.iter().map(u64::to_string).collect();
            write!(out, ",\"initial\":[{}]", values.join(","))?;
        }
        if spec.drained {
            out.write_all(b",\"drained\":true")?;
        }
        out.write_all(b"}\n")?;
        for event in self.events() {
            write!(
                out,
                "{{\"thread\":{},\"call\":{},\"ret\":",
                event.thread, event.call
            )?;
            match event.ret {
                PENDING => out.write_all(b"null")?,
                ret => write!(out, "{ret}")?,
            }
            write!(out, ",\"op\":\"{}\"", event.op.word())?;
            if let Op::Push(value) | Op::Pop(value) = event.op {
                write!(out, ",\"value\":{value}")?;
            }
            out.write_all(b"}\n")?;
        }
        out.flush()
    }
}
