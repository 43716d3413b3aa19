//! Cases that are expected to fail: each runs in a process of its own, because
//! a model that fails leaves threads behind, and because a broken ring may end
//! its process.
//!
//! A test binary that uses this has a test `one_case`, which calls
//! [`perform_if_asked`]; the other tests start the binary again with the case
//! in the environment.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use turtle_buffers::atomic::{Step, Weakened, mutate};
use turtle_buffers::strategy::{Spsc, Turn, WaitFree, spsc, turn, wait_free};
use turtle_buffers::wait;

use super::clients::{Client, clients};
use super::explore::explore_until;
use super::mutants::{Early, FlagClose, ToggleClose};
use super::ordered;

const ASKED: &str = "TURTLE_CASE";
const CAUGHT: i32 = 10;
/// How the line of a case begins that says which steps came by.
const STEPS: &str = "#";
/// No client takes a tenth of this on the slowest machine we know.
const LIMIT: Duration = Duration::from_secs(300);

/// What is changed in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// This step's ordering is dropped.
    Weaken(Step),
    /// This step is left out.
    LeaveOut(Step),
}

/// One client on one engine with one change.
#[derive(Clone, Debug)]
pub struct Case {
    /// An engine of [`engine_clients`].
    pub engine: &'static str,
    /// One of its clients.
    pub client: &'static str,
    /// What is changed.
    pub change: Change,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (verb, step) = match self.change {
            Change::Nothing => ("as", "written"),
            Change::Weaken(step) => ("weaken", step.name()),
            Change::LeaveOut(step) => ("without", step.name()),
        };
        write!(f, "{} {} {verb} {step}", self.engine, self.client)
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client noticed: by a race, a deadlock, an outcome, a panic.
    Caught {
        /// Which of these.
        how: String,
        /// Schedules until then.
        executions: u64,
    },
    /// It did not.
    Survived {
        /// All schedules.
        executions: u64,
        /// How often a step was left out in them.
        times: u64,
        /// Where no step was weakened: those that came by.
        steps: Vec<Step>,
    },
}

/// The clients of an engine, by the engine's name in a case.
pub fn engine_clients(engine: &str) -> Vec<Client> {
    match engine {
        "turn" => clients::<Turn<Weakened>>(),
        "wait_free" => {
            let mut all = clients::<WaitFree<Weakened>>();
            all.extend(ordered::clients());
            all
        }
        "spsc" => clients::<Spsc<Weakened>>(),
        "turn-early" => clients::<Early<Turn>>(),
        "spsc-early" => clients::<Early<Spsc>>(),
        "turn-flag" => clients::<FlagClose<Turn>>(),
        "spsc-flag" => clients::<FlagClose<Spsc>>(),
        "turn-toggle" => clients::<ToggleClose<Turn>>(),
        "spsc-toggle" => clients::<ToggleClose<Spsc>>(),
        other => panic!("no engine {other}"),
    }
}

/// Preemptions at most when a step is weakened. A weaker ordering only adds
/// outcomes, so none is looked for that is never seen.
pub const WEAKENED_BOUND: usize = 2;

/// Every step that a case can change.
pub fn all_steps() -> impl Iterator<Item = Step> {
    turn::STEPS
        .iter()
        .chain(spsc::STEPS)
        .chain(wait_free::STEPS)
        .chain(wait_free::CHOICES)
        .chain(wait::STEPS)
        .copied()
}

/// Runs the case of the environment, if there is one, and ends the process.
pub fn perform_if_asked() {
    let Ok(case) = std::env::var(ASKED) else {
        return;
    };
    let words: Vec<_> = case.split(' ').collect();
    let [engine, name, verb, step] = words[..] else {
        panic!("{case} is no case");
    };
    let step = || all_steps().find(|s| s.name() == step).expect("a step");
    // Building the tables must not be disturbed by the change.
    let client = engine_clients(engine)
        .into_iter()
        .find(|c| c.name == name)
        .expect("a client");
    match verb {
        "weaken" => Weakened::choose(Some(step())),
        "without" => mutate::leave_out(Some(step())),
        _ => {}
    }
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("panic");
        let at = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        end("caught", &kind(text), &format!("{text} ({at})"), CAUGHT);
    }));
    let weakened = verb == "weaken";
    let bound = if weakened {
        client.bound.min(WEAKENED_BOUND)
    } else {
        client.bound
    };
    let seen = explore_until(bound, client.body, {
        let allowed = client.allowed.clone();
        move |outcome| {
            if !allowed.contains(outcome) {
                end("caught", "outcome", outcome, CAUGHT);
            }
        }
    });
    let expected = || client.allowed.difference(&seen.outcomes);
    let exact = client.exact && !weakened;
    let missing = expected().find(|outcome| exact && !client.rare.contains(*outcome));
    if let Some(missing) = missing {
        end("caught", "outcome never seen", missing, CAUGHT);
    }
    let steps = Weakened::come_by();
    let steps: Vec<_> = steps.iter().map(|step| step.name()).collect();
    println!("\n{STEPS}{}", steps.join(" "));
    end("survived", "-", &mutate::times_left_out().to_string(), 0);
}

