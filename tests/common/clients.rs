//! The clients: at least one for each hazard of a ring.

use turtle_buffers::strategy::{Engine, RawRing, Traits, Typed};

use super::program::Op::{
    NoBarrier, Pop, PopCopies, PopRun, PopStraight, Push, PushCopies, PushRun, PushStraight, Seal,
};
use super::program::Program;
use super::spec::promise;
use super::{Outcomes, by_hand, outcomes};

/// The clients whose outcomes `spec.rs` can compute.
pub const PROGRAMS: &[Program<'static>] = &[
    Program {
        name: "reuse_1",
        hazard: "the one slot is written again while it is read",
        capacity: 1,
        setup: &[],
        threads: &[&[Push(1), Push(2)], &[Pop, Pop]],
        bound: 3,
    },
    Program {
        name: "reuse_2",
        hazard: "slots are reused in the second lap",
        capacity: 2,
        setup: &[],
        threads: &[&[Push(1), Push(2), Push(3)], &[Pop, Pop]],
        bound: 3,
    },
    Program {
        name: "reuse_3",
        hazard: "a capacity that is no power of two wraps",
        capacity: 3,
        setup: &[Push(1), Push(2), Pop, Push(3)],
        threads: &[&[Push(4), Push(5)], &[Pop, Pop]],
        bound: 3,
    },
    Program {
        name: "empty",
        hazard: "an answer Empty that is not true",
        capacity: 2,
        setup: &[],
        threads: &[&[Push(1)], &[Pop, Pop]],
        bound: 3,
    },
    Program {
        name: "full",
        hazard: "an answer Full that is not true",
        capacity: 1,
        setup: &[Push(1)],
        threads: &[&[Push(2), Push(3)], &[Pop]],
        bound: 3,
    },
    Program {
        name: "producers_2",
        hazard: "two producers take one slot; a stopped one hides another's element",
        capacity: 2,
        setup: &[],
        threads: &[&[Push(1)], &[Push(2)], &[Pop, Pop]],
        bound: 2,
    },
    Program {
        name: "producers_full",
        hazard: "two producers race for the last slot",
        capacity: 1,
        setup: &[Push(1)],
        threads: &[&[Push(2)], &[Push(3)], &[Pop]],
        bound: 2,
    },
    Program {
        name: "consumers_2",
        hazard: "two consumers take one element",
        capacity: 2,
        setup: &[Push(1), Push(2)],
        threads: &[&[Pop], &[Pop], &[Push(3)]],
        bound: 2,
    },
    Program {
        name: "both_sides",
        hazard: "each thread pushes and pops: nobody may find it empty after its own push unless another popped",
        capacity: 1,
        setup: &[],
        threads: &[&[Push(1), Pop], &[Push(2), Pop]],
        bound: 3,
    },
    Program {
        name: "seal_consumers",
        hazard: "a consumer waits for one that is halfway, though nothing is to come",
        capacity: 1,
        setup: &[Push(1)],
        threads: &[&[Pop], &[Pop], &[Seal]],
        bound: 2,
    },
    Program {
        name: "seal_push",
        hazard: "a push succeeds after a consumer was told Closed",
        capacity: 2,
        setup: &[],
        threads: &[&[Push(1)], &[Seal], &[Pop, Pop]],
        bound: 2,
    },
    Program {
        name: "seal_fenced",
        hazard: "as seal_push, where the sealer has no asymmetric barrier",
        capacity: 2,
        setup: &[NoBarrier],
        threads: &[&[Push(1)], &[Seal], &[Pop, Pop]],
        bound: 2,
    },
    Program {
        name: "seal_refused",
        hazard: "a refused push hides what was pushed before it",
        capacity: 2,
        setup: &[],
        threads: &[&[Push(1), Push(2)], &[Seal], &[Pop]],
        bound: 2,
    },
    Program {
        name: "seal_full",
        hazard: "a full ring is closed under a push",
        capacity: 1,
        setup: &[Push(1)],
        threads: &[&[Push(2)], &[Seal], &[Pop, Pop]],
        bound: 2,
    },
    Program {
        name: "seal_pop",
        hazard: "closing loses what is inside",
        capacity: 2,
        setup: &[Push(1)],
        threads: &[&[Seal], &[Pop, Pop]],
        bound: 3,
    },
    Program {
        name: "seal_twice",
        hazard: "closing twice loses an element or a mark",
        capacity: 2,
        setup: &[Push(1)],
        threads: &[&[Seal], &[Seal], &[Push(2)]],
        bound: 2,
    },
    Program {
        name: "straight",
        hazard: "the straight way takes a slot that is not known to be free or full",
        capacity: 2,
        setup: &[Push(1)],
        threads: &[
            &[PushStraight(2), PushStraight(3)],
            &[PopStraight, PopStraight],
        ],
        bound: 3,
    },
    Program {
        name: "straight_many",
        hazard: "the straight way meets the ordinary one",
        capacity: 2,
        setup: &[Push(1)],
        threads: &[&[PushStraight(2)], &[Push(3)], &[PopStraight, Pop]],
        bound: 2,
    },
    Program {
        name: "straight_seal",
        hazard: "a straight push is done after the ring was closed",
        capacity: 3,
        setup: &[Push(1)],
        threads: &[&[PushStraight(2), PushStraight(3)], &[Seal], &[PopStraight]],
        bound: 1,
    },
    Program {
        name: "runs",
        hazard: "a run is seen in part, or out of order",
        capacity: 2,
        setup: &[],
        threads: &[&[PushRun(&[1, 2])], &[PopRun(2), PopRun(2)]],
        bound: 3,
    },
    Program {
        name: "runs_wrap",
        hazard: "a run crosses the end of the slots and reuses one",
        capacity: 3,
        setup: &[Push(1), Push(2)],
        threads: &[&[PushRun(&[3, 4, 5])], &[PopRun(2), Pop]],
        bound: 3,
    },
    Program {
        name: "copies_wrap",
        hazard: "a block is copied over the end of the slots, in or out, and reuses some",
        capacity: 3,
        setup: &[Push(1), Push(2)],
        threads: &[&[PushCopies(&[3, 4, 5])], &[PopCopies(2), PopCopies(2)]],
        bound: 3,
    },
    Program {
        name: "runs_2",
        hazard: "two runs mix",
        capacity: 3,
        setup: &[],
        threads: &[&[PushRun(&[1, 2])], &[PushRun(&[3, 4])]],
        bound: 3,
    },
    Program {
        name: "runs_single",
        hazard: "a run and a single push or pop at once",
        capacity: 2,
        setup: &[Push(1)],
        threads: &[&[PushRun(&[2, 3])], &[Pop], &[Pop]],
        bound: 2,
    },
    Program {
        name: "hints",
        hazard: "what a side tells others now and then is not true",
        capacity: 16,
        setup: &[PushRun(&[
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        ])],
        threads: &[&[Push(17)], &[Pop, PopRun(2)]],
        bound: 2,
    },
    Program {
        name: "gather",
        hazard: "a side that waits a moment for a run misses what came",
        capacity: 8,
        setup: &[PushRun(&[1, 2, 3, 4, 5, 6, 7, 8])],
        threads: &[&[Push(9)], &[Pop, PopRun(2)]],
        bound: 3,
    },
];

