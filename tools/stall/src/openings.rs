//! The rows of calls that open a ring in shared memory.

use crate::calls::{Call, Script};
use crate::drive::{Probe, Until};
use crate::measure::{Bench, drained};
use crate::opening::{Found, Opened, Other};
use crate::row::Subject;
use crate::tracee::Lost;
use crate::worlds::{Answer, Effect, Worlds};

impl Bench {
    fn other(&mut self) -> std::io::Result<Other> {
        let Subject::Engine(strategy) = self.row.subject else {
            return Err(std::io::Error::other("the wrong queues are not shared"));
        };
        let id = self.victim()?.id();
        Ok(Other::start(self.row.call, strategy, self.row.capacity, id))
    }

    /// The worlds of a ring that is being opened: no call moves an element.
    fn opening_worlds(&self) -> Worlds {
        let busy = self.row.subject.busy_allowed();
        Worlds::new(self.row.capacity, [], Effect::Nothing, false, busy)
    }

    /// One call that opens a ring, stopped at each boundary in turn: nothing
    /// the others do changes its way.
    pub(crate) fn walk(&mut self) -> Result<(), Lost> {
        let other = self.other()?;
        let nothing = self.opening_worlds();
        let mut told: Vec<(usize, String)> = Vec::new();
        let mut calls = 0;
        let mut was_there = self.row.call == Call::Attach;
        let mut stuck = None;
        let victim = self.victim()?;
        victim.set_up()?;
        let path = victim.record(Until::End, |victim, boundary| {
            victim.page().clear_log();
            let hung = victim.probe(Script::Open as u32)? == Probe::Hung;
            let found = if hung { None } else { other.open_and_use() };
            let Some(found) = found else {
                stuck = Some((boundary, victim.offset(victim.last_at())));
                return Err(Lost::Late);
            };
            match found.opened {
                Opened::Ring => was_there = true,
                Opened::NotFound if !was_there => {}
                wrong => told.push((boundary, format!("another process got {wrong:?}"))),
            }
            for log in [victim.page().log(0), found.log] {
                calls += log.len();
                let mut worlds = nothing.clone();
                if let Err(text) = log
                    .iter()
                    .try_for_each(|(op, answer)| worlds.observe(*op, *answer))
                {
                    told.push((boundary, text));
                }
            }
            Ok(())
        });
        self.row.calls = calls;
        for (boundary, text) in told {
            self.row.fault(boundary, Script::Open, text);
        }
        if let Some((boundary, offset)) = stuck {
            // The rest of its way was not seen.
            self.give_up();
            self.row.boundaries = boundary + 1;
            self.row.hangs.insert(boundary);
            self.row.offsets = vec![offset];
            return Ok(());
        }
        let path = path?;
        let victim = self.victim()?;
        self.row.offsets = path.at.iter().map(|at| victim.offset(*at)).collect();
        self.row.boundaries = path.at.len();
        if let Err(text) = self.end_of_opening(&other)? {
            self.row.fault(path.at.len() - 1, Script::Open, text);
        }
        Ok(())
    }

    /// Two that create the same ring: a fresh process for each system call of
    /// the one that is stopped, as the first call takes another way than later
    /// ones.
    pub(crate) fn race(&mut self) -> Result<(), Lost> {
        for boundary in 0.. {
            self.give_up();
            match self.race_at(boundary) {
                Ok(None) => break,
                Ok(Some(Ok(()))) => {}
                Ok(Some(Err(text))) => self.row.fault(boundary, Script::Open, text),
                Err(lost) => self.row.fault(boundary, Script::Open, lost.to_string()),
            }
            self.row.boundaries = boundary + 1;
        }
        Ok(())
    }

    /// `None`: the call has fewer system calls.
    fn race_at(&mut self, boundary: usize) -> Result<Option<Result<(), String>>, Lost> {
        let victim = self.victim()?;
        victim.set_up()?;
        if !victim.pass_system_calls(boundary)? {
            return Ok(None);
        }
        let other = self.other()?;
        match other.open_and_use() {
            None => {
                self.row.hangs.insert(boundary);
                self.give_up();
                return Ok(Some(Ok(())));
            }
            Some(found) if found.opened != Opened::Ring => {
                self.give_up();
                return Ok(Some(Err(format!("another creator got {:?}", found.opened))));
            }
            Some(found) => self.row.calls += found.log.len(),
        }
        self.end_of_opening(&other).map(Some)
    }

    /// Lets the call return; then one element goes from the other process
    /// through the ring to the victim's: it is the same ring.
    fn end_of_opening(&mut self, other: &Other) -> Result<Result<(), String>, Lost> {
        let mut worlds = self.opening_worlds();
        let victim = self.victim()?;
        victim.page().clear_log();
        victim.let_return(false)?;
        let returned = victim.page().victim.get(false);
        let pushed = if self.row.call == Call::Attach {
            // The victim's process has had the ring all along and does it.
            Some(Found {
                opened: Opened::Ring,
                log: Vec::new(),
            })
        } else {
            other.push()
        };
        let victim = self.victim()?;
        victim.finish()?;
        let afterwards = victim.page().log(0);
        self.row.calls += afterwards.len() + 1;
        if returned.answer != Answer::Done {
            return Ok(Err("the stopped call itself failed".into()));
        }
        let Some(Found {
            opened: Opened::Ring,
            log,
        }) = pushed
        else {
            return Ok(Err("the ring is not there after the call".into()));
        };
        let mut judge = || {
            worlds.victim_returned(&returned)?;
            for (op, answer) in log.iter().chain(&afterwards) {
                worlds.observe(*op, *answer)?;
            }
            drained(&worlds, &afterwards)
        };
        Ok(judge().map_err(|text: String| format!("not the same ring: {text}")))
    }
}
