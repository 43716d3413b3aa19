//! One row: one call of one queue at one capacity, stopped everywhere.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use turtle_buffers::Strategy;
use turtle_buffers::os::segment::Segment;
use turtle_buffers::wait::RECHECK;

use crate::calls::{Call, SLEEPER_VALUE, Script, Side};
use crate::drive::{Path, Probe, RETURN, Until, Victim};
use crate::opening::Opened;
use crate::page::now;
use crate::rival::Flaw;
use crate::tracee::Lost;
use crate::worlds::{Answer, Effect, Op, Worlds};

/// How long a sleeper is watched where nothing was published yet: more than
/// one re-check, so that a wake-up by re-check would be seen.
const NOT_YET: Duration = RECHECK.saturating_add(Duration::from_millis(2));
/// How long it may take where something was: far more than one re-check, for
/// a machine under load. The median is held to `MEDIAN_DELAY`.
const AT_LAST: Duration = Duration::from_millis(500);
/// A sleeper is up after at most one re-check, which here counts twice: the
/// other half is for being scheduled.
pub(crate) const MEDIAN_DELAY: Duration = RECHECK.saturating_mul(2);
/// Faults kept word for word.
const KEPT: usize = 12;

/// Whose calls are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An engine of the library.
    Engine(Strategy),
    /// A queue of the tool, with a known fault.
    Rival(Flaw),
}

impl Subject {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Engine(strategy) => strategy.name(),
            Self::Rival(flaw) => flaw.name(),
        }
    }
    /// Whether its table says that a stopped thread can hold others `Busy`.
    pub(crate) fn busy_allowed(self) -> bool {
        match self {
            Self::Engine(strategy) => strategy.traits().stopped_thread.contains("`Busy`"),
            Self::Rival(_) => false,
        }
    }
}

/// What went wrong where.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// The boundary.
    pub(crate) boundary: usize,
    /// What the others did there.
    pub(crate) script: Script,
    /// Where in the program, if it lies there.
    pub(crate) offset: Option<u64>,
    /// In words.
    pub(crate) text: String,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Row {
    /// Whose call.
    pub(crate) subject: Subject,
    /// Which call.
    pub(crate) call: Call,
    /// Of the ring.
    pub(crate) capacity: usize,
    /// Places at which the call was stopped.
    pub(crate) boundaries: usize,
    /// Where the others were told `Busy`.
    pub(crate) busy: BTreeSet<usize>,
    /// Where they hung inside a `try_` call.
    pub(crate) hangs: BTreeSet<usize>,
    /// False answers and losses: boundaries.
    pub(crate) false_at: BTreeSet<usize>,
    /// The first of them in words.
    pub(crate) faults: Vec<Fault>,
    /// From stopping (or letting go) to a sleeper's return.
    pub(crate) delays: Vec<Duration>,
    /// Stops on another path than the undisturbed call's.
    pub(crate) strayed: usize,
    /// Calls made by the others.
    pub(crate) calls: usize,
    /// Offsets in the program, boundary by boundary.
    pub(crate) offsets: Vec<Option<u64>>,
    /// What it took.
    pub(crate) time: Duration,
}

impl Row {
    fn new(subject: Subject, call: Call, capacity: usize) -> Self {
        Self {
            subject,
            call,
            capacity,
            boundaries: 0,
            busy: BTreeSet::new(),
            hangs: BTreeSet::new(),
            false_at: BTreeSet::new(),
            faults: Vec::new(),
            delays: Vec::new(),
            strayed: 0,
            calls: 0,
            offsets: Vec::new(),
            time: Duration::ZERO,
        }
    }

    /// Whether nothing was wrong.
    pub(crate) fn holds(&self) -> bool {
        self.boundaries > 0 && self.false_at.is_empty() && self.hangs.is_empty()
    }

    /// The middle one of the delays.
    pub(crate) fn median_delay(&self) -> Option<Duration> {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied()
    }

    fn fault(&mut self, boundary: usize, script: Script, text: String) {
        self.false_at.insert(boundary);
        if self.faults.len() < KEPT {
            let offset = self.offsets.get(boundary).copied().flatten();
            self.faults.push(Fault {
                boundary,
                script,
                offset,
                text,
            });
        }
    }

