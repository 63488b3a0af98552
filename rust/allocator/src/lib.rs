//! The global allocator, mimalloc: YAML and Rego allocate many small objects, and it needs half the time of the
//! system's. regorus compares the memory in use with its limit here.
//!
//! Counting the bytes of each allocation costs 16 % of an evaluation. So the memory in use is what the process holds,
//! which the system knows; it is read at most once in `PERIOD`, when regorus compares.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// In this time an evaluation fills a few MB.
const PERIOD: Duration = Duration::from_millis(2);

static START: OnceLock<Instant> = OnceLock::new();
/// When the memory in use is read again, in microseconds after START.
static NEXT: AtomicU64 = AtomicU64::new(0);
static IN_USE: AtomicU64 = AtomicU64::new(0);

extern "C" {
    fn mi_collect(force: bool);
    #[rustfmt::skip]
    fn mi_process_info(elapsed: *mut usize, user: *mut usize, system: *mut usize, resident: *mut usize,
        peak: *mut usize, committed: *mut usize, peak_committed: *mut usize, faults: *mut usize);
}

/// Returns to the system what was freed, so that it does not count as memory in use.
pub fn release() {
    unsafe { mi_collect(true) };
    measure();
}

/// Bytes that the process holds now.
pub fn measure() -> u64 {
    let bytes = read_resident().unwrap_or_else(estimate_resident);
    IN_USE.store(bytes, Relaxed);
    bytes
}

/// Bytes that the process holds, as Linux says it. Source: proc(5), `/proc/pid/statm`.
#[cfg(target_os = "linux")]
fn read_resident() -> Option<u64> {
    use std::io::Read;
    let mut text = [0; 128];
    let length = std::fs::File::open("/proc/self/statm").ok()?.read(&mut text).ok()?;
    let pages: u64 = std::str::from_utf8(&text[..length]).ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64)
}

#[cfg(not(target_os = "linux"))]
fn read_resident() -> Option<u64> {
    None
}

/// Bytes that the process holds, as mimalloc asks other systems for them.
fn estimate_resident() -> u64 {
    let (mut resident, none) = (0, std::ptr::null_mut);
    unsafe { mi_process_info(none(), none(), none(), &mut resident, none(), none(), none(), none()) };
    resident as u64
}

/// regorus declares the allocator with this.
#[macro_export]
macro_rules! assign_global {
    () => {
        #[global_allocator]
        static GLOBAL: mimalloc::Allocator = mimalloc::Allocator;
    };
}

pub use mimalloc::MiMalloc as Allocator;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalAllocationStats {
    /// Bytes in use by the process.
    pub allocated: u64,
}

#[inline]
pub fn allocation_stats_snapshot() -> (GlobalAllocationStats, ()) {
    let now = START.get_or_init(Instant::now).elapsed().as_micros() as u64;
    if now >= NEXT.load(Relaxed) {
        NEXT.store(now + PERIOD.as_micros() as u64, Relaxed);
        measure();
    }
    (GlobalAllocationStats { allocated: IN_USE.load(Relaxed) }, ())
}

pub fn current_thread_live_bytes() -> i64 {
    0
}

/// What else regorus calls; each of these functions is for counters of allocations.
pub mod limits {
    #[inline]
    pub fn flush_thread_counters() {}

    #[inline]
    pub fn set_thread_flush_threshold(_bytes: Option<u64>) {}

    #[inline]
    pub fn thread_flush_threshold() -> Option<u64> {
        None
    }

    /// regorus compares at once if this is true, otherwise at each sixteenth step.
    #[inline]
    pub fn take_thread_flushed_since_check_flag() -> bool {
        false
    }

    /// As above: regorus compares at once if a thread has more than 32 KiB.
    #[inline]
    pub fn thread_allocation_pending_delta() -> i64 {
        0
    }

    #[inline]
    pub fn with_unowned_memory_budget_scope<R>(operation: impl FnOnce() -> R) -> R {
        operation()
    }
}
