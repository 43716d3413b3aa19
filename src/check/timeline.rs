//! A history as a picture: one row a thread, one bar a call, in SVG.
//!
//! The picture needs nothing from elsewhere, no font and no script. It brings its own background,
//! so that it can be read on a light and on a dark page. What matters is never said by colour
//! alone: kinds of calls differ by their words, what is wrong has a thick frame and a mark. The
//! colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::history::{Event, History, INITIAL, Op, PENDING};
use super::violation::{Inside, Violation};
use super::words::Names;
use super::{Smallest, Spec};

/// Width of a character of the labels, which are of fixed width, and of the sentence, roughly.
const CHAR: f64 = 7.3;
const SENTENCE_CHAR: f64 = 9.2;
const MARGIN: f64 = 16.0;
const BAR: f64 = 24.0;
const LANE: f64 = 30.0;
const ROW_GAP: f64 = 8.0;
/// The least distance between two instants.
const STEP: f64 = 13.0;
const LEAST_WIDTH: f64 = 620.0;
/// A longer name is cut.
const LONGEST_NAME: usize = 24;

const BACK: &str = "#fcfcfc";
const INK: &str = "#1b1b1b";
const PALE: &str = "#d5d5d5";
const PUSH: &str = "#0072b2";
const POP: &str = "#f0c14b";
const CLOSE: &str = "#cfcfcf";
/// Text that is not the point, still dark enough to be read.
const FAINT: &str = "#555555";
const WRONG: &str = "#c43c00";

/// Draws operations as a timeline; [`Display`](fmt::Display) writes the SVG.
///
/// Each thread has a row and each call a bar from its call to its return, with what it did. Time
/// runs to the right, in the order of the stamps; the distances between them mean nothing, so that
/// every label has room. A call that never returned has an open end. Below, the elements that a
/// violation names are shown for as long as they were inside for certain.
///
/// Made for 3 to 30 calls; see [`smallest`](super::smallest) for how to get few. Of more than
/// [`limit`](Self::limit) calls the ones that the violation names are drawn and the first others.
#[derive(Debug)]
pub struct Timeline<'a> {
    events: Vec<Event>,
    violation: Option<&'a Violation>,
    /// What is drawn as usual if not everything is.
    strong: Option<&'a [Event]>,
    names: Names<'a>,
    unit: &'a str,
    limit: usize,
}

impl<'a> Timeline<'a> {
    /// These operations. The initial elements of a [`Spec`](super::Spec) are not among them.
    pub fn new(events: &[Event]) -> Self {
        Self {
            events: events.to_vec(),
            violation: None,
            strong: None,
            names: Names::default(),
            unit: "",
            limit: 60,
        }
    }

    /// The smallest part of a wrong history, with what is wrong in it.
    pub fn of(small: &'a Smallest) -> Self {
        let events: Vec<Event> = initial(&small.spec)
            .chain(small.history.events().iter().copied())
            .collect();
        Self::new(&events).violation(&small.violation)
    }

    /// The smallest part of a wrong history among all of its calls, which are drawn pale. For short
    /// histories: what else went on often tells why it went wrong.
    pub fn among(small: &'a Smallest, whole: &History, spec: &Spec) -> Self {
        let mut timeline = Self::of(small);
        let initial = initial(spec);
        timeline.events = initial.chain(whole.events().iter().copied()).collect();
        timeline.strong = Some(small.history.events());
        timeline
    }

    /// Says what is wrong, in a sentence at the top, and marks it.
    pub fn violation(self, violation: &'a Violation) -> Self {
        Self {
            violation: Some(violation),
            ..self
        }
    }

    /// Other names for values and threads than their numbers.
    pub fn names(self, names: Names<'a>) -> Self {
        Self { names, ..self }
    }

    /// The unit of the stamps, such as `ns`. Without one they are called stamps.
    pub fn unit(self, unit: &'a str) -> Self {
        Self { unit, ..self }
    }

    /// The most calls to draw; 60 if not said.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }
}

