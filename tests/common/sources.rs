//! The step tables of the module docs, read as text.

/// A module with steps.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// `turn`, `spsc`, `wait`.
    pub name: &'static str,
    /// Its source.
    pub text: &'static str,
    /// Its steps, in order.
    pub steps: &'static [turtle_buffers::atomic::Step],
}

/// Every module with steps.
pub const MODULES: &[Module] = &[
    Module {
        name: "turn",
        text: include_str!("../../src/strategy/turn.rs"),
        steps: turtle_buffers::strategy::turn::STEPS,
    },
    Module {
        name: "spsc",
        text: include_str!("../../src/strategy/spsc.rs"),
        steps: turtle_buffers::strategy::spsc::STEPS,
    },
    Module {
        name: "wait_free",
        text: concat!(
            include_str!("../../src/strategy/wait_free.rs"),
            include_str!("../../src/strategy/wait_free/slow.rs"),
            include_str!("../../src/strategy/wait_free/places.rs"),
        ),
        steps: turtle_buffers::strategy::wait_free::STEPS,
    },
    Module {
        name: "wait",
        text: include_str!("../../src/wait.rs"),
        steps: turtle_buffers::wait::STEPS,
    },
];

/// A row of a step table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The step.
    pub step: String,
    /// `load turn`, `exchange push`, …
    pub access: String,
    /// `acquire`, …
    pub order: String,
}

impl Module {
    /// The module of this name.
    pub fn named(name: &str) -> Self {
        *MODULES
            .iter()
            .find(|module| module.name == name)
            .expect("a module")
    }

    /// The rows of its step table; a row for several steps counts as several.
    pub fn table(&self) -> Vec<Row> {
        let begin = "//! | step | access | order |";
        let from = self.text.find(begin).expect("a step table");
        let rows = self.text[from..]
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with("//! |"));
        rows.flat_map(|line| {
            let cells: Vec<_> = line
                .trim_start_matches("//! |")
                .split('|')
                .map(str::trim)
                .collect();
            let (access, order) = (cells[1].to_string(), cells[2].to_string());
            let steps = cells[0]
                .split(',')
                .map(|name| name.trim().trim_matches('`').to_string());
            steps
                .map(|step| Row {
                    step,
                    access: access.clone(),
                    order: order.clone(),
                })
                .collect::<Vec<_>>()
        })
        .collect()
    }

    /// The code, without its own tests.
    fn code(&self) -> &'static str {
        self.text.split("#[cfg(test)]").next().unwrap_or(self.text)
    }

    /// The orderings that the code asks for at this step, without repeats.
    pub fn written(&self, step: &str) -> Vec<&'static str> {
        ["relaxed", "acquire", "release", "acq_rel", "seq_cst"]
            .into_iter()
            .filter(|order| self.code().contains(&format!("::{order}({step})")))
            .collect()
    }

    /// Whether the step can be left out: everything but a plain load, and the
    /// loads that are marked as re-checks.
    pub fn can_be_left_out(&self, row: &Row) -> bool {
        !row.access.starts_with("load") || self.code().contains(&format!("skip({})", row.step))
    }
}
