//! CEL by kube-cel: the health expressions of Flux Kustomizations.

use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Program, Value};
use kube_cel::KubeCelExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use std::collections::HashMap;
use std::sync::Arc;

/// The result of an expression: its value as JSON, or None and the error.
type Outcome = (Option<String>, String);

/// The expressions of one policy, compiled. Those with a name are variables, for those after them as `variables.NAME`.
#[pyclass(module = "gatekeeper._native")]
pub struct Cel {
    steps: Vec<(String, Program)>,
}

#[pymethods]
impl Cel {
    /// Compiles pairs of a name (or None) and an expression. Raises ValueError with the expression that does not compile.
    #[new]
    fn new(steps: Vec<(String, String)>) -> PyResult<Self> {
        let compiled = steps.into_iter().map(|(name, text)| {
            match std::panic::catch_unwind(|| Program::compile(&text)) {
                Ok(Ok(program)) => Ok((name, program)),
                Ok(Err(error)) => Err(PyValueError::new_err(format!("`{text}`: {error}"))),
                Err(_) => Err(PyValueError::new_err(format!("`{text}`: the CEL compiler failed on it"))),
            }
        });
        Ok(Cel { steps: compiled.collect::<PyResult<_>>()? })
    }

    /// Evaluates all expressions for each input, a list of (root variable, JSON); outcomes in the order of both.
    /// `variables` that are given by an input can be read beside those of the policy.
    fn evaluate(&self, py: Python<'_>, inputs: Vec<Vec<(String, PyBackedBytes)>>, jobs: usize) -> Vec<Vec<Outcome>> {
        py.detach(|| crate::spread(&inputs, jobs, || (), |_, input| self.one(input)))
    }
}

impl Cel {
    fn one(&self, input: &[(String, PyBackedBytes)]) -> Vec<Outcome> {
        let mut context = Context::default().with_all();
        let mut variables: HashMap<Key, Value> = HashMap::new();
        for (name, json) in input {
            let value = match serde_json::from_slice::<serde_json::Value>(json) {
                Ok(value) => plain(&value),
                Err(error) => return vec![(None, error.to_string()); self.steps.len()],
            };
            match (name.as_str(), value) {
                ("variables", Value::Map(map)) => variables.extend(map.map.iter().map(|(key, value)| (key.clone(), value.clone()))),
                (_, value) => context.add_variable_from_value(name.clone(), value),
            }
        }
        let mut outcomes = Vec::with_capacity(self.steps.len());
        // The error of a variable is reported where it is read.
        let mut lost: Vec<(String, String)> = Vec::new();
        for (name, program) in &self.steps {
            context.add_variable_from_value("variables", Value::Map(Map { map: Arc::new(variables.clone()) }));
            let outcome = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| program.execute(&context))) {
                Ok(Ok(value)) if !name.is_empty() => {
                    variables.insert(Key::String(Arc::new(name.clone())), value);
                    (None, String::new())
                }
                Ok(Ok(value)) => match value.json() {
                    Ok(json) => (Some(json.to_string()), String::new()),
                    Err(error) => (None, error.to_string()),
                },
                Ok(Err(error)) => (None, error.to_string()),
                Err(_) => (None, "the CEL engine failed on it".to_owned()),
            };
            if !name.is_empty() && !outcome.1.is_empty() {
                lost.push((name.clone(), outcome.1.clone()));
            }
            outcomes.push(match lost.iter().find(|(lost, _)| outcome.1.contains(&format!("No such key: {lost}"))) {
                Some((lost, why)) => (None, format!("variables.{lost}: {why}")),
                None => outcome,
            });
        }
        outcomes
    }
}

/// A JSON value as CEL has it, names of fields as they are: as the API server gives objects to admission policies.
fn plain(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(held) => Value::Bool(*held),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(Arc::new(text.clone())),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(plain).collect())),
        serde_json::Value::Object(fields) => {
            let map = fields.iter().map(|(name, held)| (Key::String(Arc::new(name.clone())), plain(held))).collect();
            Value::Map(Map { map: Arc::new(map) })
        }
    }
}