/// The elements inside from the start, as events.
fn initial(spec: &Spec) -> impl Iterator<Item = Event> {
    spec.initial.iter().map(|&value| Event {
        thread: INITIAL,
        op: Op::Push(value),
        call: 0,
        ret: 0,
    })
}

/// One call: an event, or the events of one batch.
struct Call {
    event: Event,
    label: String,
    wrong: bool,
    pale: bool,
    lane: usize,
}

impl Call {
    fn enter(&self) -> u64 {
        enter(&self.event)
    }

    fn leave(&self) -> u64 {
        leave(&self.event)
    }
}

/// Before everything else for what was inside from the start. As in the checker, of two equal
/// stamps a call comes before a return, for these operations overlap.
fn enter(event: &Event) -> u64 {
    if event.thread == INITIAL {
        0
    } else {
        2 * event.call + 2
    }
}

fn leave(event: &Event) -> u64 {
    match (event.thread, event.ret) {
        (INITIAL, _) => 1,
        (_, PENDING) => u64::MAX,
        (_, ret) => 2 * ret + 3,
    }
}

/// Text as XML may hold it, names cut to a length that has room.
fn cut(name: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    if name.chars().count() <= LONGEST_NAME {
        name.chars().map(clean).collect()
    } else {
        name.chars()
            .take(LONGEST_NAME - 1)
            .map(clean)
            .chain(['…'])
            .collect()
    }
}

