//! Who goes next.

use super::model::{Random, Time};

/// How the next core is chosen. All but [`Schedule::Clock`] ignore the
/// clocks: they look for bad luck, not for a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// The core that is furthest behind in time, as on a machine.
    Clock,
    /// Any core, before each access.
    Random,
    /// The core of the highest priority, as in PCT: priorities are drawn, and
    /// at so many random ones of the first `within` accesses the running core
    /// is put last. A core that was refused is put last, too: it would wait for
    /// the others for ever.
    Priorities {
        /// Changes of priority.
        changes: u32,
        /// Accesses among which the changes are.
        within: u64,
    },
    /// Any core, but for as many accesses in a row as are drawn, up to `most`.
    Bursts {
        /// The longest burst.
        most: u64,
    },
    /// Core 0 makes one access, then the others complete `calls` calls.
    Starve {
        /// Calls of the others between two accesses of the victim.
        calls: u64,
    },
    /// Core 0 goes first, but before each of its read-modify-writes the others
    /// complete `calls` calls: where the algorithm lets it lose, it loses.
    StarveRmw {
        /// Calls of the others before each such access.
        calls: u64,
    },
    /// The core that last made a read-modify-write waits until the others have
    /// completed `calls` calls; else as [`Schedule::Random`]. Whoever has
    /// announced or claimed something sleeps on it.
    Drowsy {
        /// Calls of the others meanwhile.
        calls: u64,
    },
    /// These turns, one after another. In the end all who are left go on to
    /// their ends, the first core first.
    Script(&'static [Turn]),
}

/// A part of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who goes on.
    pub core: usize,
    /// How far.
    pub until: Until,
}

/// Where a turn ends, at the latest with the core's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// It has made so many accesses.
    Made(u64),
    /// It stands before an access of this step; that of the turn before does
    /// not count.
    Before(&'static str),
    /// It has completed so many calls more.
    Completed(u64),
    /// It never goes on, and nothing of it is dropped: it is killed.
    Killed,
}

/// The victim of the schedules that have one.
pub const VICTIM: usize = 0;

/// What a schedule sees of a core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Its body has not returned.
    pub(super) live: bool,
    /// It waits in a line's queue, and is not the first there.
    pub(super) queued: bool,
    /// It stands before a read-modify-write.
    pub(super) before_rmw: bool,
    /// The step that it stands before.
    pub(super) step: &'static str,
    /// Accesses to words.
    pub(super) made: u64,
    pub(super) now: Time,
    /// When it began to wait for a line; orders those of equal time.
    pub(super) since: Time,
    /// Calls completed.
    pub(super) calls: u64,
}

#[derive(Debug)]
pub(super) struct Chooser {
    schedule: Schedule,
    random: Random,
    /// Of the last choice.
    last: usize,
    /// Accesses in a row that are left to it.
    left: u64,
    /// Calls that all together must have completed before a waiting core goes on.
    until: Vec<u64>,
    /// The victim has begun to wait.
    waiting: bool,
    priorities: Vec<u64>,
    /// When the running core is put last, in accesses made.
    changes: Vec<u64>,
    made: u64,
    /// Of a script: the turn.
    turn: usize,
    /// When it began, the core's accesses and calls, and whether it had done nothing.
    began: Option<(u64, u64, bool)>,
}

