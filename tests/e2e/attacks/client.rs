//! A17, A44–A50: against the client: lying CAs, callbacks that are not the browser's, agents that
//! forget, names that are directives.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jit_ssh_tests::agent::Agent;
use jit_ssh_tests::ca::{self, Ca};
use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::expect::is_harmless;
use jit_ssh_tests::idp::{Habit, Idp};
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Child, Output, Run};
use jit_ssh_tests::proxy::Proxy;
use jit_ssh_tests::{browser, clock, http, keygen};
use serde_json::{Value, json};

use crate::scene;
use crate::scene::{BASTION, DB, Scene, WEB, below, certificates};

/// `jit-ssh login` at an endpoint that lies.
fn login_at(scene: &Scene, laptop: &Laptop<'_>, url: &str) -> Output {
    laptop
        .jit(&[
            "login",
            "--ca",
            url,
            "--fingerprint",
            &scene.lab.ca.fingerprint(),
        ])
        .go()
}

/// A certificate that the true user CA key signed, as a thief of that key would.
fn forge(scene: &Scene, key: &str, options: &[&str]) -> String {
    let dir = &scene.lab.dir;
    let (ca, public) = (dir.join("stolen-ca"), dir.join("forged.pub"));
    fs::copy(scene.lab.ca.data.join("keys/user-ca"), &ca).unwrap();
    fs::set_permissions(&ca, fs::Permissions::from_mode(0o600)).unwrap();
    let old = scene.lab.ca.passphrase();
    Run::new("ssh-keygen")
        .args(["-q", "-p", "-P", &old, "-N", "", "-f"])
        .arg(&ca)
        .go()
        .ok();
    fs::write(&public, format!("{key}\n")).unwrap();
    Run::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(&ca)
        .args(options)
        .arg(&public)
        .go()
        .ok();
    fs::read_to_string(dir.join("forged-cert.pub"))
        .unwrap()
        .trim()
        .to_owned()
}

/// The login key that the certificate of an answer is for.
fn subject_of(answer: &Value) -> String {
    let line = answer["certificate"].as_str().unwrap();
    let certificate = ssh_key::Certificate::from_openssh(line).unwrap();
    ssh_key::PublicKey::from(certificate.public_key().clone())
        .to_openssh()
        .unwrap()
}

/// Puts a certificate into an answer, with all that the answer says beside it made to fit.
fn replace(answer: &mut Value, line: &str) {
    if let Ok(certificate) = ssh_key::Certificate::from_openssh(line) {
        answer["serial"] = json!(certificate.serial().to_string());
        answer["principals"] = json!(certificate.valid_principals());
        answer["valid_after"] = json!(certificate.valid_after());
        answer["valid_before"] = json!(certificate.valid_before());
    } else {
        // `ssh-key` reads none that is valid for ever.
        answer["serial"] = json!("7");
        answer["valid_before"] = json!(u64::MAX);
    }
    answer["certificate"] = json!(line);
}

/// A certificate for the right key with the right key ID, which is otherwise as `options` say.
fn forge_like(scene: &Scene, answer: &Value, options: &[&str]) -> String {
    let id = answer["key_id"].as_str().unwrap();
    let like = ["-I", id, "-z", "7", "-O", "clear", "-O", "permit-pty"];
    forge(scene, &subject_of(answer), &[&like, options].concat())
}