fn escape(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() && c != '\n' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

fn width(label: &str) -> f64 {
    label.chars().count() as f64 * CHAR
}

/// Lines of at most so many characters.
fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The places of the instants from left to right.
struct Axis {
    instants: Vec<u64>,
    /// One more than instants: the last is the right end.
    places: Vec<f64>,
}

impl Axis {
    /// At least so long, and so that every bar has room for its label.
    fn new(calls: &[Call], least: f64) -> Self {
        let mut instants: Vec<u64> = calls
            .iter()
            .flat_map(|call| [call.enter(), call.leave()])
            .filter(|&instant| instant != u64::MAX)
            .collect();
        instants.sort_unstable();
        instants.dedup();
        let mut axis = Self {
            places: Vec::new(),
            instants,
        };
        // Two stamps are further apart than a stamp with its own return, which need one label.
        let stamp = |instant: &u64| instant / 2;
        let digits = axis
            .instants
            .iter()
            .map(stamp)
            .max()
            .unwrap_or(0)
            .to_string()
            .len();
        let apart = STEP.max(digits.min(6) as f64 * 6.8 + 6.0);
        let mut gaps: Vec<f64> = (axis.instants.iter().skip(1).zip(&axis.instants))
            .map(|(next, this)| {
                if stamp(next) == stamp(this) {
                    STEP
                } else {
                    apart
                }
            })
            .chain(axis.instants.last().map(|_| apart))
            .collect();
        if let Some(last) = gaps.last_mut() {
            *last = 2.0 * STEP;
        }
        // Short bars first: what they need, longer ones that contain them have, too.
        let mut bars: Vec<(usize, usize, f64)> = calls
            .iter()
            .map(|call| {
                (
                    axis.rank(call.enter()),
                    axis.rank(call.leave()),
                    width(&call.label) + 16.0,
                )
            })
            .collect();
        bars.sort_by_key(|&(from, to, _)| to - from);
        for (from, to, wanted) in bars {
            let gaps = &mut gaps[from..to];
            let more = (wanted - gaps.iter().sum::<f64>()) / gaps.len().max(1) as f64;
            if more > 0.0 {
                gaps.iter_mut().for_each(|gap| *gap += more);
            }
        }
        let narrow = least / gaps.iter().sum::<f64>().max(1.0);
        if narrow > 1.0 {
            gaps.iter_mut().for_each(|gap| *gap *= narrow);
        }
        let mut x = 0.0;
        axis.places.push(x);
        for gap in gaps {
            x += gap;
            axis.places.push(x);
        }
        axis
    }

    fn rank(&self, instant: u64) -> usize {
        self.instants.partition_point(|&other| other < instant)
    }

    fn at(&self, instant: u64) -> f64 {
        self.places[self.rank(instant).min(self.places.len() - 1)]
    }

    fn length(&self) -> f64 {
        *self.places.last().unwrap_or(&0.0)
    }
}

impl Timeline<'_> {
    fn label(&self, ops: &[Op]) -> String {
        let value = |op: &Op| match op {
            Op::Push(v) | Op::Pop(v) => cut(&(self.names.value)(*v)),
            _ => String::new(),
        };
        let values: Vec<String> = match ops {
            few if few.len() <= 4 => few.iter().map(value).collect(),
            [first, second, .., last] => {
                vec![value(first), value(second), "…".to_owned(), value(last)]
            }
            _ => Vec::new(),
        };
        let values = values.join(", ");
        match ops.first() {
            Some(Op::Push(_)) => format!("push {values}"),
            Some(Op::Pop(_)) => format!("pop: {values}"),
            Some(Op::PushFull) => "push: Full".to_owned(),
            Some(Op::PushBusy) => "push: Busy".to_owned(),
            Some(Op::PushClosed) => "push: Closed".to_owned(),
            Some(Op::PushAbandoned) => "push, given up".to_owned(),
            Some(Op::PopEmpty) => "pop: Empty".to_owned(),
            Some(Op::PopBusy) => "pop: Busy".to_owned(),
            Some(Op::PopClosed) => "pop: Closed".to_owned(),
            Some(Op::PopUnknown) => "pop: ?".to_owned(),
            Some(Op::Close) => "close".to_owned(),
            None => String::new(),
        }
    }

    /// The calls to draw, and how many are left out.
    fn calls(&self) -> (Vec<Call>, usize) {
        let culprit = self.violation.and_then(Violation::culprit);
        let named = self.violation.map(Violation::events).unwrap_or_default();
        type Batch = (usize, u64, u64, bool);
        let mut batches: BTreeMap<Batch, usize> = BTreeMap::new();
        let mut groups: Vec<Vec<Event>> = Vec::new();
        for event in &self.events {
            let moves = matches!(event.op, Op::Push(_) | Op::Pop(_)) && event.thread != INITIAL;
            let batch = (event.thread, event.call, event.ret, event.op.is_push());
            match batches.get(&batch).filter(|_| moves) {
                Some(&group) => groups[group].push(*event),
                None => {
                    if moves {
                        batches.insert(batch, groups.len());
                    }
                    groups.push(vec![*event]);
                }
            }
        }
        let is_named = |group: &Vec<Event>| group.iter().any(|event| named.contains(event));
        groups.sort_by_key(|group| (!is_named(group), enter(&group[0])));
        let left_out = groups.len().saturating_sub(self.limit);
        groups.truncate(self.limit);
        let mut calls: Vec<Call> = groups
            .into_iter()
            .map(|group| Call {
                label: self.label(&group.iter().map(|event| event.op).collect::<Vec<_>>()),
                wrong: culprit.is_some_and(|culprit| group.contains(&culprit)),
                pale: (self.strong).is_some_and(|strong| {
                    group[0].thread != INITIAL && !group.iter().any(|event| strong.contains(event))
                }),
                event: group[0],
                lane: 0,
            })
            .collect();
        calls.sort_by_key(|call| {
            (
                call.event.thread.wrapping_add(1),
                call.enter(),
                call.leave(),
            )
        });
        (calls, left_out)
    }

    /// Calls of one thread that overlap lie below each other. The rows: thread and lanes.
    fn rows(calls: &mut [Call]) -> Vec<(usize, usize)> {
        let mut rows: Vec<(usize, usize)> = Vec::new();
        let mut ends: Vec<u64> = Vec::new();
        for call in calls {
            let thread = call.event.thread;
            if rows.last().is_none_or(|&(last, _)| last != thread) {
                rows.push((thread, 0));
                ends.clear();
            }
            let free = ends.iter().position(|&end| end < call.enter());
            call.lane = free.unwrap_or(ends.len());
            if free.is_none() {
                ends.push(0);
            }
            // Elements inside from the start do not take turns: each has its lane.
            ends[call.lane] = if thread == INITIAL {
                u64::MAX
            } else {
                call.leave()
            };
            if let Some(row) = rows.last_mut() {
                row.1 = ends.len();
            }
        }
        rows
    }

    fn thread(&self, thread: usize) -> String {
        match thread {
            INITIAL => "from the start".to_owned(),
            thread => cut(&(self.names.thread)(thread)),
        }
    }

    /// For each element that the violation names: its name, and from when to when it was inside.
    fn spans(&self) -> Vec<(String, u64, u64)> {
        let span = |one: &Inside| {
            let out = one.pop.as_ref().map_or(u64::MAX, leave);
            let begin = leave(&one.push).min(out);
            let end = one.pop.as_ref().map_or(u64::MAX, enter);
            let Op::Push(value) = one.push.op else {
                return None;
            };
            let name = cut(&(self.names.value)(value));
            (begin < end).then(|| (format!("{name} inside"), begin, end))
        };
        let inside = self.violation.map(Violation::inside).unwrap_or_default();
        inside.iter().filter_map(span).take(16).collect()
    }
}

