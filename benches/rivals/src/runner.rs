//! Paired, interleaved runs of one row: reference, subject, reference, subject, …, reference.

use serde::Serialize;

use crate::machine::Foreign;
use crate::stats::{Bar, Estimate, Rng, geometric_mean, median};

/// Share of a core that others may use during a round before it is taken again.
const FOREIGN_LIMIT: f64 = 0.3;

/// What one run yields.
#[derive(Debug, Clone)]
pub struct Sample {
    /// How long the measured part took, seconds.
    pub seconds: f64,
    /// One value for each metric of the row.
    pub values: Vec<f64>,
}

/// How much work a run does.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// As much as fills the time asked for.
    Fill,
    /// This many units.
    Fixed(u64),
}

/// Something that can be run.
pub struct Contender {
    /// Name in tables.
    pub name: String,
    /// How much a run does.
    pub work: Work,
    /// One run over that many units.
    pub run: Box<dyn Fn(u64) -> Sample>,
}

impl std::fmt::Debug for Contender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contender")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a figure of a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Subject over reference.
    Ratio,
    /// The subject's own value.
    Value,
}

/// One thing measured in each run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Metric {
    /// Name in tables.
    pub name: &'static str,
    /// Unit of the raw values.
    pub unit: &'static str,
    /// What is reported.
    pub figure: Figure,
}

/// A subject, and the bar of each metric.
#[derive(Debug)]
pub struct Subject {
    /// What runs.
    pub contender: Contender,
    /// One entry for each metric of the row, or none at all.
    pub bars: Vec<Option<Bar>>,
}

/// One reference and the subjects measured against it.
#[derive(Debug)]
pub struct Group {
    /// Scenario that the row belongs to.
    pub scenario: &'static str,
    /// The row: threads, capacity and so on.
    pub row: String,
    /// What each run yields.
    pub metrics: &'static [Metric],
    /// Measured before, between and after the subjects.
    pub reference: Contender,
    /// Everything compared with it.
    pub subjects: Vec<Subject>,
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Repetitions of each row.
    pub reps: usize,
    /// Length of a run that fills its time, seconds.
    pub run_seconds: f64,
}

/// Raw values of one repetition, in the order they were taken.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// Subjects in the order of this round; index 0 is the reference as its own subject.
    order: Vec<usize>,
    /// One run of the reference before each subject, and one after the last.
    reference: Vec<Vec<f64>>,
    /// One run of each subject, by index.
    subjects: Vec<Vec<f64>>,
    /// Cores used by others meanwhile.
    foreign_cores: Option<f64>,
}

impl Round {
    /// Paired ratios of a subject: its run over the mean of the reference just before and after.
    fn ratio(&self, subject: usize, metric: usize) -> f64 {
        let place = self
            .order
            .iter()
            .position(|s| *s == subject)
            .expect("every subject ran");
        let around = [
            self.reference[place][metric],
            self.reference[place + 1][metric],
        ];
        self.subjects[subject][metric] / geometric_mean(&around)
    }
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Scenario of the row.
    pub scenario: &'static str,
    /// The row.
    pub row: String,
    /// What was measured.
    pub metric: Metric,
    /// Who.
    pub subject: String,
    /// Against whom.
    pub reference: String,
    /// Median raw value of the subject.
    pub subject_value: f64,
    /// Median raw value of the reference.
    pub reference_value: f64,
    /// The figure, with its 95 % interval.
    pub estimate: Estimate,
    /// The reference against itself in the same rounds: what the row cannot resolve.
    pub same: Estimate,
    /// What the figure rests on, one value for each round.
    pub samples: Vec<f64>,
    /// What is asked of it.
    pub bar: Option<Bar>,
    /// Whether the bar holds.
    pub holds: Option<bool>,
}

/// A measured row.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Scenario of the row.
    pub scenario: &'static str,
    /// The row.
    pub row: String,
    /// Units of work in each run: the reference, then the subjects.
    pub work: Vec<(String, u64)>,
    /// Raw values.
    pub rounds: Vec<Round>,
    /// Rounds taken again because others used the machine.
    pub discarded: usize,
    /// What follows from them.
    pub lines: Vec<Line>,
}

/// Finds how many units fill the run; doubles as warm-up.
fn settle(contender: &Contender, seconds: f64) -> u64 {
    let mut units = match contender.work {
        Work::Fill => 2_000,
        Work::Fixed(units) => {
            (contender.run)(units);
            return units;
        }
    };
    loop {
        let took = (contender.run)(units).seconds;
        if took >= seconds / 4.0 {
            return ((units as f64 * seconds / took) as u64).clamp(500, 1 << 31);
        }
        units = (units as f64 * (seconds / took.max(1e-7)).clamp(2.0, 30.0)) as u64;
    }
}