    fn worlds(&self) -> Worlds {
        let start = 1..=self.call.start(self.capacity);
        let busy = self.subject.busy_allowed();
        Worlds::new(
            self.capacity,
            start,
            self.call.effect(),
            self.call.blocks(),
            busy,
        )
    }
}

/// Stops the call at every boundary.
///
/// # Errors
/// The system's: a row that could not be measured.
pub(crate) fn measure(subject: Subject, call: Call, capacity: usize) -> std::io::Result<Row> {
    let began = Instant::now();
    let spec = format!("{}:{}:{capacity}", subject.name(), call.number());
    let mut bench = Bench {
        row: Row::new(subject, call, capacity),
        spec,
        victim: None,
    };
    bench.all()?;
    bench.row.time = began.elapsed();
    let nothing = Row::new(subject, call, capacity);
    Ok(std::mem::replace(&mut bench.row, nothing))
}

struct Bench {
    row: Row,
    spec: String,
    victim: Option<Victim>,
}

impl Bench {
    fn victim(&mut self) -> std::io::Result<&mut Victim> {
        if self.victim.is_none() {
            self.victim = Some(Victim::start(&self.spec)?);
        }
        Ok(self.victim.as_mut().expect("just started"))
    }

    fn all(&mut self) -> std::io::Result<()> {
        let call = self.row.call;
        let lost = |lost: Lost| std::io::Error::other(lost.to_string());
        if matches!(call, Call::Create | Call::Attach) {
            return self.walk().map_err(lost);
        }
        let until = if call.sleeps() {
            Until::SecondSleep
        } else {
            Until::End
        };
        let mut after_system_call = vec![0];
        let victim = self.victim()?;
        victim.set_up().map_err(lost)?;
        let path = victim
            .record(until, |victim, boundary| {
                if victim.at_system_call()? {
                    after_system_call.push(boundary + 1);
                }
                Ok(())
            })
            .map_err(lost)?;
        if call.sleeps() {
            victim.probe(Script::Feed as u32).map_err(lost)?;
        }
        victim.let_return(false).map_err(lost)?;
        victim.finish().map_err(lost)?;
        self.row.offsets = path.at.iter().map(|at| victim.offset(*at)).collect();
        // What others can see of a ring that is being created changes with
        // system calls only, until it has its name.
        let boundaries: Vec<usize> = match call {
            Call::CreateRaced => after_system_call,
            _ => (0..path.at.len()).collect(),
        };
        self.row.boundaries = boundaries.len();
        if call.has_sleeper() {
            self.watch(&path)?;
        }
        for boundary in boundaries {
            for script in self.scripts() {
                let outcome = match self.stop_at(&path, boundary, *script) {
                    Ok(outcome) => outcome,
                    // The process is of no use any more; the next one starts afresh.
                    Err(lost) => {
                        self.victim = None;
                        Err(lost.to_string())
                    }
                };
                if let Err(text) = outcome {
                    self.row.fault(boundary, *script, text);
                }
            }
        }
        Ok(())
    }