impl fmt::Display for Timeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut calls, left_out) = self.calls();
        let rows = Self::rows(&mut calls);
        let spans = self.spans();
        let labels = rows
            .iter()
            .map(|&(thread, _)| width(&self.thread(thread)))
            .chain(spans.iter().map(|(name, ..)| width(name)));
        let left = MARGIN + labels.fold(4.0 * CHAR, f64::max) + 12.0;
        let axis = Axis::new(&calls, LEAST_WIDTH - left - MARGIN);
        let total = left + axis.length() + MARGIN;
        let sentence = self
            .violation
            .map(|violation| violation.sentence(&self.names))
            .unwrap_or_default();
        let lines = wrap(&sentence, ((total - 2.0 * MARGIN) / SENTENCE_CHAR) as usize);

        let mut page = Page {
            body: String::new(),
            left,
            total,
            y: MARGIN,
        };
        page.sentence(&lines)?;
        let top = page.y;
        let mut bars = Page {
            body: String::new(),
            ..page
        };
        for &(thread, lanes) in &rows {
            bars.row(&self.thread(thread), &calls, thread, lanes, &axis, self)?;
        }
        bars.spans(&spans, &axis)?;
        page.y = bars.y;
        page.guides(&calls, &axis, top)?;
        page.body.push_str(&bars.body);
        page.axis(&axis, self.unit)?;
        page.legend(&calls, !spans.is_empty(), left_out)?;

        let height = page.y + MARGIN - 6.0;
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total:.0} {height:.0}\" \
             width=\"{total:.0}\" height=\"{height:.0}\" role=\"img\" \
             font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"12\" fill=\"{INK}\">"
        )?;
        let title = if sentence.is_empty() {
            "Calls of a queue"
        } else {
            &sentence
        };
        writeln!(f, "<title>{}</title>", escape(title))?;
        writeln!(
            f,
            "<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACK}\" stroke=\"{PALE}\"/>"
        )?;
        f.write_str(&page.body)?;
        f.write_str("</svg>\n")
    }
}

/// What is drawn so far, and down to where.
struct Page {
    body: String,
    left: f64,
    total: f64,
    y: f64,
}

impl Page {
    fn sentence(&mut self, lines: &[String]) -> fmt::Result {
        for line in lines {
            self.y += 14.0;
            writeln!(
                self.body,
                "<text x=\"{MARGIN}\" y=\"{:.1}\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"14\" \
                 font-weight=\"600\">{}</text>",
                self.y,
                escape(line)
            )?;
            self.y += 7.0;
        }
        self.y += if lines.is_empty() { 0.0 } else { 11.0 };
        Ok(())
    }

