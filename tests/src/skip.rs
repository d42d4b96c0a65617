//! A test that cannot have what it needs does not pass unseen: it fails, unless whoever runs the tests
//! allowed it with `JIT_SSH_MAY_SKIP=1`, and is then listed in the file that `JIT_SSH_SKIPPED` names.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Ends a test that cannot be had here, with the reason.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::skip::asked(&format_args!($($why)*));
        return;
    }};
}

/// What [`skip!`] does, as the environment says.
///
/// # Panics
/// Unless skipping is allowed.
#[track_caller]
pub fn asked(why: &dyn Display) {
    let list = std::env::var_os("JIT_SSH_SKIPPED");
    skipped(
        why,
        std::env::var_os("JIT_SSH_MAY_SKIP").as_deref(),
        list.as_deref().map(Path::new),
    );
}

/// Fails, or adds the test of this thread to the list.
///
/// # Panics
/// Unless it `may`.
#[track_caller]
pub fn skipped(why: &dyn Display, may: Option<&OsStr>, list: Option<&Path>) {
    assert!(
        may.is_some_and(|may| may == "1"),
        "NOT TESTED: {why}. JIT_SSH_MAY_SKIP=1 lets such tests pass"
    );
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main");
    let test = std::env::var("NEXTEST_TEST_NAME")
        .ok()
        .or(test.map(str::to_owned))
        .unwrap_or_else(|| std::panic::Location::caller().to_string());
    let line = format!("{test}: {why}\n");
    eprint!("SKIPPED, NOT TESTED: {line}");
    if let Some(list) = list {
        // One write to the end, so that tests of other processes do not mix with it.
        let mut file = fs::OpenOptions::new().create(true).append(true).open(list);
        file.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }
}