fn end(verdict: &str, how: &str, text: &str, code: i32) -> ! {
    let text = text.replace('\n', " ");
    println!("\n@{verdict}@{how}@{}@{text}", super::explore::executions());
    std::process::exit(code)
}

/// What kind of complaint this is.
fn kind(text: &str) -> String {
    let known = [
        ("Causality violation", "race"),
        ("deadlock", "deadlock"),
        ("exceeded maximum number of branches", "no end"),
    ];
    known
        .iter()
        .find(|(part, _)| text.contains(part))
        .map_or_else(|| "panic".to_string(), |(_, kind)| (*kind).to_string())
}

/// Runs one case in a process of its own.
pub fn run(case: &Case) -> Verdict {
    let me = std::env::current_exe().expect("this binary");
    let mut child = Command::new(me)
        .args(["one_case", "--exact", "--nocapture", "--test-threads=1"])
        .env(ASKED, case.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start this binary again");
    let started = Instant::now();
    let watch = child.id();
    let out = std::thread::scope(|scope| {
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            if waiting.recv_timeout(LIMIT).is_err() && started.elapsed() >= LIMIT {
                // SAFETY: the child has not been waited for, so the number is its own.
                unsafe { libc::kill(watch as i32, libc::SIGKILL) };
            }
        });
        let mut text = String::new();
        use std::io::Read;
        child
            .stdout
            .take()
            .expect("a pipe")
            .read_to_string(&mut text)
            .expect("text");
        drop(done);
        text
    });
    let status = child.wait().expect("the child");
    let line = out
        .lines()
        .find(|line| line.starts_with('@'))
        .unwrap_or("@@@@");
    let parts: Vec<_> = line.splitn(5, '@').skip(1).collect();
    let came_by: Vec<_> = out
        .lines()
        .find_map(|line| line.strip_prefix(STEPS))
        .map_or_else(Vec::new, |names| names.split(' ').collect());
    let executions = parts.get(2).and_then(|n| n.parse().ok()).unwrap_or(0);
    match (parts[0], status.code()) {
        ("caught", Some(CAUGHT)) => Verdict::Caught {
            how: parts[1].to_string(),
            executions,
        },
        ("survived", Some(0)) => Verdict::Survived {
            executions,
            times: parts[3].parse().expect("a count"),
            steps: all_steps()
                .filter(|step| came_by.contains(&step.name()))
                .collect(),
        },
        _ if started.elapsed() >= LIMIT => Verdict::Caught {
            how: "no end".into(),
            executions,
        },
        // Killed by its own damage: it is noticed, and says so by its status.
        (_, None) => Verdict::Caught {
            how: "crash".into(),
            executions,
        },
        _ => panic!("{case}: the case ended with {status} and said:\n{out}"),
    }
}

/// A change, and the clients to try it on, most promising first.
#[derive(Clone, Debug)]
pub struct Job {
    /// As in [`Case`].
    pub engine: &'static str,
    /// As in [`Case`].
    pub change: Change,
    /// In this order, until one notices.
    pub clients: Vec<&'static str>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The job.
    pub job: Job,
    /// The client that noticed, and how; `None` if none did.
    pub caught: Option<(&'static str, String)>,
    /// Schedules run for it.
    pub executions: u64,
    /// How often the step was left out (by the clients that did not notice).
    pub times: u64,
    /// The steps that came by, where none was weakened.
    pub steps: Vec<Step>,
}

/// Runs jobs on all processors; answers in the order of the list.
pub fn sweep(jobs: Vec<Job>) -> Vec<Found> {
    let next = Mutex::new(0);
    let found: Mutex<Vec<Option<Found>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let mine = {
                        let mut next = next.lock().unwrap();
                        *next += 1;
                        *next - 1
                    };
                    let Some(job) = jobs.get(mine) else {
                        return;
                    };
                    found.lock().unwrap()[mine] = Some(try_all(job));
                }
            });
        }
    });
    found
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|f| f.expect("every job was done"))
        .collect()
}

fn try_all(job: &Job) -> Found {
    let mut found = Found {
        job: job.clone(),
        caught: None,
        executions: 0,
        times: 0,
        steps: Vec::new(),
    };
    for client in &job.clients {
        let case = Case {
            engine: job.engine,
            client,
            change: job.change,
        };
        match run(&case) {
            Verdict::Caught { how, executions } => {
                found.executions += executions;
                found.caught = Some((client, how));
                break;
            }
            Verdict::Survived {
                executions,
                times,
                steps,
            } => {
                found.executions += executions;
                found.times += times;
                found.steps.extend(steps);
            }
        }
    }
    found
}