    fn row(
        &mut self,
        name: &str,
        calls: &[Call],
        thread: usize,
        lanes: usize,
        axis: &Axis,
        timeline: &Timeline<'_>,
    ) -> fmt::Result {
        writeln!(
            self.body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            self.left - 12.0,
            self.y + 16.0,
            escape(name)
        )?;
        for call in calls.iter().filter(|call| call.event.thread == thread) {
            self.bar(call, axis, timeline)?;
        }
        self.y += LANE * lanes as f64 + ROW_GAP;
        Ok(())
    }

    fn bar(&mut self, call: &Call, axis: &Axis, timeline: &Timeline<'_>) -> fmt::Result {
        let (x, end) = (
            self.left + axis.at(call.enter()),
            self.left + axis.at(call.leave()),
        );
        let y = self.y + LANE * call.lane as f64;
        let (fill, ink) = match call.event.op {
            Op::Push(_) if call.pale => ("#cfe3f0", FAINT),
            Op::Pop(_) if call.pale => ("#fbf0d2", FAINT),
            _ if call.pale => ("#ffffff", FAINT),
            Op::Push(_) => (PUSH, "#ffffff"),
            Op::Pop(_) => (POP, INK),
            Op::Close => (CLOSE, INK),
            _ => ("#ffffff", INK),
        };
        let (stroke, thick) = match call {
            Call { wrong: true, .. } => (WRONG, 3.0),
            Call { pale: true, .. } => ("#a5a5a5", 1.0),
            _ => (INK, 1.0),
        };
        let what = match call.event.thread {
            INITIAL => format!("{}, inside from the start", call.label),
            thread => {
                let name = (timeline.names.thread)(thread);
                let returned = match call.event.ret {
                    PENDING => "never returned".to_owned(),
                    ret => format!("returned at {ret}"),
                };
                format!(
                    "{}, {name}, called at {}, {returned}",
                    call.label, call.event.call
                )
            }
        };
        writeln!(self.body, "<g><title>{}</title>", escape(&what))?;
        if call.event.ret == PENDING {
            // Open to the right: no edge there, and a torn one drawn instead.
            writeln!(
                self.body,
                "<path d=\"M{end:.1} {y:.1}H{x:.1}V{:.1}H{end:.1}l-5 -4 5 -4 -5 -4 5 -4 -5 -4z\" \
                 fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{thick}\" stroke-dasharray=\"4 2\"/>",
                y + BAR
            )?;
        } else {
            writeln!(
                self.body,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"3\" \
                 fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{thick}\"/>",
                end - x
            )?;
        }
        writeln!(
            self.body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{}</text>",
            (x + end) / 2.0,
            y + 16.0,
            escape(&call.label)
        )?;
        if call.wrong {
            self.mark(x, y)?;
        }
        self.body.push_str("</g>\n");
        Ok(())
    }

    /// The mark of what is wrong.
    fn mark(&mut self, x: f64, y: f64) -> fmt::Result {
        writeln!(
            self.body,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8\" fill=\"{WRONG}\" stroke=\"{BACK}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#ffffff\" font-weight=\"700\">!</text>",
            y + 4.0
        )
    }

    fn spans(&mut self, spans: &[(String, u64, u64)], axis: &Axis) -> fmt::Result {
        for (name, begin, end) in spans {
            let (x, until) = (self.left + axis.at(*begin), self.left + axis.at(*end));
            let y = self.y + 7.0;
            writeln!(
                self.body,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                self.left - 12.0,
                y + 4.0,
                escape(name)
            )?;
            let close = if *end == u64::MAX { "" } else { "m0 -5v10" };
            writeln!(
                self.body,
                "<path d=\"M{x:.1} {:.1}v10m0 -5H{until:.1}{close}\" fill=\"none\" stroke=\"{INK}\" stroke-width=\"2.5\"/>",
                y - 5.0
            )?;
            self.y += 18.0;
        }
        Ok(())
    }

