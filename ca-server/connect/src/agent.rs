//! The agent protocol (draft-miller-ssh-agent, PROTOCOL.agent): try the agent, add the login key
//! with a lifetime, sign, remove. Neither agent crate fits: one adds no lifetime, the other cannot
//! list an agent that holds a certificate.
//!
//! An agent is used only after it was tried: a throw-away key is added with a lifetime, signs, is
//! listed and removed. Forwarded agents, gpg's, 1Password's and others refuse or forget one of
//! these. A refused lifetime is final: the key goes to a file (A47). An agent of another user is told
//! nothing at all, whoever asks for it here.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use rand::{CryptoRng, RngCore};
use ssh_encoding::{Decode as _, Encode as _};
use ssh_key::public::PublicKey;
use ssh_key::{Algorithm, HashAlg, PrivateKey, Signature, SshSig};

use crate::platform::{self, Listener, Stream};

/// Why an agent is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// `SSH_AUTH_SOCK` is not set.
    #[error("there is no agent: SSH_AUTH_SOCK is not set")]
    None,
    /// It does not answer.
    #[error("the agent at {address} does not answer: {cause}")]
    Silent {
        /// Socket or pipe.
        address: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is not ours.
    #[error("the agent at {address} belongs to another user (uid {uid})")]
    Other {
        /// Socket.
        address: PathBuf,
        /// Whose.
        uid: u32,
    },
    /// It said no.
    #[error("the agent refuses to {0}")]
    Refused(&'static str),
    /// It says yes and does something else.
    #[error("the agent says yes but does not {0}")]
    Untrue(&'static str),
    /// Its answer makes no sense.
    #[error("the agent's answer cannot be read")]
    Nonsense,
    /// It belongs to another machine.
    #[error("the agent is forwarded from another machine")]
    Forwarded,
    /// The key cannot be written for the agent.
    #[error("the key cannot be handed to the agent: {0}")]
    Key(#[from] ssh_key::Error),
}

/// A connection to an agent.
pub struct Agent {
    stream: Box<dyn Stream>,
    address: PathBuf,
}

impl Agent {
    /// The agent of this environment.
    pub fn find() -> Result<Self, AgentError> {
        Self::at(&platform::agent_address().ok_or(AgentError::None)?)
    }

    /// The agent at an address, if it is our own.
    pub fn at(address: &Path) -> Result<Self, AgentError> {
        let listener = platform::connect_to_agent(address);
        let address = address.to_owned();
        match listener {
            Ok(Listener::Own(stream)) => Ok(Agent { stream, address }),
            Ok(Listener::Other(uid)) => Err(AgentError::Other { address, uid }),
            Err(cause) => Err(AgentError::Silent { address, cause }),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &Path {
        &self.address
    }

    /// Whether it does all that we need, found out by doing it.
    pub fn try_out(&mut self, rng: &mut (impl RngCore + CryptoRng)) -> Result<(), AgentError> {
        if looks_forwarded(&self.address) {
            return Err(AgentError::Forwarded);
        }
        let key = PrivateKey::random(rng, Algorithm::Ed25519)?;
        self.add(&key, "jit-ssh trying the agent", 10)?;
        let tried = self.try_signing(key.public_key());
        let removed = self.remove(key.public_key());
        tried.and(removed)
    }

    fn try_signing(&mut self, key: &PublicKey) -> Result<(), AgentError> {
        if !self.holds(key)? {
            return Err(AgentError::Untrue("keep the key"));
        }
        let signature = self.sign(key, NAMESPACE_OF_TRIALS, b"trial")?;
        key.verify(NAMESPACE_OF_TRIALS, b"trial", &signature)
            .map_err(|_| AgentError::Untrue("sign with it"))
    }

    /// Adds a key that the agent forgets after `lifetime` seconds; an agent that takes no lifetime
    /// does not get the key.
    pub fn add(
        &mut self,
        key: &PrivateKey,
        comment: &str,
        lifetime: u32,
    ) -> Result<(), AgentError> {
        let mut message = vec![ADD_ID_CONSTRAINED];
        key.key_data()
            .encode(&mut message)
            .map_err(ssh_key::Error::from)?;
        put_string(&mut message, comment.as_bytes());
        message.push(CONSTRAIN_LIFETIME);
        message.extend_from_slice(&lifetime.max(1).to_be_bytes());
        let answer = self.ask(&message);
        zeroize::Zeroize::zeroize(&mut message);
        match answer?.first() {
            Some(&SUCCESS) => Ok(()),
            Some(&FAILURE) => Err(AgentError::Refused("take a key with a lifetime")),
            _ => Err(AgentError::Nonsense),
        }
    }

    /// Whether it holds a key.
    pub fn holds(&mut self, key: &PublicKey) -> Result<bool, AgentError> {
        let blob = key.to_bytes()?;
        Ok(self.list()?.contains(&blob))
    }

    /// Whether it holds the key of a blob.
    pub fn holds_blob(&mut self, blob: &[u8]) -> Result<bool, AgentError> {
        Ok(self.list()?.iter().any(|held| held == blob))
    }

    /// Blobs of everything it holds, keys and certificates.
    pub fn list(&mut self) -> Result<Vec<Vec<u8>>, AgentError> {
        let answer = self.ask(&[REQUEST_IDENTITIES])?;
        let mut reader = Reader(&answer);
        match reader.u8()? {
            IDENTITIES_ANSWER => {}
            FAILURE => return Err(AgentError::Refused("list its keys")),
            _ => return Err(AgentError::Nonsense),
        }
        let count = reader.u32()?;
        let mut blobs = Vec::new();
        for _ in 0..count {
            let blob = reader.string()?;
            let _comment = reader.string()?;
            blobs.push(blob.to_vec());
        }
        Ok(blobs)
    }

    /// An OpenSSH signature (PROTOCOL.sshsig) by a key that it holds.
    pub fn sign(
        &mut self,
        key: &PublicKey,
        namespace: &str,
        message: &[u8],
    ) -> Result<SshSig, AgentError> {
        let data = SshSig::signed_data(namespace, HashAlg::Sha512, message)?;
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, &key.to_bytes()?);
        put_string(&mut request, &data);
        let flags = match key.algorithm() {
            Algorithm::Rsa { .. } => RSA_SHA2_512,
            _ => 0,
        };
        request.extend_from_slice(&flags.to_be_bytes());
        let answer = self.ask(&request)?;
        let mut reader = Reader(&answer);
        match reader.u8()? {
            SIGN_RESPONSE => {}
            FAILURE => return Err(AgentError::Refused("sign")),
            _ => return Err(AgentError::Nonsense),
        }
        let mut blob = reader.string()?;
        let signature = Signature::decode(&mut blob).map_err(|_| AgentError::Nonsense)?;
        let data = key.key_data().clone();
        Ok(SshSig::new(data, namespace, HashAlg::Sha512, signature)?)
    }

    /// Removes a key; one that is not there is removed already.
    pub fn remove(&mut self, key: &PublicKey) -> Result<(), AgentError> {
        let mut message = vec![REMOVE_IDENTITY];
        put_string(&mut message, &key.to_bytes()?);
        self.ask(&message)?;
        if self.holds(key)? {
            return Err(AgentError::Refused("remove a key"));
        }
        Ok(())
    }

    fn ask(&mut self, message: &[u8]) -> Result<Vec<u8>, AgentError> {
        let exchange = |stream: &mut dyn Stream| {
            let mut framed = Vec::with_capacity(message.len() + 4);
            put_string(&mut framed, message);
            let written = stream.write_all(&framed);
            zeroize::Zeroize::zeroize(&mut framed);
            written?;
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            if length == 0 || length > MAX_ANSWER {
                return Ok(None);
            }
            let mut answer = Vec::new();
            stream.take(length.into()).read_to_end(&mut answer)?;
            Ok(Some(answer))
        };
        match exchange(&mut *self.stream) {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(AgentError::Nonsense),
            Err(cause) => Err(AgentError::Silent {
                address: self.address.clone(),
                cause,
            }),
        }
    }
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Reads an answer, whatever bytes it is made of.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], AgentError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(AgentError::Nonsense)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, AgentError> {
        Ok(self.take(1)?.iter().fold(0, |_, byte| *byte))
    }

    fn u32(&mut self) -> Result<u32, AgentError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
    }

    fn string(&mut self) -> Result<&'a [u8], AgentError> {
        let length = usize::try_from(self.u32()?).map_err(|_| AgentError::Nonsense)?;
        self.take(length)
    }
}

/// sshd puts a forwarded agent at `/tmp/ssh-XXXX/agent.PID` or `~/.ssh/agent/s.….sshd.…`; within an
/// SSH session that is what `SSH_AUTH_SOCK` is when the person's own agent is elsewhere.
fn looks_forwarded(address: &Path) -> bool {
    let text = address.to_string_lossy();
    let by_sshd = text.contains(".sshd.") || text.starts_with("/tmp/ssh-");
    std::env::var_os("SSH_CONNECTION").is_some()
        && std::env::var_os("SSH_AGENT_PID").is_none()
        && by_sshd
}

const NAMESPACE_OF_TRIALS: &str = "jit-ssh-trial@v1";
const MAX_ANSWER: u32 = 256 * 1024;
const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const REMOVE_IDENTITY: u8 = 18;
const ADD_ID_CONSTRAINED: u8 = 25;
const CONSTRAIN_LIFETIME: u8 = 1;
const RSA_SHA2_512: u32 = 4;

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::OsRng;
    use std::io::{Read, Write};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    /// A real `ssh-agent`, ended with the test.
    struct RealAgent {
        child: Child,
        folder: tempfile::TempDir,
    }

    impl RealAgent {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut child = Command::new("ssh-agent")
                .args(["-D", "-a"])
                .arg(folder.path().join("agent"))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            // It prints its address once it listens.
            let mut first = [0];
            let mut output = child.stdout.take().unwrap();
            output.read_exact(&mut first).unwrap();
            RealAgent { child, folder }
        }

        fn address(&self) -> PathBuf {
            self.folder.path().join("agent")
        }
    }

    impl Drop for RealAgent {
        fn drop(&mut self) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }

    #[test]
    fn a_real_agent_keeps_signs_and_forgets_keys() {
        let real = RealAgent::start();
        let mut agent = Agent::at(&real.address()).unwrap();
        agent.try_out(&mut OsRng).unwrap();
        assert_eq!(agent.list().unwrap(), Vec::<Vec<u8>>::new());
        let p256 = Algorithm::Ecdsa {
            curve: ssh_key::EcdsaCurve::NistP256,
        };
        for algorithm in [Algorithm::Ed25519, p256] {
            let key = PrivateKey::random(&mut OsRng, algorithm).unwrap();
            agent.add(&key, "test", 600).unwrap();
            assert!(agent.holds(key.public_key()).unwrap());
            let signature = agent.sign(key.public_key(), "test@v1", b"hello").unwrap();
            key.public_key()
                .verify("test@v1", b"hello", &signature)
                .unwrap();
            agent.remove(key.public_key()).unwrap();
            assert!(!agent.holds(key.public_key()).unwrap());
            assert!(agent.sign(key.public_key(), "test@v1", b"hello").is_err());
        }
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        agent.add(&key, "short", 1).unwrap();
        let start = std::time::Instant::now();
        while agent.holds(key.public_key()).unwrap() {
            assert!(start.elapsed() < Duration::from_secs(10), "kept for ever");
        }
    }

    #[test]
    fn an_agent_that_holds_a_certificate_for_ever_is_listed() {
        let real = RealAgent::start();
        let at = real.folder.path();
        for arguments in [
            &["-q", "-t", "ed25519", "-N", "", "-f", "ca"][..],
            &["-q", "-t", "ed25519", "-N", "", "-f", "user"],
            &["-q", "-s", "ca", "-I", "x", "user.pub"],
        ] {
            let mut keygen = Command::new("ssh-keygen");
            let made = keygen.current_dir(at).args(arguments).status().unwrap();
            assert!(made.success());
        }
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(at.join("user"))
            .env("SSH_AUTH_SOCK", real.address())
            .status()
            .unwrap();
        assert!(added.success());
        assert_eq!(Agent::at(&real.address()).unwrap().list().unwrap().len(), 2);
    }

    /// Answers each request with the next of some canned answers.
    fn false_agent(answers: Vec<Vec<u8>>) -> (tempfile::TempDir, Agent) {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("agent");
        let listener = std::os::unix::net::UnixListener::bind(&address).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut length = [0; 4];
                stream.read_exact(&mut length).unwrap();
                let mut request = vec![0; u32::from_be_bytes(length) as usize];
                stream.read_exact(&mut request).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        let agent = Agent::at(&address).unwrap();
        (folder, agent)
    }

    #[test]
    fn an_agent_that_refuses_the_lifetime_does_not_get_the_key() {
        let (_folder, mut agent) = false_agent(vec![vec![0, 0, 0, 1, FAILURE]]);
        assert!(matches!(
            agent.try_out(&mut OsRng),
            Err(AgentError::Refused(_))
        ));
    }

    #[test]
    fn an_agent_that_says_yes_and_keeps_nothing_is_found_out() {
        let yes = vec![0, 0, 0, 1, SUCCESS];
        let empty = vec![0, 0, 0, 5, IDENTITIES_ANSWER, 0, 0, 0, 0];
        let answers = vec![yes.clone(), empty.clone(), yes, empty];
        let (_folder, mut agent) = false_agent(answers);
        assert!(matches!(
            agent.try_out(&mut OsRng),
            Err(AgentError::Untrue(_))
        ));
    }

    #[test]
    fn an_agent_that_talks_nonsense_is_an_error() {
        for answer in [
            vec![0, 0, 0, 0],
            vec![0xff, 0xff, 0xff, 0xff],
            vec![0, 0, 0, 5, IDENTITIES_ANSWER, 0xff, 0xff, 0xff, 0xff],
            vec![0, 0, 0, 1, 99],
        ] {
            let (_folder, mut agent) = false_agent(vec![answer]);
            assert!(matches!(agent.list(), Err(AgentError::Nonsense)));
        }
    }

    /// Answers with the same bytes, whatever it is asked.
    struct Canned(std::io::Cursor<Vec<u8>>);

    impl Read for Canned {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Canned {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.set_position(0);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn canned(bytes: Vec<u8>) -> Agent {
        Agent {
            stream: Box::new(Canned(std::io::Cursor::new(bytes))),
            address: PathBuf::from("canned"),
        }
    }

    proptest::proptest! {
        #[test]
        fn any_answer_of_an_agent_is_read_without_a_panic(
            kind: u8,
            kinds in proptest::sample::select(vec![IDENTITIES_ANSWER, SIGN_RESPONSE, SUCCESS]),
            bytes: Vec<u8>,
        ) {
            let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
            for kind in [kind, kinds] {
                // Once as it comes, once in a frame, and once with a string inside of the frame.
                let body = [&[kind], bytes.as_slice()].concat();
                let (mut framed, mut inner) = (Vec::new(), vec![kind]);
                put_string(&mut framed, &body);
                put_string(&mut inner, &bytes);
                let mut nested = Vec::new();
                put_string(&mut nested, &inner);
                for answer in [body, framed, nested] {
                    let mut agent = canned(answer);
                    let _ = agent.list();
                    proptest::prop_assert!(agent.try_out(&mut OsRng).is_err());
                    if let Ok(signature) = agent.sign(key.public_key(), "x", b"x") {
                        let verified = key.public_key().verify("x", b"x", &signature);
                        proptest::prop_assert!(verified.is_err());
                    }
                }
            }
        }
    }
}
