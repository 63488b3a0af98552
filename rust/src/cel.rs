//! CEL rules of CRDs (`x-kubernetes-validations`), by kube-cel.

use kube_cel::{compile_schema, CompiledSchema, RootContext, Validator};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// One broken rule: (field path as kube-cel writes it, message, kind of failure, the rule).
type Broken = (String, String, String, String);

/// The rules of one CRD version, compiled from its OpenAPI schema.
#[pyclass(module = "gatekeeper._native")]
pub struct CelRules {
    compiled: CompiledSchema,
    root: RootContext,
}

#[pymethods]
impl CelRules {
    /// Compiles the rules in a schema (JSON text). Raises ValueError where it is no JSON.
    #[new]
    fn new(schema: &str, api_version: String, api_group: String, kind: String) -> PyResult<Self> {
        let schema = serde_json::from_str(schema).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(CelRules { compiled: compile_schema(&schema), root: RootContext { api_version, api_group, kind } })
    }

    /// The rules that one object (JSON bytes) breaks, or that cannot be evaluated.
    fn check(&self, py: Python<'_>, object: &[u8]) -> PyResult<Vec<Broken>> {
        py.detach(|| {
            let object: serde_json::Value = serde_json::from_slice(object).map_err(|error| error.to_string())?;
            let found = Validator::new().validate_compiled_with_context(&self.compiled, &object, None, Some(&self.root));
            Ok(match found {
                Ok(()) => Vec::new(),
                Err(errors) => errors
                    .into_vec()
                    .into_iter()
                    .map(|error| (error.field_path, error.message, format!("{:?}", error.kind), error.rule))
                    .collect(),
            })
        })
        .map_err(|error: String| PyValueError::new_err(error))
    }
}