#[test]
fn a44_a_certificate_that_was_not_asked_for_is_not_installed() {
    const NAME: [&str; 2] = ["-n", "role:production-observer"];
    const TIME: [&str; 2] = ["-V", "-2m:+5m"];
    type Forgery = Box<dyn Fn(&Scene, &mut Value) + Send + Sync>;
    let scene = scene!(Scene::new(&[]));
    let others = scene.lab.login("alice").answer.certificate;
    let signed = |options: &[&[&'static str]]| -> Forgery {
        let options = options.concat();
        Box::new(move |scene, answer| {
            let line = forge_like(scene, answer, &options);
            replace(answer, &line);
        })
    };
    let (principals, validity, signature) = (
        "its principals are not those of its role",
        "its validity is not what the role allows",
        "its signature is wrong",
    );
    // Each is right but for one thing, and is refused for that.
    #[rustfmt::skip]
    let forgeries: Vec<(&str, &str, Forgery)> = vec![
        ("for another key", "it is for another key than ours",
            Box::new(move |_, answer| replace(answer, &others))),
        ("for ten years", validity, signed(&[&NAME, &["-V", "-2m:+520w"]])),
        ("for ever", validity, signed(&[&NAME])),
        ("expired", validity, signed(&[&NAME, &["-V", "-5m:-2m"]])),
        ("not valid yet", validity, signed(&[&NAME, &["-V", "+4m:+8m"]])),
        ("with a second principal", principals,
            signed(&[&["-n", "role:production-observer,root"], &TIME])),
        ("with another principal", principals, signed(&[&["-n", "root"], &TIME])),
        ("with another role's principal", principals,
            signed(&[&["-n", "role:production-admin"], &TIME])),
        ("without principals", principals, signed(&[&TIME])),
        ("for a host", "it is not a user certificate", signed(&[
            &["-h", "-O", "clear"], &NAME, &TIME,
        ])),
        ("that runs ~/.ssh/rc", "it has an option that a jit-ssh CA does not issue: \"permit-user-rc\"",
            signed(&[&NAME, &TIME, &["-O", "permit-user-rc"]])),
        ("with a critical option", "it has an option that a jit-ssh CA does not issue: \"x\"",
            signed(&[&NAME, &TIME, &["-O", "critical:x=y"]])),
        ("no certificate", "this is a public key, not a certificate",
            Box::new(|_, answer| answer["certificate"] = json!(subject_of(answer)))),
        ("two lines", "this is not a line of the form", Box::new(|_, answer| {
            let line = answer["certificate"].as_str().unwrap().trim().to_owned();
            answer["certificate"] = json!(format!("{line}\n{line}"));
        })),
        ("with a changed signature", signature, Box::new(|_, answer| {
            let mut line = answer["certificate"].as_str().unwrap().trim().to_owned();
            let end = line.splitn(3, ' ').take(2).map(str::len).sum::<usize>();
            let at = end - 8;
            let other = if line.as_bytes()[at] == b'A' { "B" } else { "A" };
            line.replace_range(at..=at, other);
            answer["certificate"] = json!(line);
        })),
        ("of another serial than told", "the answer and the certificate in it differ",
            Box::new(|_, answer| answer["serial"] = json!("7"))),
        ("for another role", "it is for another role than asked", Box::new(|scene, answer| {
            let id = answer["key_id"].as_str().unwrap();
            answer["key_id"] = json!(id.replace("production-observer", "jump"));
            let line = forge_like(scene, answer, &["-n", "role:jump", TIME[0], TIME[1]]);
            replace(answer, &line);
        })),
        ("by a CA that is not in the key set",
            "it is signed by a key that the CA's identity key does not vouch for",
            Box::new(|scene, answer| {
                let dir = &scene.lab.dir;
                if !dir.join("own-ca").exists() {
                    keygen::generate(&dir.join("own-ca"), &["-t", "ed25519"]);
                }
                let public = dir.file("own.pub", &format!("{}\n", subject_of(answer)));
                Run::new("ssh-keygen")
                    .args(["-q", "-s"])
                    .arg(dir.join("own-ca"))
                    .args(["-z", "7", "-O", "clear", "-I", answer["key_id"].as_str().unwrap()])
                    .args(NAME)
                    .args(TIME)
                    .arg(public)
                    .go()
                    .ok();
                let line = fs::read_to_string(dir.join("own-cert.pub")).unwrap();
                replace(answer, line.trim());
            })),
    ];
    // The controls: the same thief's key and the same proxy, and nothing that was not asked for.
    #[rustfmt::skip]
    let accepted: Vec<(&str, Forgery)> = vec![
        ("as it was asked for", signed(&[&NAME, &TIME])),
        ("as the CA sent it", Box::new(|_, _| {})),
    ];
    let scene = Arc::new(scene);
    let try_with = |forgery: Forgery| {
        let owned = scene.clone();
        let proxy = Proxy::start(scene.lab.ca.address, move |path, answer| {
            if path == "/v1/certificates" {
                forgery(&owned, answer);
            }
        });
        let laptop = scene.laptop("alice");
        let said = login_at(&scene, &laptop, &proxy.url);
        assert!(proxy.seen().iter().any(|path| path == "/v1/certificates"));
        let installed = certificates(&laptop).len();
        laptop.jit(&["logout", "--forget"]).go();
        (said, installed)
    };
    for (what, why, forgery) in forgeries {
        let (said, installed) = try_with(forgery);
        assert_eq!(installed, 0, "{what} was installed: {said}");
        let said = said.failed_with(1);
        is_harmless(&said.all());
        assert!(said.stderr.contains(why), "{what}: {said}");
    }
    for (what, forgery) in accepted {
        let (said, installed) = try_with(forgery);
        said.ok();
        assert_ne!(installed, 0, "{what} was not installed");
    }
}

#[test]
fn a44_nothing_that_the_ca_says_is_obeyed_by_the_terminal() {
    let scene = scene!(Scene::new(&[]));
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\nroot@db:~# ";
    let proxy = Proxy::start(scene.lab.ca.address, move |path, answer| {
        let spoil = |value: &mut Value| {
            if let Some(text) = value.as_str() {
                *value = json!(format!("{text}{evil}"));
            }
        };
        let names: &[&str] = match path {
            "/v1/certificates" => &["/login/email", "/login/subject", "/login/groups/0"],
            "/.well-known/jit-ssh" => &["/issuers/0/label"],
            _ => &["/email", "/subject", "/groups/0"],
        };
        for name in names {
            if let Some(value) = answer.pointer_mut(name) {
                spoil(value);
            }
        }
        let roles = if path == "/v1/certificates" {
            "/roles/roles"
        } else {
            "/roles"
        };
        if let Some(roles) = answer.pointer_mut(roles).and_then(Value::as_array_mut) {
            for role in roles {
                for name in ["/description", "/refused/reason", "/refused/help"] {
                    if let Some(value) = role.pointer_mut(name) {
                        spoil(value);
                    }
                }
            }
        }
    });
    let laptop = scene.laptop("alice");
    // All of it is shown, as text.
    let escaped = "\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}31m\\u{d}\\u{a}root@db:~# ";
    let said = login_at(&scene, &laptop, &proxy.url).ok().all();
    is_harmless(&said);
    assert!(said.contains(escaped), "{said}");
    for (command, shows) in [
        (&["status"][..], true),
        (&["status", "--short"], false),
        (&["roles"], true),
        (&["doctor"], false),
        (&["logout"], false),
    ] {
        let said = laptop.jit(command).go().ok().all();
        is_harmless(&said);
        assert_eq!(said.contains(escaped), shows, "{command:?}: {said}");
        let forged = |line: &str| line.starts_with("root@db");
        assert!(!said.lines().any(forged), "{command:?}: {said}");
    }
    // A certificate of anybody's, with a key ID that is a command to the terminal.
    let key = jit_ssh_tests::wire::Key::new().line();
    let line = forge(
        &scene,
        &key,
        &[
            "-I",
            "a\u{1b}]0;owned\u{7}b",
            "-z",
            "7",
            "-n",
            "root\u{1b}[2J",
            "-V",
            "-2m:+5m",
        ],
    );
    let file = scene.lab.dir.file("evil-cert.pub", &line);
    is_harmless(&laptop.jit(&["inspect"]).arg(file).go().all());
}

/// A login whose "browser" only notes the address; the test is the browser.
struct Held {
    child: Child,
    url: url::Url,
}

impl Held {
    fn start(scene: &Scene, laptop: &Laptop<'_>) -> Self {
        let (script, note) = notebook(&scene.lab.dir);
        let child = laptop
            .jit(&[
                "login",
                "--ca",
                &scene.lab.ca.url,
                "--fingerprint",
                &scene.lab.ca.fingerprint(),
            ])
            .env("BROWSER", &script)
            .start("login", &scene.lab.dir);
        let url = clock::until("the browser to be opened", || {
            fs::read_to_string(&note)
                .ok()
                .filter(|text| text.ends_with('\n'))
        });
        Held {
            child,
            url: url.trim().parse().unwrap(),
        }
    }

    fn parameter(&self, name: &str) -> String {
        let pairs = self.url.query_pairs();
        pairs
            .into_iter()
            .find(|(key, _)| key == name)
            .unwrap()
            .1
            .into_owned()
    }

    /// The client's callback listener.
    fn callback(&self) -> (std::net::SocketAddr, String) {
        let redirect: url::Url = self.parameter("redirect_uri").parse().unwrap();
        let address = redirect.socket_addrs(|| None).unwrap()[0];
        (address, redirect.path().to_owned())
    }

    /// The honest end of the story.
    fn finish(&mut self) -> i32 {
        browser::show("alice", self.url.as_str());
        self.child.wait()
    }
}

/// A program that writes its one argument down, and where.
fn notebook(dir: &Dir) -> (PathBuf, PathBuf) {
    let note = dir.join("opened");
    let _ = fs::remove_file(&note);
    let script = dir.file(
        "note",
        &format!(
            "#!/bin/sh\n[ $# = 1 ] && printf '%s\\n' \"$1\" >> {}\n",
            note.display()
        ),
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (script, note)
}

/// A callback that the browser did not make.
struct Forged<'a> {
    what: &'static str,
    method: &'static str,
    target: String,
    headers: &'a [(&'static str, &'a str)],
}

#[test]
fn a45_callbacks_that_are_not_the_browsers_change_nothing() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    let mut held = Held::start(&scene, &laptop);
    let (address, path) = held.callback();
    assert!(address.ip().is_loopback());
    let (state, host) = (held.parameter("state"), address.to_string());
    let issuer = &scene.lab.idp.issuer;
    let good = format!("code=stolen&state={state}&iss={issuer}");
    let honest = [("Host", host.as_str())];
    let rebound = [("Host", "evil.example")];
    let script = [("Host", host.as_str()), ("Origin", "https://evil.example")];
    let query = |query: &str| format!("{path}?{query}");
    let at = |what, target| Forged {
        what,
        method: "GET",
        target,
        headers: &honest,
    };
    let tries = [
        at(
            "another state",
            query(&format!("code=stolen&state=guess&iss={issuer}")),
        ),
        at("no state", query(&format!("code=stolen&iss={issuer}"))),
        at("state twice", query(&format!("{good}&state=guess"))),
        at(
            "an empty state",
            query(&format!("code=stolen&state=&iss={issuer}")),
        ),
        at("another path", format!("/?{good}")),
        at("a longer path", format!("{path}/x?{good}")),
        at("a forged error", query("error=access_denied&state=guess")),
        Forged {
            method: "POST",
            ..at("POST", query(&good))
        },
        Forged {
            headers: &rebound,
            ..at("a rebound name", query(&good))
        },
        Forged {
            headers: &script,
            ..at("a page's script", query(&good))
        },
    ];
    for Forged {
        what,
        method,
        target,
        headers,
    } in &tries
    {
        let answer = http::send(address, method, target, headers, b"");
        assert!(answer.status >= 400, "{what}: {answer:?}");
        assert!(
            held.child.runs(),
            "{what} ended the login: {}",
            held.child.log()
        );
    }
    assert!(
        scene.lab.idp.inner().token_requests.is_empty(),
        "a stolen code was redeemed"
    );
    assert_eq!(held.finish(), 0, "{}", held.child.log());
    assert!(!certificates(&laptop).is_empty());
    // One use: nobody listens any more.
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a17_a_callback_that_names_another_issuer_is_refused() {
    let scene = scene!(Scene::new(&[]));
    for (what, fault) in [
        ("another issuer", Some("https://evil.example".to_owned())),
        ("a slash more", Some(format!("{}/", scene.lab.idp.issuer))),
        ("none although announced", None),
    ] {
        scene.lab.idp.misbehave(|faults| {
            faults.no_callback_issuer = fault.is_none();
            faults.callback_issuer = fault;
        });
        let laptop = scene.laptop("alice");
        let said = scene.sign_in(&laptop, &[]);
        assert_ne!(said.code, Some(0), "{what}: {said}");
        assert!(
            scene.lab.idp.inner().token_requests.is_empty(),
            "{what}: the code was redeemed"
        );
    }
}

#[test]
fn a17_every_sign_in_uses_pkce_and_its_own_state_nonce_and_code() {
    let scene = scene!(Scene::new(&[]));
    for _ in 0..2 {
        let laptop = scene.laptop("alice");
        scene.sign_in(&laptop, &[]).ok();
        laptop.jit(&["logout"]).go().ok();
    }
    let inner = scene.lab.idp.inner();
    assert_eq!(inner.authorizations.len(), 2);
    for name in ["state", "nonce", "code_challenge"] {
        let values: Vec<&String> = inner
            .authorizations
            .iter()
            .map(|query| &query[name])
            .collect();
        assert_ne!(values[0], values[1], "{name}");
        assert!(values.iter().all(|value| value.len() >= 43), "{name}");
    }
    for query in &inner.authorizations {
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["response_type"], "code");
    }
    let redeemed = inner
        .token_requests
        .iter()
        .filter(|form| form.contains_key("code_verifier"));
    assert_eq!(redeemed.count(), 2);
}