impl Chooser {
    pub(super) fn new(schedule: Schedule, cores: usize, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5ced);
        let priorities = (0..cores).map(|_| 1 << 63 | random.next()).collect();
        let changes = match schedule {
            Schedule::Priorities { changes, within } => {
                (0..changes).map(|_| random.below(within.max(1))).collect()
            }
            _ => Vec::new(),
        };
        Self {
            schedule,
            random,
            last: 0,
            left: 0,
            until: vec![0; cores],
            waiting: false,
            priorities,
            changes,
            made: 0,
            turn: 0,
            began: None,
        }
    }

    pub(super) fn by_clock(&self) -> bool {
        self.schedule == Schedule::Clock
    }

    /// Who is killed now.
    pub(super) fn killed(&mut self, cores: &[Seen]) -> Option<usize> {
        let turn = self.scripted(cores)?;
        (turn.until == Until::Killed).then_some(turn.core)
    }

    /// The turn of a script, those that have ended left behind.
    fn scripted(&mut self, cores: &[Seen]) -> Option<Turn> {
        let Schedule::Script(turns) = self.schedule else {
            return None;
        };
        while let Some(turn) = turns.get(self.turn) {
            let core = &cores[turn.core];
            let began = (core.made, core.calls, core.step.is_empty());
            let (made, calls, fresh) = *self.began.get_or_insert(began);
            let ended = match turn.until {
                Until::Made(n) => core.made - made >= n,
                Until::Before(step) => (fresh || core.made > made) && core.step == step,
                Until::Completed(n) => core.calls - calls >= n,
                Until::Killed => false,
            };
            if core.live && !ended {
                return Some(*turn);
            }
            self.turn += 1;
            self.began = None;
        }
        None
    }

    /// The core that goes next; one of them is live. `all` calls were completed.
    pub(super) fn next(&mut self, cores: &[Seen], all: u64) -> usize {
        self.made += 1;
        self.last = match self.schedule {
            Schedule::Clock => first_two(cores).0,
            Schedule::Random => self.any(cores, |_| true),
            Schedule::Priorities { .. } => self.highest(cores),
            Schedule::Bursts { most } => {
                if self.left == 0 || !cores[self.last].live {
                    self.left = 1 + self.random.below(most.max(1));
                    self.last = self.any(cores, |_| true);
                }
                self.left -= 1;
                self.last
            }
            Schedule::Starve { calls } => self.starve(cores, all, calls, true),
            Schedule::StarveRmw { calls } => {
                self.starve(cores, all, calls, cores[VICTIM].before_rmw)
            }
            Schedule::Drowsy { calls } => {
                let until = std::mem::take(&mut self.until);
                let chosen = self.any(cores, |core| until[core] <= all);
                self.until = until;
                if cores[chosen].before_rmw {
                    self.until[chosen] = all + calls;
                }
                chosen
            }
            Schedule::Script(_) => match self.scripted(cores) {
                Some(turn) => turn.core,
                None => (0..cores.len())
                    .find(|core| cores[*core].live)
                    .expect("a live core"),
            },
        };
        self.last
    }

    /// A call of this core did not get what it wanted.
    pub(super) fn refused(&mut self, core: usize) {
        self.demote(core);
        self.left = 0;
    }

    fn demote(&mut self, core: usize) {
        let lowest = self.priorities.iter().copied().min().unwrap_or(0);
        self.priorities[core] = lowest.saturating_sub(1);
    }

    fn highest(&mut self, cores: &[Seen]) -> usize {
        if self.changes.contains(&self.made) {
            self.demote(self.last);
        }
        (0..cores.len())
            .filter(|&core| cores[core].live)
            .max_by_key(|&core| self.priorities[core])
            .expect("a live core")
    }

    /// Where the victim is to `wait`, its turn comes when the others have done
    /// enough since it got there.
    fn starve(&mut self, cores: &[Seen], all: u64, calls: u64, wait: bool) -> usize {
        let others = all - cores[VICTIM].calls;
        if wait && !self.waiting {
            self.waiting = true;
            self.until[VICTIM] = others + calls;
        }
        let alone = cores.iter().skip(1).all(|other| !other.live);
        if cores[VICTIM].live && (alone || !wait || others >= self.until[VICTIM]) {
            self.waiting = false;
            return VICTIM;
        }
        self.any(cores, |core| core != VICTIM)
    }

    /// Any live core that `will`; if none will, the first live one.
    fn any(&mut self, cores: &[Seen], will: impl Fn(usize) -> bool) -> usize {
        let fits = |core: &usize| cores[*core].live && will(*core);
        // Drawn from all, most draws fit; where few do, they are counted.
        for _ in 0..8 {
            let drawn = self.random.below(cores.len() as u64) as usize;
            if fits(&drawn) {
                return drawn;
            }
        }
        let count = (0..cores.len()).filter(fits).count() as u64;
        if count > 0 {
            let nth = self.random.below(count) as usize;
            return (0..cores.len()).filter(fits).nth(nth).expect("counted");
        }
        (0..cores.len())
            .find(|core| cores[*core].live)
            .expect("a live core")
    }
}

/// By the clock: the core that is furthest behind, and how far it may go until
/// another one is. Of two at the same time, the one that has waited longer.
pub(super) fn first_two(cores: &[Seen]) -> (usize, (Time, Time, usize)) {
    let never = (Time::MAX, Time::MAX, usize::MAX);
    let (mut first, mut second) = (never, never);
    for (id, core) in cores.iter().enumerate() {
        if !core.live || core.queued {
            continue;
        }
        let at = (core.now, core.since, id);
        if at < first {
            (first, second) = (at, first);
        } else if at < second {
            second = at;
        }
    }
    assert!(first != never, "everybody waits for a line");
    (first.2, second)
}