/// Runs all rounds of a row.
pub fn measure(
    group: &Group,
    effort: Effort,
    rng: &mut Rng,
    mut progress: impl FnMut(usize),
) -> Measured {
    // Index 0 is the reference as its own subject: the A/A row.
    let contenders: Vec<&Contender> = std::iter::once(&group.reference)
        .chain(group.subjects.iter().map(|s| &s.contender))
        .collect();
    let units: Vec<u64> = contenders
        .iter()
        .map(|c| settle(c, effort.run_seconds))
        .collect();
    let run = |index: usize| (contenders[index].run)(units[index]).values;

    let mut rounds = Vec::new();
    let mut discarded = 0;
    while rounds.len() < effort.reps {
        let foreign = Foreign::watch();
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        rng.shuffle(&mut order);
        let mut reference = vec![run(0)];
        let mut subjects = vec![Vec::new(); contenders.len()];
        for subject in &order {
            subjects[*subject] = run(*subject);
            reference.push(run(0));
        }
        let foreign_cores = foreign.cores();
        if foreign_cores.is_some_and(|cores| cores > FOREIGN_LIMIT) && discarded < effort.reps {
            discarded += 1;
            continue;
        }
        rounds.push(Round {
            order,
            reference,
            subjects,
            foreign_cores,
        });
        progress(rounds.len());
    }

    let lines = lines(group, &rounds);
    let work = contenders
        .iter()
        .zip(&units)
        .map(|(c, n)| (c.name.clone(), *n))
        .collect();
    Measured {
        scenario: group.scenario,
        row: group.row.clone(),
        work,
        rounds,
        discarded,
        lines,
    }
}

fn lines(group: &Group, rounds: &[Round]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (m, metric) in group.metrics.iter().enumerate() {
        let ratios = |subject: usize| {
            rounds
                .iter()
                .map(|r| r.ratio(subject, m))
                .collect::<Vec<_>>()
        };
        let values = |subject: usize| {
            rounds
                .iter()
                .map(|r| r.subjects[subject][m])
                .collect::<Vec<_>>()
        };
        let all: Vec<f64> = rounds
            .iter()
            .flat_map(|r| r.reference.iter().map(|v| v[m]))
            .collect();
        let same = Estimate::of_ratios(&ratios(0));
        for (i, subject) in group.subjects.iter().enumerate() {
            let samples = match metric.figure {
                Figure::Ratio => ratios(i + 1),
                Figure::Value => values(i + 1),
            };
            let estimate = Estimate::of_ratios(&samples);
            let bar = subject.bars.get(m).copied().flatten();
            lines.push(Line {
                scenario: group.scenario,
                row: group.row.clone(),
                metric: *metric,
                subject: subject.contender.name.clone(),
                reference: group.reference.name.clone(),
                subject_value: median(&values(i + 1)),
                reference_value: median(&all),
                estimate,
                same,
                samples,
                bar,
                holds: bar.map(|bar| bar.holds(&estimate)),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    const SPEED: [Metric; 1] = [Metric {
        name: "throughput",
        unit: "M/s",
        figure: Figure::Ratio,
    }];

    /// A machine that gets slower with every run, and a contender with a speed relative to it.
    fn on(machine: &Rc<Cell<f64>>, name: &str, factor: f64) -> Contender {
        let machine = Rc::clone(machine);
        let run = move |units: u64| {
            machine.set(machine.get() * 0.97);
            let speed = factor * machine.get();
            Sample {
                seconds: units as f64 / speed,
                values: vec![speed],
            }
        };
        Contender {
            name: name.to_owned(),
            work: Work::Fill,
            run: Box::new(run),
        }
    }

    fn drifting(factor: f64) -> Measured {
        let machine = Rc::new(Cell::new(1e6));
        let group = Group {
            scenario: "test",
            row: "drift".to_owned(),
            metrics: &SPEED,
            reference: on(&machine, "reference", 1.0),
            subjects: vec![Subject {
                contender: on(&machine, "subject", factor),
                bars: vec![Some(Bar::AtLeast(1.1))],
            }],
        };
        let effort = Effort {
            reps: 7,
            run_seconds: 0.01,
        };
        measure(&group, effort, &mut Rng::new(1), |_| ())
    }

    #[test]
    fn steady_drift_of_the_machine_cancels_out() {
        let measured = drifting(1.10);
        let line = &measured.lines[0];
        assert!(
            (line.estimate.median - 1.10).abs() < 1e-9,
            "{:?}",
            line.estimate
        );
        assert!((line.same.median - 1.0).abs() < 1e-9, "{:?}", line.same);
        assert_eq!(line.holds, Some(true));
        assert_eq!(drifting(1.0).lines[0].holds, Some(false));
    }

    #[test]
    fn the_reference_stands_before_between_and_after() {
        for round in &drifting(1.0).rounds {
            assert_eq!(round.reference.len(), round.order.len() + 1);
            let mut order = round.order.clone();
            order.sort_unstable();
            assert_eq!(order, [0, 1]);
        }
    }

    #[test]
    fn runs_are_long_enough() {
        let work = &drifting(1.0).work;
        assert!(
            work.iter()
                .all(|(_, units)| (2_000..20_000).contains(units)),
            "{work:?}"
        );
    }
}
