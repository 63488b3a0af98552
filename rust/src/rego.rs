//! Rego by regorus: policies compiled once, all inputs evaluated in one call.

use crate::memory;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use regorus::utils::limits::{ExecutionTimerConfig, PolicyLengthConfig};
use regorus::{Engine, Value};
use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

pub const VERSION: &str = "0.14.1";

/// One evaluated rule of one input: (index of the input, index of the query, its value as JSON, or None and the error).
type Answer = (usize, usize, Option<String>, String);

/// The lines of a file that were reached, and those that were not.
type Reached = (String, Vec<u32>, Vec<u32>);

/// Policies of both Rego versions, with their data, compiled for queries.
#[pyclass(module = "gatekeeper._native")]
pub struct Rego {
    engine: Engine,
    /// Bytes that an evaluation may add to the memory in use.
    memory_limit: u64,
}

fn blank(limit_ms: u64) -> Engine {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(false);
    // The engine would write to the standard error of the process, also the value of a Secret.
    engine.set_gather_prints(true);
    crate::builtins::limit(&mut engine, "sprintf", 2, crate::sprintf::sprintf);
    crate::builtins::add(&mut engine);
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: NonZeroU32::new(65_536).expect("not zero"),
        max_file_bytes: NonZeroUsize::new(8 << 20).expect("not zero"),
        max_lines: NonZeroUsize::new(200_000).expect("not zero"),
    });
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit: Duration::from_millis(limit_ms),
        check_interval: NonZeroU32::new(64).expect("not zero"),
    });
    engine
}

#[pymethods]
impl Rego {
    /// An engine without policies; each rule evaluated on it may take `limit_ms` milliseconds and `memory_limit` bytes.
    #[new]
    fn new(limit_ms: u64, memory_limit: u64) -> Self {
        Rego { engine: blank(limit_ms), memory_limit }
    }

    /// Adds one module, read as Rego v0 or v1. Raises ValueError with the compiler's message.
    fn add_policy(&mut self, path: String, text: String, v0: bool) -> PyResult<()> {
        let _alone = memory::alone();
        self.engine.set_rego_v0(v0);
        let text = crate::numbers::rewritten(&path, &text, v0).unwrap_or(text);
        self.engine.add_policy(path, text).map(|_| ()).map_err(refusal)
    }

    /// Evaluates some rules on one input; returns the results and the coverage: (results, [(path, lines reached, lines not)]).
    /// Lines that only declare (package, import, comment) are in neither list. Counts up over several calls.
    fn trace(&mut self, py: Python<'_>, input: PyBackedBytes, queries: Vec<String>) -> PyResult<(Vec<Answer>, Vec<Reached>)> {
        py.detach(|| {
            let _alone = memory::alone();
            memory::bound(self.memory_limit);
            self.engine.set_enable_coverage(true);
            let wanted: Vec<usize> = (0..queries.len()).collect();
            let answers = ask(&mut self.engine, None, 0, &input, &wanted, &queries);
            let report = self.engine.get_coverage_report().map_err(|error| format!("{error:#}"))?;
            let lines = |set: std::collections::BTreeSet<u32>| set.into_iter().collect();
            Ok((answers, report.files.into_iter().map(|file| (file.path, lines(file.covered), lines(file.not_covered))).collect()))
        })
        .map_err(|error: String| PyValueError::new_err(error))
    }

    /// Merges a JSON document into `data`. Raises ValueError if it is not an object or conflicts with the existing data.
    fn add_data(&mut self, json: &str) -> PyResult<()> {
        let _alone = memory::alone();
        self.engine.add_data_json(json).map_err(refusal)
    }

    /// Evaluates the rules of its group (`data.package.rule`) on each input, on `jobs` threads. Undefined and empty results are left out.
    fn evaluate(&self, py: Python<'_>, inputs: Vec<(PyBackedBytes, usize)>, groups: Vec<Vec<usize>>, queries: Vec<String>, jobs: usize) -> Vec<Answer> {
        py.detach(|| {
            let numbered: Vec<_> = inputs.iter().enumerate().collect();
            let together = if inputs.len() < FEW { None } else { together(&self.engine, &groups, &queries) };
            let answers = {
                let _shared = memory::shared(self.memory_limit);
                let engine = together.as_ref().unwrap_or(&self.engine);
                let beside = Beside { fresh: engine, failures: queries.iter().map(|_| AtomicUsize::new(0)).collect() };
                crate::spread(&numbered, jobs, || engine.clone(), |engine, (number, (json, group))| {
                    let wanted = &groups[*group];
                    if together.is_some() && wanted.len() > 1 && !wanted.iter().any(|query| beside.is_hopeless(*query)) {
                        if let Some(answers) = ask_together(engine, *number, json, *group, wanted) {
                            return answers;
                        }
                    }
                    ask(engine, Some(&beside), *number, json, wanted, &queries)
                })
            };
            self.judge_alone(answers.into_iter().flatten().collect(), &inputs, &groups, &queries)
        })
    }
}

/// After this number of inputs a rule is not evaluated again: it would need too much memory for each of them.
const MOST_FAILURES: usize = 3;

/// What evaluations on several threads have in common.
struct Beside<'a> {
    fresh: &'a Engine,
    /// Per rule, on how many inputs it failed because all threads together needed too much memory.
    failures: Vec<AtomicUsize>,
}

impl Beside<'_> {
    fn is_hopeless(&self, query: usize) -> bool {
        self.failures[query].load(Relaxed) >= MOST_FAILURES
    }
}

