//! Sign-in on a machine without a browser: the person signs in anywhere and pastes what the CA's
//! page shows, or the whole address of the page that could not be opened. Only this
//! terminal holds the PKCE verifier, so nobody else can use what is pasted (A15, A16).

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jit_ssh_api::sign_in::Pasted;
use url::Url;

use super::loopback::from_query;
use super::{Callback, OidcError, Transaction};
use crate::platform::{self, Keyboard, RawMode};

/// Reads what was pasted; it must belong to this transaction.
pub(crate) fn parse(text: &str, transaction: &Transaction) -> Result<Callback, OidcError> {
    // Terminals and chat programs break long lines.
    let text: String = text.split_whitespace().collect();
    if text.starts_with("http://") || text.starts_with("https://") {
        let url = Url::parse(&text).map_err(|_| OidcError::Paste)?;
        return from_query(&url, transaction);
    }
    let json = URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| OidcError::Paste)?;
    let pasted: Pasted = serde_json::from_slice(&json).map_err(|_| OidcError::Paste)?;
    if !transaction.is_ours(&pasted.state) {
        return Err(OidcError::OtherTransaction);
    }
    transaction.check_issuer(pasted.iss.as_deref())?;
    if pasted.code.is_empty() {
        return Err(OidcError::Paste);
    }
    Ok(Callback {
        code: pasted.code,
        iss: pasted.iss,
    })
}

/// Asks at the controlling terminal until something fits; Ctrl-C or Ctrl-D gives up. The terminal
/// is as before afterwards, whatever happens.
pub(crate) fn ask(transaction: &Transaction) -> Result<Callback, OidcError> {
    let mut terminal = platform::terminal().map_err(OidcError::NoTerminal)?;
    let mut so_far = String::new();
    loop {
        let line = read_line(&mut terminal, "Paste it here: ")?;
        so_far.push_str(&line);
        // What was copied over several lines comes in pieces.
        let whole = parse(&line, transaction).or_else(|_| parse(&so_far, transaction));
        match whole {
            Err(error @ (OidcError::Paste | OidcError::OtherTransaction)) => {
                let text = format!("That does not fit: {error}. Once more, or Ctrl-C.\r\n");
                terminal
                    .write_all(text.as_bytes())
                    .map_err(OidcError::NoTerminal)?;
            }
            done => return done,
        }
    }
}

fn read_line(terminal: &mut Keyboard, prompt: &str) -> Result<String, OidcError> {
    let raw = RawMode::enter(terminal).map_err(OidcError::NoTerminal)?;
    terminal
        .write_all(prompt.as_bytes())
        .map_err(OidcError::NoTerminal)?;
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    let outcome = loop {
        let read = terminal.read(&mut buffer).map_err(OidcError::NoTerminal)?;
        let mut bytes = buffer.get(..read).unwrap_or_default().iter().copied();
        let ended = bytes.by_ref().find_map(|byte| match byte {
            b'\r' | b'\n' if !line.is_empty() => Some(true),
            3 | 4 => Some(false),
            8 | 127 => {
                line.pop();
                None
            }
            // Bracketed paste and arrow keys begin with escape; their rest is no base64.
            byte if byte.is_ascii_graphic() => {
                line.push(byte);
                None
            }
            _ => None,
        });
        match ended {
            Some(true) => break Ok(()),
            Some(false) => break Err(OidcError::Cancelled),
            None if read == 0 || line.len() > MAX_LINE => break Err(OidcError::Cancelled),
            None => {}
        }
    };
    drop(raw);
    // What was pasted is not shown: a code is nobody else's business.
    let seen = format!("({} characters)\n", line.len());
    let _ = terminal.write_all(seen.as_bytes());
    outcome?;
    let text = String::from_utf8_lossy(&line).into_owned();
    Ok(text.replace("[200~", "").replace("[201~", ""))
}

const MAX_LINE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::super::tests::transaction;
    use super::*;

    fn page(state: &str, iss: Option<&str>) -> String {
        let pasted = Pasted {
            code: "C".into(),
            state: state.into(),
            iss: iss.map(str::to_owned),
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&pasted).unwrap())
    }

    #[test]
    fn what_the_page_shows_and_the_failed_address_are_both_taken() {
        let transaction = transaction(false);
        let state = transaction.state();
        let text = page(state, Some("https://idp.example.com"));
        let broken = format!("  {}\n {}\n", &text[..20], &text[20..]);
        for good in [
            text.clone(),
            broken,
            format!("http://127.0.0.1:5/callback?code=C&state={state}"),
        ] {
            assert_eq!(parse(&good, &transaction).ok().unwrap().code, "C");
        }
    }

    #[test]
    fn what_belongs_to_another_transaction_or_issuer_is_refused() {
        let (ours, other) = (transaction(true), transaction(true));
        let iss = Some("https://idp.example.com");
        let foreign = page(other.state(), iss);
        let refused = parse(&foreign, &ours);
        assert!(matches!(refused, Err(OidcError::OtherTransaction)));
        let refused = parse(&page(ours.state(), None), &ours);
        assert!(matches!(refused, Err(OidcError::OtherIssuer)));
        let refused = parse(&page(ours.state(), Some("https://evil")), &ours);
        assert!(matches!(refused, Err(OidcError::OtherIssuer)));
    }

    proptest::proptest! {
        #[test]
        fn anything_can_be_pasted_without_a_panic(text: String) {
            assert!(parse(&text, &transaction(true)).is_err());
            assert!(parse(&format!("http://127.0.0.1/{text}"), &transaction(true)).is_err());
        }
    }
}
