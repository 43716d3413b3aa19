//! The compiled module `turtle_buffers._turtle`: translation only. A method
//! checks its arguments, makes one call of the erased face, and translates
//! the outcome.
//!
//! The interpreter lock: each call tries once while it holds the lock, which
//! costs no hand-over, and gives the lock up before it waits. Waits come in
//! slices, so that signals such as Ctrl-C are seen between two of them.

mod base;
mod errors;
mod lend;
mod linger;
mod object;
mod shared;
mod wait;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use turtle_buffers::strategy::{Arity, Strategy};

/// List the engines of this build and what each promises.
///
/// Returns one dict an engine, in the order of their numbers: its `name` for the
/// `strategy` argument, how many `producers` and `consumers` at once ("one", "many"),
/// when a call `returns`, what a `stopped_thread` does to the others, whether a killed
/// process may come back and go on (`survives_kill`), whether it can be `shared`
/// between processes, and the `source` of the algorithm.
///
/// >>> [engine["name"] for engine in turtle_buffers.strategies()][:2]
/// ['turn', 'spsc']
#[pyfunction]
fn strategies(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for strategy in Strategy::ALL {
        let traits = strategy.traits();
        let arity = |arity| if arity == Arity::One { "one" } else { "many" };
        let engine = PyDict::new(py);
        engine.set_item("name", traits.name)?;
        engine.set_item("producers", arity(traits.producers))?;
        engine.set_item("consumers", arity(traits.consumers))?;
        engine.set_item("returns", traits.returns)?;
        engine.set_item("stopped_thread", traits.stopped_thread)?;
        engine.set_item("survives_kill", traits.survives_kill)?;
        engine.set_item("shared", traits.shared)?;
        engine.set_item("records", traits.records)?;
        engine.set_item("source", traits.source)?;
        list.append(engine)?;
    }
    Ok(list)
}

/// What `python -m turtle_buffers` says about this machine.
#[pyfunction(name = "_machine")]
fn machine(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let machine = turtle_buffers::os::machine::machine();
    let facts = PyDict::new(py);
    facts.set_item(
        "system",
        format!("{} {}", machine.system.0, machine.system.1),
    )?;
    facts.set_item("kernel", machine.kernel)?;
    facts.set_item("cores", machine.cores_allowed.len())?;
    facts.set_item("shared_memory", machine.shared_memory)?;
    facts.set_item("barrier", machine.membarrier)?;
    Ok(facts)
}

#[pymodule(gil_used = false)]
fn _turtle(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", turtle_buffers::VERSION)?;
    module.add_class::<base::Base>()?;
    module.add_class::<base::Watch>()?;
    module.add_class::<object::RingBuffer>()?;
    module.add_class::<shared::SharedRingBuffer>()?;
    module.add_class::<shared::Recovered>()?;
    module.add_class::<lend::Claim>()?;
    module.add_class::<lend::Peek>()?;
    module.add_function(wrap_pyfunction!(strategies, module)?)?;
    module.add_function(wrap_pyfunction!(shared::unlink, module)?)?;
    module.add_function(wrap_pyfunction!(machine, module)?)
}
