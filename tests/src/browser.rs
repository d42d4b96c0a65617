//! The scripted browser `op/browser.py`: fills the provider's forms for a person.

use std::path::PathBuf;

use crate::process::{Output, Run, asset};

/// The script; as `$BROWSER` it takes an address and goes on in the background.
pub fn script() -> PathBuf {
    asset("op/browser.py")
}

/// Signs a person in "on another machine" and gives what they would paste: what the CA's page
/// shows, or the loopback address that could not be reached.
pub fn paste(person: &str, url: &str) -> String {
    run(person, &["--paste", url]).ok().text().to_owned()
}

/// Text of the page where the sign-in ends.
pub fn show(person: &str, url: &str) -> Output {
    run(person, &["--show", url])
}

fn run(person: &str, arguments: &[&str]) -> Output {
    Run::new("python3")
        .arg(script())
        .args(arguments)
        .env("JIT_SSH_TEST_USER", person)
        .go()
}