impl Rego {
    /// Evaluates alone what failed while the threads together exceeded the limit: only one of them may need that much.
    /// A rule that needs too much for some inputs is not evaluated on those after them, on any number of threads.
    fn judge_alone(&self, answers: Vec<Answer>, inputs: &[(PyBackedBytes, usize)], groups: &[Vec<usize>], queries: &[String]) -> Vec<Answer> {
        let (failed, mut answers): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|(.., error)| memory::is_exceeded(error));
        if failed.is_empty() {
            return answers;
        }
        let _alone = memory::alone();
        // Per rule: how many inputs it failed on, the last of them that was evaluated, and its error.
        let mut failures: HashMap<usize, (usize, usize, String)> = HashMap::new();
        for (number, query, ..) in failed {
            if failures.get(&query).is_some_and(|(count, ..)| *count >= MOST_FAILURES) {
                continue;
            }
            // On a thread of `spread`, which has the stack that evaluations need.
            let again = crate::spread(&[number], 1, || self.engine.clone(), |engine, number| {
                mimalloc::release();
                memory::bound(self.memory_limit);
                ask(engine, None, *number, &inputs[*number].0, &[query], queries)
            });
            for answer in again.into_iter().flatten() {
                if memory::is_exceeded(&answer.3) {
                    let failure = failures.entry(query).or_default();
                    *failure = (failure.0 + 1, number, answer.3.clone());
                }
                answers.push(answer);
            }
        }
        for (query, (_, last, error)) in failures.into_iter().filter(|(_, (count, ..))| *count >= MOST_FAILURES) {
            answers.retain(|(number, other, ..)| *other != query || *number <= last);
            let rest = inputs.iter().enumerate().skip(last + 1).filter(|(_, (_, group))| groups[*group].contains(&query));
            answers.extend(rest.map(|(number, _)| (number, query, None, error.clone())));
        }
        memory::bound(u64::MAX);
        // In the order of the inputs, and for each in that of its rules.
        answers.sort_by_cached_key(|(number, query, ..)| (*number, groups[inputs[*number].1].iter().position(|other| other == query)));
        answers
    }
}

fn refusal(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("{error:#}"))
}

/// Evaluates one rule, and drops what its policy prints. A panic inside the engine becomes an error of that policy; it
/// neither ends the process nor prints to the terminal.
fn evaluate_rule(engine: &mut Engine, rule: String) -> Result<Value, String> {
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.eval_rule(rule)));
    let _ = engine.take_prints();
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err("the embedded engine failed on this policy".into()),
    }
}

/// With fewer inputs than this, preparing another engine costs more than it saves.
const FEW: usize = 64;
const TOGETHER: &str = "gatekeeper_together";

/// The engine with one rule per group of queries that evaluates all of them: the rules share common parts, and the cost
/// of one evaluation occurs once. None if the engine refuses it.
fn together(engine: &Engine, groups: &[Vec<usize>], queries: &[String]) -> Option<Engine> {
    let mut text = format!("package {TOGETHER}\n\nimport rego.v1\n");
    for (number, group) in groups.iter().enumerate().filter(|(_, group)| group.len() > 1) {
        for (place, query) in group.iter().enumerate() {
            text.push_str(&format!("\ng{number} contains [{place}, {}]\n", queries[*query]));
        }
    }
    let mut engine = engine.clone();
    engine.set_rego_v0(false);
    engine.add_policy(format!("{TOGETHER}.rego"), text).ok()?;
    Some(engine)
}

/// The results of a whole group; None if one of its rules fails, so that each must be evaluated alone.
fn ask_together(engine: &mut Engine, number: usize, json: &[u8], group: usize, wanted: &[usize]) -> Option<Vec<Answer>> {
    engine.set_input(crate::input::read(json).ok()?);
    let Ok(Value::Set(pairs)) = evaluate_rule(engine, format!("data.{TOGETHER}.g{group}")) else {
        return None;
    };
    let mut answers = Vec::new();
    for pair in pairs.iter() {
        let pair = pair.as_array().ok()?;
        let place = pair.first()?.as_u32().ok()? as usize;
        match pair.get(1)? {
            Value::Undefined => {}
            Value::Set(items) if items.is_empty() => {}
            Value::Array(items) if items.is_empty() => {}
            value => answers.push((number, *wanted.get(place)?, Some(memory::json(value).ok()?), String::new())),
        }
    }
    Some(answers)
}

/// The values of rules on one input. An engine that needed too much memory still holds it, so a fresh one takes its place.
fn ask(engine: &mut Engine, beside: Option<&Beside<'_>>, number: usize, json: &[u8], wanted: &[usize], queries: &[String]) -> Vec<Answer> {
    let input = match crate::input::read(json) {
        Ok(value) => value,
        Err(error) => {
            if let Some(beside) = beside {
                *engine = beside.fresh.clone();
            }
            return wanted.iter().map(|query| (number, *query, None, error.to_string())).collect();
        }
    };
    engine.set_input(input.clone());
    let mut answers = Vec::new();
    for query in wanted {
        if beside.is_some_and(|beside| beside.is_hopeless(*query)) {
            answers.push((number, *query, None, memory::EXCEEDED.to_owned()));
            continue;
        }
        match evaluate_rule(engine, queries[*query].clone()) {
            Ok(Value::Undefined) => {}
            Ok(Value::Set(items)) if items.is_empty() => {}
            Ok(Value::Array(items)) if items.is_empty() => {}
            Ok(value) => match memory::json(&value) {
                Ok(text) => answers.push((number, *query, Some(text), String::new())),
                Err(error) => answers.push((number, *query, None, error)),
            },
            Err(error) => {
                if let Some(beside) = beside.filter(|_| memory::is_exceeded(&error)) {
                    beside.failures[*query].fetch_add(1, Relaxed);
                    *engine = beside.fresh.clone();
                    mimalloc::release();
                    engine.set_input(input.clone());
                }
                answers.push((number, *query, None, error));
            }
        }
    }
    answers
}