    fn scripts(&self) -> &'static [Script] {
        match self.row.subject {
            Subject::Engine(_) => self.row.call.scripts(),
            // Each hang costs its limit: one script shows enough of them.
            Subject::Rival(Flaw::Waits) => &[Script::Pairs],
            Subject::Rival(_) => &[Script::Pairs, Script::Full, Script::Empty],
        }
    }

    /// One boundary, one script, one fresh call.
    fn stop_at(
        &mut self,
        path: &Path,
        boundary: usize,
        script: Script,
    ) -> Result<Result<(), String>, Lost> {
        let call = self.row.call;
        let victim = self.victim()?;
        victim.set_up()?;
        let sought = victim.seek(path, boundary)?;
        let (mut running, mut hung) = (false, false);
        if sought.is_some() {
            hung = victim.probe(script as u32)? == Probe::Hung;
            running = hung;
        }
        let probed = victim.page().noted();
        let opened = Opened::from_number(victim.page().opened.load(Ordering::Relaxed));
        let let_go = Instant::now();
        if sought.is_some() {
            victim.let_return(running)?;
        }
        let delay = let_go.elapsed();
        if call.has_sleeper() && victim.page().sleeper_done.wait_while(0, RETURN) == 0 {
            return Err(Lost::Late);
        }
        let woken = self.sleepers_call();
        let victim = self.victim()?;
        let returned = victim.page().victim.get(call.side() == Side::Pop);
        victim.finish()?;
        let log = victim.page().log(0);

        self.row.strayed += usize::from(sought != Some(true));
        self.row.calls += log.len();
        if hung {
            self.row.hangs.insert(boundary);
        }
        let (meanwhile, afterwards) = log.split_at(probed as usize);
        if meanwhile.iter().any(|(_, answer)| *answer == Answer::Busy) {
            self.row.busy.insert(boundary);
        }
        if call.sleeps() && script == Script::Feed {
            self.row.delays.push(delay);
        }
        if call == Call::CreateRaced && sought.is_some() && opened != Opened::Ring {
            return Ok(Err(format!("another creator got {opened:?}")));
        }
        if returned.answer == Answer::Other {
            return Ok(Err("the stopped call itself failed".into()));
        }
        let judge = |meanwhile: &[(Op, Answer)]| {
            let mut worlds = self.row.worlds();
            for (op, answer) in meanwhile {
                worlds.observe(*op, *answer)?;
            }
            worlds.victim_returned(&returned)?;
            for (op, answer) in afterwards {
                worlds.observe(*op, *answer)?;
            }
            if call.opens() {
                worlds.drained()
            } else {
                drained(&worlds, &log)
            }
        };
        let Some(woken) = woken else {
            return Ok(judge(meanwhile));
        };
        // The sleeper's call ran beside all of theirs: any place will do.
        let mut outcome = Ok(());
        for place in 0..=meanwhile.len() {
            let mut order = meanwhile.to_vec();
            order.insert(place, woken);
            outcome = judge(&order);
            if outcome.is_ok() {
                break;
            }
        }
        Ok(outcome)
    }

    /// Calls that wake somebody, from the last boundary to the first: as long
    /// as the call has been decided, the sleeper comes back while its waker is
    /// stopped; before that it does not.
    fn watch(&mut self, path: &Path) -> std::io::Result<()> {
        let mut decided = true;
        for boundary in (0..path.at.len()).rev() {
            let limit = if decided { AT_LAST } else { NOT_YET };
            let outcome = match self.watch_at(path, boundary, limit) {
                Ok((came_back, outcome)) => {
                    if came_back && !decided {
                        let text =
                            "the sleeper came back here, but not where the call was further on";
                        self.row.fault(boundary, Script::Watch, text.into());
                    }
                    decided &= came_back;
                    outcome
                }
                Err(lost) => {
                    self.victim = None;
                    Err(lost.to_string())
                }
            };
            if let Err(text) = outcome {
                self.row.fault(boundary, Script::Watch, text);
            }
        }
        if decided || self.row.delays.is_empty() {
            let text = format!(
                "the sleeper came back at {} boundaries",
                self.row.delays.len()
            );
            self.row.fault(0, Script::Watch, text);
        }
        if let Some(delay) = self
            .row
            .median_delay()
            .filter(|delay| *delay > MEDIAN_DELAY)
        {
            let text = format!(
                "the median delay of the sleeper is {} ms",
                delay.as_millis()
            );
            self.row.fault(0, Script::Watch, text);
        }
        Ok(())
    }

    fn watch_at(
        &mut self,
        path: &Path,
        boundary: usize,
        limit: Duration,
    ) -> Result<(bool, Result<(), String>), Lost> {
        let call = self.row.call;
        let victim = self.victim()?;
        victim.set_up()?;
        let sought = victim.seek(path, boundary)?;
        let stopped = now();
        let came_back = victim.page().sleeper_done.wait_while(0, limit) == 1;
        if sought.is_some() {
            victim.let_return(false)?;
        }
        if victim.page().sleeper_done.wait_while(0, RETURN) == 0 {
            return Err(Lost::Late);
        }
        let slept_until = victim.page().sleeper_at.load(Ordering::Relaxed);
        let returned = victim.page().victim.get(call.side() == Side::Pop);
        let woken = self.sleepers_call();
        let victim = self.victim()?;
        victim.finish()?;
        let log = victim.page().log(0);

        self.row.strayed += usize::from(sought != Some(true));
        self.row.calls += log.len() + 1;
        if came_back {
            self.row
                .delays
                .push(Duration::from_nanos(slept_until.saturating_sub(stopped)));
        }
        let judge = || {
            let mut worlds = self.row.worlds();
            if let Some((op, answer)) = woken {
                worlds.observe(op, answer)?;
            }
            worlds.victim_returned(&returned)?;
            for (op, answer) in &log {
                worlds.observe(*op, *answer)?;
            }
            drained(&worlds, &log)
        };
        Ok((came_back, judge()))
    }

    /// What the sleeper called and was told, once it is back.
    fn sleepers_call(&self) -> Option<(Op, Answer)> {
        let page = self.victim.as_ref()?.page();
        match self.row.call {
            Call::PopWakes => Some((Op::Push(SLEEPER_VALUE), page.sleeper.get(false).answer)),
            call if call.has_sleeper() => {
                let woken = page.sleeper.get(true);
                Some((
                    Op::Pop(woken.values.first().copied().unwrap_or(0)),
                    woken.answer,
                ))
            }
            _ => None,
        }
    }

    /// One call that opens a ring, stopped at each boundary in turn: nothing
    /// the others do changes its way.
    fn walk(&mut self) -> Result<(), Lost> {
        let (subject, call, capacity) = (self.row.subject, self.row.call, self.row.capacity);
        let busy = subject.busy_allowed();
        let fresh = || Worlds::new(capacity, [], Effect::Nothing, false, busy);
        let mut told: Vec<(usize, String)> = Vec::new();
        let mut hangs = BTreeSet::new();
        let mut calls = 0;
        let mut was_there = call == Call::Attach;
        let victim = self.victim()?;
        victim.set_up()?;
        let path = victim.record(Until::End, |victim, boundary| {
            victim.page().clear_log();
            if victim.probe(Script::Open as u32)? == Probe::Hung {
                hangs.insert(boundary);
                return Err(Lost::Late);
            }
            let opened = Opened::from_number(victim.page().opened.load(Ordering::Relaxed));
            match opened {
                Opened::Ring => was_there = true,
                Opened::NotFound if !was_there => {}
                wrong => told.push((boundary, format!("another process got {wrong:?}"))),
            }
            let log = victim.page().log(0);
            calls += log.len();
            let mut worlds = fresh();
            if let Err(text) = log
                .iter()
                .try_for_each(|(op, answer)| worlds.observe(*op, *answer))
            {
                told.push((boundary, text));
            }
            Ok(())
        })?;
        victim.page().clear_log();
        victim.let_return(false)?;
        let returned = victim.page().victim.get(false);
        victim.finish()?;
        let log = victim.page().log(0);
        let offsets = path.at.iter().map(|at| victim.offset(*at)).collect();

        let last = path.at.len();
        if returned.answer != Answer::Done || !was_there {
            told.push((last, "the stopped call itself failed".into()));
        }
        let mut worlds = fresh();
        if let Err(text) = worlds
            .victim_returned(&returned)
            .and_then(|()| {
                log.iter()
                    .try_for_each(|(op, answer)| worlds.observe(*op, *answer))
            })
            .and_then(|()| worlds.drained())
        {
            told.push((last, format!("not the same ring: {text}")));
        }
        self.row.boundaries = path.at.len();
        self.row.offsets = offsets;
        self.row.calls = calls + log.len();
        self.row.hangs = hangs;
        for (boundary, text) in told {
            self.row.fault(boundary, Script::Open, text);
        }
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let (true, Some(victim)) = (self.row.call.opens(), &self.victim) {
            // The process unlinks its segment itself unless it was cut short.
            let _ = Segment::unlink(&format!("/turtle-stall-{}", victim.id()));
        }
    }
}

/// The last thing the others did was to find the ring empty, and it is.
fn drained(worlds: &Worlds, log: &[(Op, Answer)]) -> Result<(), String> {
    match log.last() {
        Some((Op::Pop(_), Answer::Empty | Answer::Closed)) => worlds.drained(),
        last => Err(format!("draining ended with {last:?}")),
    }
}