#[test]
fn a46_an_address_that_a_provider_chose_is_not_opened_unseen() {
    let scene = scene!(Scene::new(&[]));
    for endpoint in [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "-Pfoo",
        "--version",
        "data:text/html,x",
        "vscode://x",
        "http://192.0.2.1/authorize",
        "not a url",
    ] {
        scene
            .lab
            .idp
            .misbehave(|faults| faults.authorization_endpoint = Some(endpoint.to_owned()));
        let laptop = scene.laptop("alice");
        let (script, note) = notebook(&scene.lab.dir);
        let said = laptop
            .jit(&[
                "login",
                "--ca",
                &scene.lab.ca.url,
                "--fingerprint",
                &scene.lab.ca.fingerprint(),
            ])
            .env("BROWSER", script)
            .go();
        assert_ne!(said.code, Some(0), "{endpoint}: {said}");
        assert!(
            !note.exists(),
            "{endpoint} was opened: {}",
            fs::read_to_string(&note).unwrap()
        );
    }
}

#[test]
fn a46_a_shell_never_sees_the_address() {
    let scene = scene!(Scene::new(&[]));
    let mark = scene.lab.dir.join("shell-ran");
    let endpoint = format!(
        "{}/authorize;touch${{IFS}}{m}&$(touch {m})`touch {m}`",
        scene.lab.idp.issuer,
        m = mark.display()
    );
    scene
        .lab
        .idp
        .misbehave(|faults| faults.authorization_endpoint = Some(endpoint));
    let laptop = scene.laptop("alice");
    let (script, note) = notebook(&scene.lab.dir);
    let mut child = laptop
        .jit(&[
            "login",
            "--ca",
            &scene.lab.ca.url,
            "--fingerprint",
            &scene.lab.ca.fingerprint(),
        ])
        .env("BROWSER", script)
        .start("login", &scene.lab.dir);
    let opened = clock::until("the browser to be opened", || {
        assert!(child.runs(), "{}", child.log());
        fs::read_to_string(&note)
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    assert!(!mark.exists());
    // One word, and whole: a shell would have ended it at the first `;` or `&`.
    let whole = format!("{}/authorize;touch$", scene.lab.idp.issuer);
    assert!(opened.starts_with(&whole), "{opened}");
    assert!(opened.contains("&$(touch%20"), "{opened}");
    assert!(opened.contains("&code_challenge="), "{opened}");
    assert!(!opened.contains(['`', ' ']), "{opened}");
    assert_eq!(opened.lines().count(), 1, "{opened}");
}

/// An agent that takes keys, but none with a constraint; notes the types of the messages.
fn careless_agent(dir: &Dir) -> (PathBuf, Arc<Mutex<Vec<u8>>>) {
    let socket = dir.join("careless.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let log = log.clone();
            std::thread::spawn(move || {
                let mut length = [0; 4];
                while stream.read_exact(&mut length).is_ok() {
                    let mut message = vec![0; u32::from_be_bytes(length) as usize];
                    if stream.read_exact(&mut message).is_err() {
                        return;
                    }
                    log.lock().unwrap().push(message[0]);
                    let answer: &[u8] = match message[0] {
                        11 => &[12, 0, 0, 0, 0], // identities: none
                        17 | 18 => &[6],         // add without constraints: success
                        _ => &[5],               // failure
                    };
                    let mut frame = u32::try_from(answer.len()).unwrap().to_be_bytes().to_vec();
                    frame.extend(answer);
                    if stream.write_all(&frame).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (socket, seen)
}

#[test]
fn a47_an_agent_that_takes_no_lifetime_gets_no_key() {
    let scene = scene!(Scene::new(&[WEB]));
    let (socket, seen) = careless_agent(&scene.lab.dir);
    let laptop = scene.laptop("alice").with_agent(&socket);
    scene.sign_in(&laptop, &[]).ok();
    let seen = seen.lock().unwrap().clone();
    assert!(seen.contains(&25), "a constrained add was tried: {seen:?}");
    assert!(
        !seen.contains(&17),
        "a key without a lifetime was added: {seen:?}"
    );
    // The key is in a file then, and works.
    laptop.jit(&["ssh-config"]).go().ok();
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
}

/// An agent of the user `nobody` at a socket that everybody may use; it logs the type of each message
/// and says no to all of them. The kernel notes who listened, not who made the socket.
fn agent_of_another_user(socket: &Path, dir: &Dir) -> Child {
    const AGENT: &str = r#"
import os, socket, sys, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
os.seteuid(65534)
listener.listen()
print("listens", flush=True)
def talk(stream):
    while True:
        length = stream.recv(4, socket.MSG_WAITALL)
        if len(length) < 4:
            return
        message = stream.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
        print("message", message[0], flush=True)
        stream.sendall(bytes([0, 0, 0, 1, 5]))
def serve():
    while True:
        threading.Thread(target=talk, args=[listener.accept()[0]], daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
sys.stdin.read()
"#;
    let child = Run::new("python3")
        .args(["-c", AGENT])
        .arg(socket)
        .start("another-agent", dir);
    clock::until("the agent to listen", || {
        child.log().contains("listens").then_some(())
    });
    child
}

#[test]
fn a47_an_agent_of_another_user_gets_no_key() {
    if !jit_ssh_tests::world::is_root() {
        jit_ssh_tests::skip!("an agent of another user needs root");
    }
    let scene = scene!(Scene::new(&[WEB]));
    let socket = scene.lab.dir.join("others.sock");
    let agent = agent_of_another_user(&socket, &scene.lab.dir);
    let laptop = scene.laptop("alice").with_agent(&socket);
    let said = scene.sign_in(&laptop, &[]).ok();
    let why = format!(
        "The login key is in a file: the agent at {} belongs to another user (uid 65534).",
        socket.display()
    );
    assert!(said.stderr.contains(&why), "{said}");
    assert!(laptop.jit(&["doctor"]).go().stdout.contains("uid 65534"));
    laptop
        .jit(&["ensure", "--host", WEB, "--account", "observer"])
        .go()
        .ok();
    assert_eq!(agent.log().trim(), "listens");
}

#[test]
fn a47_an_agent_that_another_user_put_in_the_place_of_ours_is_told_nothing() {
    if !jit_ssh_tests::world::is_root() {
        jit_ssh_tests::skip!("an agent of another user needs root");
    }
    let scene = scene!(Scene::new(&[WEB]));
    let mut ours = Agent::start(&scene.lab.dir);
    let laptop = scene.laptop("alice").with_agent(ours.socket());
    scene.sign_in(&laptop, &[]).ok();
    laptop.jit(&["ssh-config"]).go().ok();
    let to = format!("observer@{WEB}");
    laptop.ssh(&[&to, "true"]).ok();
    let include = laptop.home().join(".config/jit-ssh/ssh_config");
    let named = format!("IdentityAgent \"{}\"", ours.socket().display());
    assert!(fs::read_to_string(&include).unwrap().contains(&named));

    // The agent ends, and the next one is elsewhere.
    let old = ours.socket().to_owned();
    ours.child().kill();
    let _ = fs::remove_file(&old);
    let others = agent_of_another_user(&old, &scene.lab.dir);
    let second = Dir::new();
    let next = Agent::start(&second);
    let laptop = Laptop::again(&scene.world, "alice").with_agent(next.socket());
    let printed = laptop.jit(&["ssh-config", "--print"]).go().ok().stdout;
    assert!(!printed.contains("IdentityAgent"), "{printed}");

    // This ssh read the old include: its person signs in, and it gets no further.
    let own = laptop.home().join(".ssh/own");
    keygen::generate(&own, &["-t", "ed25519"]);
    let config = laptop.home().join(".ssh/config");
    let text = fs::read_to_string(&config).unwrap();
    let own = format!(
        "{text}\nHost *\n    AddKeysToAgent yes\n    IdentityFile {}\n",
        own.display()
    );
    fs::write(&config, own).unwrap();
    let said = laptop.run("ssh").args([&to, "true"]).go().failed_with(255);
    assert!(said.stderr.contains("not for this ssh"), "{said}");
    assert_eq!(others.log().trim(), "listens");
    // The next one is told of the new agent.
    laptop.ssh(&[&to, "true"]).ok();
    assert_eq!(others.log().trim(), "listens");
    let include = fs::read_to_string(&include).unwrap();
    assert!(include.contains(&next.socket().display().to_string()));
}

#[test]
fn a47_keys_in_the_agent_end_with_the_login() {
    let scene = scene!(Scene::with(
        Lab::builder().issuer("max_login = \"6s\""),
        &[],
        |plan| plan
    ));
    let agent = Agent::start(&scene.lab.dir);
    let laptop = scene.laptop("alice").with_agent(agent.socket());
    scene.sign_in(&laptop, &[]).ok();
    assert_eq!(agent.keys().len(), 1, "the login key is in the agent");
    clock::until("the agent to forget", || {
        agent.keys().is_empty().then_some(())
    });
}

#[test]
fn a47_files_are_private_whatever_the_umask() {
    use std::os::unix::fs::MetadataExt as _;
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    let before = below(laptop.home());
    let script = format!(
        "umask 000; {} login --no-agent --ca {} --fingerprint {}",
        jit_ssh_tests::process::program("jit-ssh").display(),
        scene.lab.ca.url,
        scene.lab.ca.fingerprint()
    );
    laptop.run("sh").args(["-c", &script]).go().ok();
    let mut looked_at = 0;
    for path in below(laptop.home()) {
        if before.contains(&path) || path.ends_with("browser.log") {
            continue;
        }
        looked_at += 1;
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(
            mode & 0o022,
            0,
            "{} can be written by others: {mode:o}",
            path.display()
        );
        let text = fs::read(&path).unwrap();
        if String::from_utf8_lossy(&text).contains("PRIVATE KEY")
            || path.to_string_lossy().contains("refresh")
        {
            assert_eq!(mode, 0o600, "{}", path.display());
        }
    }
    assert!(looked_at > 3);
}

#[test]
fn a47_a_link_in_the_place_of_the_key_is_not_followed() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    scene.sign_in(&laptop, &["--no-agent"]).ok();
    let key = below(laptop.home())
        .into_iter()
        .find(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).contains("PRIVATE KEY"))
        .unwrap();
    laptop.jit(&["logout"]).go().ok();
    let victim = laptop.home().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::create_dir_all(key.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&key);
    std::os::unix::fs::symlink(&victim, &key).unwrap();
    scene.sign_in(&laptop, &["--no-agent"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a48_the_agent_is_not_on_the_bastion_and_two_hops_work_without_it() {
    let scene = scene!(Scene::new(&[BASTION, DB]));
    let agent = Agent::start(&scene.lab.dir);
    let laptop = scene.laptop("alice").with_agent(agent.socket());
    scene.sign_in(&laptop, &[]).ok();
    laptop.jit(&["ssh-config"]).go().ok();
    let said = laptop
        .ssh(&[
            "-A",
            &format!("deploy@{BASTION}"),
            "echo agent=$SSH_AUTH_SOCK",
        ])
        .ok();
    assert_eq!(said.text(), "agent=");
    laptop
        .ssh(&[
            "-J",
            &format!("deploy@{BASTION}"),
            &format!("observer@{DB}"),
            "true",
        ])
        .ok();
}

#[test]
fn a49_a_name_that_is_a_directive_reaches_no_ssh_config() {
    let scene = scene!(Scene::new(&[]));
    let evil = [
        "x\n    ProxyCommand sh -c id",
        "x\r\nProxyCommand id",
        "\" ProxyCommand id",
        "*.prod.example.com\" exec \"touch /tmp/x",
        "$(id)",
        "`id`",
        "a;b",
        "a b",
        "%h",
        "!*",
        "*",
        "",
        "a\u{0}b",
    ];
    for name in evil {
        let proxy = Proxy::start(scene.lab.ca.address, move |path, answer| {
            let roles = if path == "/v1/certificates" {
                "/roles"
            } else {
                ""
            };
            if let Some(roles) = answer.pointer_mut(roles) {
                if let Some(hosts) = roles.get_mut("hosts").and_then(Value::as_array_mut) {
                    hosts.push(json!(name));
                }
                if let Some(list) = roles.get_mut("roles").and_then(Value::as_array_mut) {
                    for role in list {
                        if let Some(accounts) =
                            role.get_mut("accounts").and_then(Value::as_array_mut)
                        {
                            accounts.push(json!(name));
                        }
                    }
                }
            }
        });
        let laptop = scene.laptop("alice");
        let before = laptop
            .run("ssh")
            .args(["-G", "elsewhere.example.net"])
            .go()
            .ok()
            .stdout;
        // The name alone is left out, and the person is told: the rest is the CA's own and works.
        login_at(&scene, &laptop, &proxy.url).ok();
        let said = laptop.jit(&["ssh-config"]).go().ok();
        let remark = format!("the CA names {name:?}, which is left out");
        assert!(said.stderr.contains(&remark), "{name:?}: {said}");
        let mut matches = 0;
        for path in below(laptop.home()) {
            let text = fs::read(&path).unwrap();
            // Comments are ssh's to ignore, and the first line of the file has backticks.
            let text: String = String::from_utf8_lossy(&text)
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| format!("{line}\n"))
                .collect();
            if path.to_string_lossy().contains("ssh") && text.contains("Match") {
                matches += 1;
                assert!(
                    !text.contains("ProxyCommand"),
                    "{name:?} in {}:\n{text}",
                    path.display()
                );
                assert!(
                    !text.contains("$(") && !text.contains('`'),
                    "{name:?}:\n{text}"
                );
            }
        }
        assert_eq!(matches, 1, "{name:?}: the include");
        let after = laptop
            .run("ssh")
            .args(["-G", "elsewhere.example.net"])
            .go()
            .ok()
            .stdout;
        scene::same_settings(&before, &after);
        laptop.jit(&["ssh-config", "--remove"]).go();
        laptop.jit(&["logout", "--forget"]).go();
    }
}

#[test]
fn a50_a_ca_with_another_identity_is_a_hard_error() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    // Never believed on first use when a fingerprint was given.
    let wrong = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    laptop
        .jit(&["login", "--ca", &scene.lab.ca.url, "--fingerprint", wrong])
        .go()
        .failed();
    assert!(
        scene.lab.idp.inner().authorizations.is_empty(),
        "nobody was sent to the provider"
    );
    scene.sign_in(&laptop, &[]).ok();

    // Another CA at the same address, later: for a person who pinned the first.
    let dir = Dir::new();
    let impostor = Ca::init(
        &dir,
        ca::Plan::default(),
        std::slice::from_ref(&scene.lab.idp.issuer),
    );
    let set = fs::read_to_string(impostor.data.join("key-set.json")).unwrap();
    let set: Value = serde_json::from_str(&set).unwrap();
    let spoil = move |path: &str, answer: &mut Value| {
        if path == "/.well-known/jit-ssh" {
            answer["key_set"] = set.clone();
        }
    };
    let proxy = Proxy::start(scene.lab.ca.address, spoil);
    let other = login_at(&scene, &laptop, &proxy.url).failed();
    assert!(
        other.stderr.contains("SHA256:"),
        "it names both fingerprints: {other}"
    );
}

#[test]
fn a50_a_key_set_that_was_changed_is_not_believed() {
    let scene = scene!(Scene::new(&[]));
    let thief = jit_ssh_tests::wire::Key::new().line();
    let proxy = Proxy::start(scene.lab.ca.address, move |path, answer| {
        if path == "/.well-known/jit-ssh" {
            let document = answer["key_set"]["document"].as_str().unwrap();
            let mut set: Value = serde_json::from_str(document).unwrap();
            set["keys"][0]["public_key"] = json!(thief);
            answer["key_set"]["document"] = json!(set.to_string());
        }
    });
    let laptop = scene.laptop("alice");
    login_at(&scene, &laptop, &proxy.url).failed();
    assert!(scene.lab.idp.inner().authorizations.is_empty());
    assert!(certificates(&laptop).is_empty());
}

#[test]
fn a50_without_a_fingerprint_an_unverifiable_ca_is_not_taken_silently() {
    let scene = scene!(Scene::with(Lab::builder().tls(), &[], |plan| plan));
    let laptop = scene.laptop("alice");
    let said = laptop
        .jit(&["login", "--ca", &scene.lab.ca.url])
        .go()
        .failed();
    assert!(said.stderr.contains("fingerprint"), "{said}");
    assert!(scene.lab.idp.inner().authorizations.is_empty());
}

#[test]
fn a50_a_server_with_another_host_key_is_refused() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    let known = laptop.home().join(".ssh/known_hosts");
    let text = fs::read_to_string(&known).unwrap();
    let (names, _) = text.split_once(' ').unwrap();
    let other = jit_ssh_tests::wire::Key::new().line();
    fs::write(&known, format!("{names} {other}\n")).unwrap();
    let said = laptop
        .ssh(&[&format!("observer@{WEB}"), "true"])
        .failed_with(255);
    assert!(
        said.stderr.contains("host key") || said.stderr.contains("HOST IDENTIFICATION"),
        "{said}"
    );
}

#[test]
fn a_provider_that_hands_out_another_persons_token_signs_nobody_in() {
    // The nonce binds the token to this laptop's key: a token from elsewhere is of no use.
    let scene = scene!(Scene::new(&[]));
    scene.lab.idp.misbehave(|faults| faults.no_nonce = true);
    let laptop = scene.laptop("alice");
    scene.sign_in(&laptop, &[]).failed();
    assert!(certificates(&laptop).is_empty());
}

#[test]
fn two_providers_of_one_ca_are_kept_apart() {
    let dir = Dir::new();
    let Some(world) = jit_ssh_tests::world::World::new(&dir) else {
        jit_ssh_tests::skip!("no mount namespaces here");
    };
    let (one, two) = (Idp::start(Habit::Generic), Idp::start(Habit::Generic));
    let policy = ca::POLICY
        .replace(
            "[username]",
            &format!("[[username]]\nissuer = \"{}\"", one.issuer),
        )
        .replace(
            "[[grants]]",
            &format!("[[grants]]\nissuer = \"{}\"", one.issuer),
        )
        .replace(
            "[[rights]]",
            &format!("[[rights]]\nissuer = \"{}\"", one.issuer),
        )
        .replace("who = {", &format!("who = {{ issuer = \"{}\",", one.issuer));
    let plan = ca::Plan {
        policy,
        ..ca::Plan::default()
    };
    let mut ca = Ca::init(&dir, plan, &ca::issuers(&[&one, &two]));
    ca.serve();
    let laptop = Laptop::new(&world, "alice", &[]);
    let login = |issuer: &str| {
        laptop
            .jit(&[
                "login",
                "--ca",
                &ca.url,
                "--fingerprint",
                &ca.fingerprint(),
                "--issuer",
                issuer,
            ])
            .go()
    };
    login(&two.issuer).failed_with(3);
    assert!(one.inner().token_requests.is_empty());
    login(&one.issuer).ok();
    assert_eq!(one.inner().token_requests.len(), 1);
}

#[test]
fn a_redirect_port_of_the_operators_is_used_and_a_busy_one_is_said() {
    let port = jit_ssh_tests::port::free();
    let client = format!("scopes = [\"openid\", \"groups\"]\nredirect_ports = [{port}]");
    let scene = scene!(Scene::with(Lab::builder().client(&client), &[], |plan| {
        plan
    }));
    let laptop = scene.laptop("alice");
    scene.sign_in(&laptop, &[]).ok();
    let redirect = scene.lab.idp.inner().authorizations[0]["redirect_uri"].clone();
    assert_eq!(redirect, format!("http://127.0.0.1:{port}/callback"));
    laptop.jit(&["logout"]).go().ok();
    let _busy = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let said = scene.sign_in(&laptop, &[]).failed();
    assert!(said.stderr.contains("--no-browser"), "{said}");
}
