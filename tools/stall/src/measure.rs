//! Stops one call everywhere and fills in its row.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use turtle_buffers::wait::RECHECK;

use crate::calls::{Call, SLEEPER_VALUE, Script, Side};
use crate::drive::{Path, Probe, RETURN, Until, Victim};
use crate::opening;
use crate::page::now;
use crate::rival::Flaw;
use crate::row::{MEDIAN_DELAY, Row, Subject};
use crate::tracee::Lost;
use crate::worlds::{Answer, Op, Worlds};

/// How long a sleeper is watched where nothing was published yet: more than
/// one re-check, so that a wake-up by re-check would be seen.
const NOT_YET: Duration = RECHECK.saturating_add(Duration::from_millis(2));
/// How long it may take where something was: far more than one re-check, for
/// a machine under load. The median is held to `MEDIAN_DELAY`.
const AT_LAST: Duration = Duration::from_millis(500);
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

/// One row being measured.
pub(crate) struct Bench {
    pub(crate) row: Row,
    spec: String,
    victim: Option<Victim>,
}

impl Bench {
    pub(crate) fn victim(&mut self) -> std::io::Result<&mut Victim> {
        if self.victim.is_none() {
            self.victim = Some(Victim::start(&self.spec)?);
        }
        Ok(self.victim.as_mut().expect("just started"))
    }

    fn all(&mut self) -> std::io::Result<()> {
        let call = self.row.call;
        let lost = |lost: Lost| std::io::Error::other(lost.to_string());
        match call {
            Call::Create | Call::Attach => return self.walk().map_err(lost),
            Call::CreateRaced => return self.race().map_err(lost),
            _ => {}
        }
        let until = if call.sleeps() {
            Until::Sleep
        } else {
            Until::End
        };
        let mut path = Path::default();
        // A sleeper that happens to look up by itself leaves its waker nothing
        // to do; the longest of a few ways is the one with a wake-up.
        for _ in 0..if call.has_sleeper() { 3 } else { 1 } {
            let victim = self.victim()?;
            victim.set_up().map_err(lost)?;
            let way = victim.record(until, |_, _| Ok(())).map_err(lost)?;
            if way.at.len() > path.at.len() {
                path = way;
            }
            if call.sleeps() {
                victim.probe(Script::Feed as u32).map_err(lost)?;
            }
            victim.let_return(false).map_err(lost)?;
            victim.finish().map_err(lost)?;
        }
        let victim = self.victim()?;
        self.row.offsets = path.at.iter().map(|at| victim.offset(*at)).collect();
        self.row.boundaries = path.at.len();
        if call.has_sleeper() {
            self.watch(&path)?;
        }
        for boundary in 0..path.at.len() {
            for script in self.scripts() {
                let outcome = match self.stop_at(&path, boundary, *script) {
                    Ok(outcome) => outcome,
                    // The process is of no use any more.
                    Err(lost) => {
                        self.give_up();
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

    /// Ends the victim process; the next one starts afresh.
    pub(crate) fn give_up(&mut self) {
        if let Some(victim) = self.victim.take() {
            let id = victim.id();
            drop(victim);
            if self.row.call.opens() {
                opening::clear_up(id);
            }
        }
    }

    fn scripts(&self) -> &'static [Script] {
        match self.row.subject {
            Subject::Engine(_) | Subject::Slow(_) => self.row.call.scripts(),
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
        // The place next to the first that was decided, once that is known.
        let mut undecided = None;
        for boundary in (0..path.at.len()).rev() {
            // Watching for what does not come costs its limit each time.
            let distance = undecided.map_or(0, |first| first - boundary);
            if distance > 8 && distance % 4 != 0 {
                continue;
            }
            let limit = if undecided.is_none() {
                AT_LAST
            } else {
                NOT_YET
            };
            match self.watch_or_fault(path, boundary, limit) {
                None => {}
                Some(false) => undecided = undecided.or(Some(boundary)),
                Some(true) => {
                    // It is decided here, so it was further on: was the sleeper
                    // late there, or held up?
                    let Some(held_up) = undecided.take() else {
                        continue;
                    };
                    if self.watch_or_fault(path, held_up, RETURN) == Some(false) {
                        let text = format!("the sleeper did not come back, but did at {boundary}");
                        self.row.fault(held_up, Script::Watch, text);
                    }
                }
            }
        }
        if undecided.is_none() || self.row.delays.is_empty() {
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

    /// Whether the sleeper came back. `None`: the call took another way, or a
    /// fault was noted.
    fn watch_or_fault(&mut self, path: &Path, boundary: usize, limit: Duration) -> Option<bool> {
        let text = match self.watch_at(path, boundary, limit) {
            Ok((came_back, Ok(()))) => return came_back,
            Ok((_, Err(text))) => text,
            Err(lost) => {
                self.give_up();
                lost.to_string()
            }
        };
        self.row.fault(boundary, Script::Watch, text);
        None
    }

    fn watch_at(
        &mut self,
        path: &Path,
        boundary: usize,
        limit: Duration,
    ) -> Result<(Option<bool>, Result<(), String>), Lost> {
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
        let on_the_way = sought == Some(true);
        Ok((on_the_way.then_some(came_back), judge()))
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
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The last thing the others did was to find the ring empty, and it is.
pub(crate) fn drained(worlds: &Worlds, log: &[(Op, Answer)]) -> Result<(), String> {
    match log.last() {
        Some((Op::Pop(_), Answer::Empty | Answer::Closed)) => worlds.drained(),
        last => Err(format!("draining ended with {last:?}")),
    }
}
