//! Opens an address in the person's browser: only addresses that [`super::safe_url`] passed, as an
//! argument of a program, never through a shell (A46).

use std::process::{Command, Stdio};

use url::Url;

use crate::platform;

/// Starts the first browser that can be started; `false` where none is.
pub(crate) fn open(address: &Url) -> bool {
    platform::browsers(address.as_str())
        .into_iter()
        .any(|(program, arguments)| {
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .is_ok()
        })
}
