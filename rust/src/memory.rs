//! The memory that policies may use. The engine compares the memory of the process with a limit while it evaluates; what
//! one step may return has a limit of its own, because the engine cannot stop a builtin.

use anyhow::{bail, Result};
use regorus::Value;
use std::io;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The most bytes of a text that a builtin returns, and of the result of a rule.
pub const MAX_TEXT: usize = 64 << 20;

/// A result with more entries than this needs too much memory.
pub const MAX_ENTRIES: u64 = 1 << 20;

/// The limit counts all threads together: an evaluation that must not see the memory of others holds this alone.
static EVALUATIONS: RwLock<()> = RwLock::new(());

/// Evaluations may add `limit` bytes to the memory in use now.
pub fn bound(limit: u64) {
    regorus::set_global_memory_limit(Some(mimalloc::measure().saturating_add(limit)));
}

/// For evaluations beside others, within `limit` bytes.
pub fn shared(limit: u64) -> RwLockReadGuard<'static, ()> {
    let held = EVALUATIONS.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    bound(limit);
    held
}

/// For work that no evaluation runs beside, without a limit until `bound`.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    let held = EVALUATIONS.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    regorus::set_global_memory_limit(None);
    held
}

/// A part of the engine's error.
pub const EXCEEDED: &str = "exceeded memory limit";

/// Whether an evaluation failed because the limit of `bound` was exceeded: others may have used the memory.
pub fn is_exceeded(error: &str) -> bool {
    error.contains(EXCEEDED)
}

pub fn refuse_text<T>(name: &str) -> Result<T> {
    bail!("{name}: a text of more than {} MB needs too much memory", MAX_TEXT >> 20)
}

pub fn refuse_entries<T>(name: &str) -> Result<T> {
    bail!("{name}: a result of more than {MAX_ENTRIES} entries needs too much memory")
}

/// Refuses values that would fill a text of more than `MAX_TEXT` bytes. A small value can hold another many times,
/// which holds another many times: the text of it has no limit.
pub fn check_size(name: &str, values: &[Value]) -> Result<()> {
    let mut rest = MAX_TEXT;
    if values.iter().all(|value| fits(value, 0, &mut rest)) {
        return Ok(());
    }
    refuse_text(name)
}

/// Takes the bytes of a value, with an indent of two per level, from `rest`; false if there are too few.
fn fits(value: &Value, depth: usize, rest: &mut usize) -> bool {
    let own = match value {
        Value::String(text) => text.len(),
        _ => 0,
    };
    match rest.checked_sub(own + 2 * depth + 4) {
        Some(left) => *rest = left,
        None => return false,
    }
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, depth + 1, rest)),
        Value::Set(items) => items.iter().all(|item| fits(item, depth + 1, rest)),
        Value::Object(fields) => fields.iter().all(|(key, held)| fits(key, depth + 1, rest) && fits(held, depth + 1, rest)),
        _ => true,
    }
}

/// Accepts at most `MAX_TEXT` bytes.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The result of a rule as JSON.
pub fn json(value: &Value) -> Result<String, String> {
    let mut out = Bounded(Vec::new());
    match serde_json::to_writer(&mut out, value) {
        Ok(()) => String::from_utf8(out.0).map_err(|error| error.to_string()),
        Err(error) if error.is_io() => Err(format!("the result of the rule: a text of more than {} MB needs too much memory", MAX_TEXT >> 20)),
        Err(error) => Err(error.to_string()),
    }
}
