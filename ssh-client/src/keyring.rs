//! Where the refresh token lives: the system's keyring (Secret Service, macOS Keychain, Windows
//! Credential Manager), tried by writing and reading back; a 0600 file where there is none. A
//! keyring that wants to ask the person is given some seconds and then does without.

use std::sync::mpsc::channel;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::platform;
use crate::state::{self, CaFiles, StateError, TokenPlace};

/// Keeps the token where it was, else in the keyring if that works, else in a file.
pub(crate) fn store(
    files: &CaFiles,
    place: TokenPlace,
    token: Option<&Zeroizing<String>>,
) -> Result<TokenPlace, StateError> {
    let Some(token) = token else {
        remove(files, place)?;
        return Ok(TokenPlace::None);
    };
    if place != TokenPlace::File && keep_in_keyring(&files.name, token) {
        state::remove(&files.refresh_token())?;
        return Ok(TokenPlace::Keyring);
    }
    state::write(&files.refresh_token(), token.as_bytes())?;
    Ok(TokenPlace::File)
}

/// Reads it back; `None` where it is gone.
pub(crate) fn load(
    files: &CaFiles,
    place: TokenPlace,
) -> Result<Option<Zeroizing<String>>, StateError> {
    match place {
        TokenPlace::None => Ok(None),
        TokenPlace::File => Ok(state::read_to_string(&files.refresh_token())?.map(Zeroizing::new)),
        TokenPlace::Keyring => {
            let name = files.name.clone();
            Ok(patiently(move || entry(&name)?.get_password().ok().map(Zeroizing::new)).flatten())
        }
    }
}

/// Removes it.
pub(crate) fn remove(files: &CaFiles, place: TokenPlace) -> Result<(), StateError> {
    if place == TokenPlace::Keyring {
        let name = files.name.clone();
        // A keyring that does not answer keeps a token that the issuer is told to forget.
        let _ = patiently(move || entry(&name)?.delete_credential().ok());
    }
    state::remove(&files.refresh_token())
}

fn keep_in_keyring(name: &str, token: &Zeroizing<String>) -> bool {
    let (name, token) = (name.to_owned(), token.clone());
    patiently(move || {
        let entry = entry(&name)?;
        entry.set_password(&token).ok()?;
        let read = Zeroizing::new(entry.get_password().ok()?);
        (*read == *token).then_some(())
    })
    .flatten()
    .is_some()
}

fn entry(name: &str) -> Option<keyring::Entry> {
    keyring::Entry::new("jit-ssh", &format!("refresh token for {name}")).ok()
}

/// Runs something that may wait for a person who is not there.
fn patiently<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if !platform::may_have_keyring() {
        return None;
    }
    let (tell, hear) = channel();
    std::thread::spawn(move || tell.send(work()));
    hear.recv_timeout(PATIENCE).ok()
}

const PATIENCE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_keyring_the_token_is_in_a_private_file_and_goes_with_it() {
        let base = tempfile::tempdir().unwrap();
        let files = state::Home::at(base.path()).ca("ca").unwrap();
        let token = Zeroizing::new("refresh".to_owned());
        let place = store(&files, TokenPlace::File, Some(&token)).unwrap();
        assert_eq!(place, TokenPlace::File);
        assert_eq!(load(&files, place).unwrap().as_deref(), Some(&*token));
        let place = store(&files, place, None).unwrap();
        assert_eq!(place, TokenPlace::None);
        assert!(!files.refresh_token().exists());
        assert_eq!(load(&files, TokenPlace::File).unwrap(), None);
    }
}
