//! JSON Schema by the jsonschema crate: finds the objects that a schema refuses, without converting them to Python.

use jsonschema::Validator;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

/// One compiled schema. The Python package of the same library finds the reason of a refusal.
#[pyclass(frozen, module = "gatekeeper._native")]
pub struct Schema {
    validator: Validator,
}

#[pymethods]
impl Schema {
    /// Compiles a schema of draft 2020-12 (JSON bytes). Raises ValueError with the library's message.
    #[new]
    fn new(schema: &[u8]) -> PyResult<Self> {
        let schema = serde_json::from_slice(schema).map_err(refusal)?;
        Ok(Schema { validator: jsonschema::draft202012::new(&schema).map_err(refusal)? })
    }

    /// The indices of the objects (JSON bytes) that the schema refuses. Uses `jobs` threads.
    fn refused(&self, py: Python<'_>, objects: Vec<PyBackedBytes>, jobs: usize) -> Vec<usize> {
        py.detach(|| {
            let valid = crate::spread(&objects, jobs, || (), |(), object| {
                // A text that is known to be UTF-8 is read faster.
                let value = std::str::from_utf8(object).ok().and_then(|text| serde_json::from_str(text).ok());
                value.is_some_and(|value| self.validator.is_valid(&value))
            });
            (0..valid.len()).filter(|index| !valid[*index]).collect()
        })
    }
}

fn refusal(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
