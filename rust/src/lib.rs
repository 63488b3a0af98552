//! `gatekeeper._native`: YAML with positions, JSON Schema, Rego and CEL. Bindings only; the product logic is in Python.

mod block_yaml;
mod builtins;
mod cel;
mod files;
mod globs;
mod input;
mod memory;
mod numbers;
mod regex_go;
mod rego;
mod schema;
mod sprintf;
mod yaml;

use pyo3::prelude::*;

/// Runs `work` over all items on at most `jobs` threads, each with a state of its own; results keep the items' order.
fn spread<Item: Sync, State, Output: Send>(
    items: &[Item],
    jobs: usize,
    start: impl Fn() -> State + Sync,
    work: impl Fn(&mut State, &Item) -> Output + Sync,
) -> Vec<Output> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    const CHUNK: usize = 16;
    let jobs = jobs.clamp(1, items.len().div_ceil(CHUNK).max(1));
    let run = || {
        let mut state = start();
        let mut done: Vec<(usize, Output)> = Vec::new();
        loop {
            let from = next.fetch_add(CHUNK, std::sync::atomic::Ordering::Relaxed);
            if from >= items.len() {
                return done;
            }
            for index in from..(from + CHUNK).min(items.len()) {
                done.push((index, work(&mut state, &items[index])));
            }
        }
    };
    if items.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<(usize, Output)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, run)).collect();
        workers.into_iter().flat_map(|worker| worker.expect("a thread starts").join().expect("a worker ends")).collect()
    });
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, output)| output).collect()
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<yaml::Document>()?;
    module.add_function(wrap_pyfunction!(yaml::parse_yaml, module)?)?;
    module.add_function(wrap_pyfunction!(files::read_files, module)?)?;
    module.add_class::<rego::Rego>()?;
    module.add_function(wrap_pyfunction!(builtins::check_constant, module)?)?;
    module.add_class::<cel::Cel>()?;
    module.add_class::<schema::Schema>()?;
    module.add("REGORUS", rego::VERSION)?;
    Ok(())
}