/// Programs for an engine that is helped, and the patience of each thread (none:
/// the usual one). At 0 every call is announced, and whoever comes to its
/// position completes it.
pub const HELPED: &[(&[u32], Program<'static>)] = &[
    (
        &[],
        Program {
            name: "run_apart",
            hazard: "two consumers take a run apart",
            capacity: 3,
            setup: &[PushCopies(&[1, 2, 3])],
            threads: &[&[Pop], &[Pop, Pop]],
            bound: 3,
        },
    ),
    (
        &[],
        Program {
            name: "run_rest",
            hazard: "the rest of a run is taken whole, part of it having been taken",
            capacity: 4,
            setup: &[PushCopies(&[1, 2, 3])],
            threads: &[&[Pop], &[PopCopies(2)], &[Push(4)]],
            bound: 2,
        },
    ),
    (
        &[],
        Program {
            name: "run_comes",
            hazard: "a run is pushed while it is taken apart",
            capacity: 3,
            setup: &[],
            threads: &[&[PushCopies(&[1, 2])], &[Pop], &[PopCopies(2)]],
            bound: 2,
        },
    ),
    (
        &[0, 0],
        Program {
            name: "announced_1",
            hazard: "an announced push and an announced pop at one slot",
            capacity: 1,
            setup: &[],
            threads: &[&[Push(1), Push(2)], &[Pop, Pop]],
            bound: 2,
        },
    ),
    (
        &[0, 0],
        Program {
            name: "announced_2",
            hazard: "two announced pushes at one position",
            capacity: 2,
            setup: &[],
            threads: &[&[Push(1)], &[Push(2)]],
            bound: 3,
        },
    ),
    (
        &[0, 0],
        Program {
            name: "announced_pops",
            hazard: "two announced pops of one element",
            capacity: 2,
            setup: &[Push(1)],
            threads: &[&[Pop], &[Pop]],
            bound: 3,
        },
    ),
    (
        &[8, 8, 0],
        Program {
            name: "help_race",
            hazard: "two helpers and the announcer at one position",
            capacity: 3,
            setup: &[],
            threads: &[&[Push(1)], &[Push(2)], &[Push(3)]],
            bound: 1,
        },
    ),
    (
        &[8, 8, 0],
        Program {
            name: "help_race_pop",
            hazard: "two helpers and the announcer at one element",
            capacity: 3,
            setup: &[Push(1), Push(2)],
            threads: &[&[Pop], &[Pop], &[Pop]],
            bound: 1,
        },
    ),
    (
        &[8, 8, 0],
        Program {
            name: "withdraw_race",
            hazard: "a pop of an empty ring is taken back while a push comes and another pop helps it",
            capacity: 2,
            setup: &[],
            threads: &[&[Push(1)], &[Pop], &[Pop]],
            bound: 1,
        },
    ),
    (
        &[8, 8, 0],
        Program {
            name: "withdraw_full",
            hazard: "a push to a full ring is taken back while room comes and another push helps it",
            capacity: 1,
            setup: &[Push(1)],
            threads: &[&[Pop], &[Push(2)], &[Push(3)]],
            bound: 2,
        },
    ),
    (
        &[0, 0],
        Program {
            name: "announced_run",
            hazard: "announced pops take a run apart",
            capacity: 3,
            setup: &[PushCopies(&[1, 2, 3])],
            threads: &[&[Pop], &[Pop, Pop]],
            bound: 2,
        },
    ),
    (
        &[0, 8, 8],
        Program {
            name: "announced_rest",
            hazard: "an announced pop, the rest of its run, and a push behind it",
            capacity: 4,
            setup: &[PushCopies(&[1, 2, 3])],
            threads: &[&[Pop], &[PopCopies(2)], &[Push(4)]],
            bound: 1,
        },
    ),
    (
        &[0, 0],
        Program {
            name: "announced_comes",
            hazard: "an announced push of a run, and two pops of it",
            capacity: 3,
            setup: &[],
            threads: &[&[PushCopies(&[1, 2])], &[Pop, Pop]],
            bound: 1,
        },
    ),
    (
        &[0, 8, 8],
        Program {
            name: "announced_seal",
            hazard: "an announced push is completed after a consumer was told Closed",
            capacity: 2,
            setup: &[],
            threads: &[&[Push(1)], &[Seal], &[Pop, Pop]],
            bound: 1,
        },
    ),
    (
        &[0, 0],
        Program {
            name: "announced_both",
            hazard: "each thread announces on both sides",
            capacity: 1,
            setup: &[],
            threads: &[&[Push(1), Pop], &[Push(2), Pop]],
            bound: 1,
        },
    ),
    (
        &[0, 0],
        Program {
            name: "helped_push",
            hazard: "who has completed another's push pops what it does not see written",
            capacity: 2,
            setup: &[],
            threads: &[&[Push(1)], &[Push(2), Pop]],
            bound: 1,
        },
    ),
    (
        &[0, 0],
        Program {
            name: "helped_pop",
            hazard: "who has completed another's pop writes to a cell that is still read",
            capacity: 2,
            setup: &[Push(1), Push(2)],
            threads: &[&[Pop, Pop], &[Pop, Push(3), Push(4)]],
            bound: 1,
        },
    ),
];

/// A client together with what it may do.
pub struct Client {
    /// Its name in the tables.
    pub name: &'static str,
    /// What could go wrong here.
    pub hazard: &'static str,
    /// Loom's limit on preemptions.
    pub bound: usize,
    /// Every outcome that is right. All of them are seen, but for `rare`.
    pub allowed: Outcomes,
    /// Allowed, and not seen within the bound or never done by this engine.
    pub rare: Outcomes,
    /// Whether an outcome that is never seen is a fault. Not where batches are
    /// decided piece by piece: how large the pieces are is the engine's business.
    pub exact: bool,
    /// Whether it goes through the safe face and its waiting calls.
    pub waits: bool,
    /// Runs it once.
    pub body: Box<dyn Fn() -> String + Send + Sync>,
}

/// What the engine promises, by its own table.
pub fn traits<E: Engine>() -> Traits {
    <E::Raw<Typed<u64>> as RawRing<Typed<u64>>>::TRAITS
}

/// Every client that fits the engine's arity.
pub fn clients<E: Engine>() -> Vec<Client> {
    let traits = traits::<E>();
    let promise = promise(traits.name);
    let mut all: Vec<_> = PROGRAMS
        .iter()
        .filter(|program| program.fits(traits.producers, traits.consumers))
        // Where closing does not rest on the barrier, it is `seal_push` again.
        .filter(|program| promise.late_close || !program.setup.contains(&NoBarrier))
        .map(|program| Client {
            name: program.name,
            hazard: program.hazard,
            bound: program.bound,
            allowed: program.allowed(promise),
            rare: rare(traits.name, program.name),
            exact: !(promise.piecewise && program.has_batches()),
            waits: false,
            body: Box::new(|| program.run::<E>()),
        })
        .collect();
    all.extend(by_hand::clients::<E>());
    for client in &mut all {
        client.bound -= usize::from(is_large(traits.name, client.name));
    }
    if promise.helps {
        all.push(by_hand::joining::<E>());
        all.extend(HELPED.iter().map(|(patiences, program)| Client {
            name: program.name,
            hazard: program.hazard,
            bound: program.bound,
            allowed: program.allowed(promise),
            rare: rare(traits.name, program.name),
            // What takes more preemptions than these bounds is not seen.
            exact: false,
            waits: false,
            body: Box::new(|| program.run_with::<E>(patiences)),
        }));
    }
    all
}

/// Clients that take one preemption less on an engine with so many accesses.
fn is_large(engine: &str, client: &str) -> bool {
    let large = [
        "producers_full",
        "seal_full",
        "straight_many",
        "copies_wrap",
        "wait_both",
        "close_race",
    ];
    engine == "wait_free" && large.contains(&client)
}

/// Allowed outcomes that an engine never has.
fn rare(engine: &str, program: &str) -> Outcomes {
    outcomes(
        match (engine, program) {
            // One store publishes a whole run.
            ("spsc", "runs") => &["+2 | [1],[2] | left -", "+2 | empty,[1] | left 2"][..],
            ("spsc", "runs_wrap") => {
                &["+2 | [1, 2],3 | left 4", "+2 | [1, 2],empty | left 3,4"][..]
            }
            // And one frees a whole run: the room is 1 or 3.
            ("spsc", "copies_wrap") => &[
                "+2 | [1, 2],[3, 4] | left -",
                "+2 | [1, 2],[3] | left 4",
                "+2 | [1, 2],empty | left 3,4",
                "+3 | [1, 2],[3] | left 4,5",
            ],
            _ => &[],
        }
        .iter()
        .copied(),
    )
}