    /// A thin line down from each call and return, and a band for what is wrong.
    fn guides(&mut self, calls: &[Call], axis: &Axis, top: f64) -> fmt::Result {
        for call in calls.iter().filter(|call| call.wrong) {
            let (x, end) = (
                self.left + axis.at(call.enter()),
                self.left + axis.at(call.leave()),
            );
            writeln!(
                self.body,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{WRONG}\" fill-opacity=\"0.1\"/>",
                top - 6.0,
                end - x,
                self.y - top + 6.0
            )?;
        }
        let mut path = String::new();
        for (&instant, place) in axis.instants.iter().zip(&axis.places) {
            if instant > 1 {
                write!(
                    path,
                    "M{:.1} {:.1}V{:.1}",
                    self.left + place,
                    top - 6.0,
                    self.y
                )?;
            }
        }
        writeln!(
            self.body,
            "<path d=\"{path}\" stroke=\"{PALE}\" fill=\"none\"/>"
        )
    }

    /// The stamps, as far as there is room for them.
    fn axis(&mut self, axis: &Axis, unit: &str) -> fmt::Result {
        let stamps: Vec<(u64, f64)> = (axis.instants.iter().zip(&axis.places))
            .filter(|(instant, _)| **instant > 1)
            .map(|(instant, place)| (instant / 2 - 1, self.left + place))
            .collect();
        let first = stamps.first().map_or(0, |&(stamp, _)| stamp);
        // Long stamps are told from the first one on.
        let base = if stamps.last().is_some_and(|&(stamp, _)| stamp >= 100_000) {
            first
        } else {
            0
        };
        self.y += 13.0;
        let word = if unit.is_empty() { "stamp" } else { unit };
        // Half of the first stamp's label stands to the left of its place.
        let half = first.to_string().len().min(6) as f64 * 3.4;
        writeln!(
            self.body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\">{}</text>",
            self.left - half.max(6.0) - 6.0,
            self.y,
            escape(&cut(word))
        )?;
        let (mut taken, mut last) = (f64::MIN, None);
        for (stamp, x) in stamps {
            let text = match stamp - base {
                more if base > 0 => format!("+{more}"),
                plain => plain.to_string(),
            };
            let half = text.len() as f64 * 3.4;
            if last != Some(stamp) && x - half > taken {
                writeln!(
                    self.body,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\">{text}</text>",
                    self.y
                )?;
                taken = x + half + 3.0;
                last = Some(stamp);
            }
        }
        if base > 0 {
            self.y += 15.0;
            writeln!(
                self.body,
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\">counted from {base}</text>",
                self.left, self.y
            )?;
        }
        Ok(())
    }

    fn legend(&mut self, calls: &[Call], spans: bool, left_out: usize) -> fmt::Result {
        let any = |wanted: fn(&Op) -> bool| calls.iter().any(|call| wanted(&call.event.op));
        let mut words =
            vec!["A bar is a call, from call to return; distances are not to scale.".to_owned()];
        if calls.iter().any(|call| call.wrong) {
            words.push("(!) is what is wrong.".to_owned());
        }
        if calls.iter().any(|call| call.pale) {
            words.push("It can be seen without the pale ones.".to_owned());
        }
        if spans {
            words.push("A line is how long an element was inside for certain.".to_owned());
        }
        if calls.iter().any(|call| call.event.ret == PENDING) {
            words.push("A dashed bar never returned.".to_owned());
        }
        if any(|op| *op == Op::PopUnknown) {
            words.push("? is an answer that nobody knows.".to_owned());
        }
        if left_out > 0 {
            words.push(format!("{left_out} more calls are not drawn."));
        }
        self.y += 8.0;
        for line in wrap(
            &words.join(" "),
            ((self.total - 2.0 * MARGIN) / 6.3) as usize,
        ) {
            self.y += 15.0;
            writeln!(
                self.body,
                "<text x=\"{MARGIN}\" y=\"{:.1}\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"11\" \
                 fill=\"{FAINT}\">{}</text>",
                self.y,
                escape(&line)
            )?;
        }
        Ok(())
    }
}
