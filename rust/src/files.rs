//! Small files, read on several threads while Python goes on.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

const MAX_BYTES: usize = 64 << 10;

/// The content of each file below a folder; None for one that is larger than 64 KB or cannot be read.
#[pyfunction]
pub fn read_files(py: Python<'_>, folder: PathBuf, files: Vec<OsString>, jobs: usize) -> Vec<Option<Py<PyBytes>>> {
    let read = |buffer: &mut Vec<u8>, file: &OsString| -> Option<Box<[u8]>> {
        // A full buffer may not be all.
        let length = std::fs::File::open(folder.join(file)).ok()?.read(buffer).ok()?;
        (length < buffer.len()).then(|| buffer[..length].into())
    };
    let contents = py.detach(|| crate::spread(&files, jobs, || vec![0; MAX_BYTES], read));
    contents.into_iter().map(|content| content.map(|content| PyBytes::new(py, &content).unbind())).collect()
}
