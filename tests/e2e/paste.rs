//! `--no-browser`: the person signs in on another machine and pastes what they see there.

use jit_ssh_tests::browser;
use jit_ssh_tests::ca::Ca;
use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::clock;
use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Child, Run, program};

use crate::scene;
use crate::scene::{Scene, WEB, certificates};

/// `jit-ssh login` at a terminal: what it shows, and where to type.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    answer: std::path::PathBuf,
}

impl Terminal {
    fn open(scene: &Scene, laptop: &Laptop<'_>, arguments: &[&str]) -> (Self, String) {
        Terminal::at(&scene.lab.dir, &scene.lab.ca, laptop, arguments)
    }

    pub(crate) fn at(
        dir: &Dir,
        ca: &Ca,
        laptop: &Laptop<'_>,
        arguments: &[&str],
    ) -> (Self, String) {
        let command = format!(
            "{} login --no-browser --ca {} --fingerprint {} {}",
            program("jit-ssh").display(),
            ca.url,
            ca.fingerprint(),
            arguments.join(" ")
        );
        let terminal = Terminal::typing(dir, laptop.run("script"), &command);
        let url = clock::until("the address to open", || {
            terminal
                .child
                .log()
                .split_whitespace()
                .find(|word| word.contains("code_challenge="))
                .map(str::to_owned)
        });
        (terminal, url)
    }

    /// A command line at a terminal of `script`'s, into which goes what the pipe brings.
    pub(crate) fn typing(dir: &Dir, script: Run, command: &str) -> Self {
        let pipe = dir.join("pasted");
        Run::new("mkfifo").arg(&pipe).go().ok();
        let child = script
            .args(["--quiet", "--return", "--command", command, "/dev/null"])
            .reading(&pipe)
            .start("login", dir);
        Terminal {
            child,
            answer: pipe,
        }
    }

    fn type_line(&self, text: &str) {
        std::fs::write(&self.answer, format!("{text}\r")).unwrap();
    }

    /// Pastes, and says yes to the ssh configuration that is offered then.
    pub(crate) fn paste(&mut self, text: &str) -> i32 {
        self.type_line(text);
        self.say_yes()
    }

    /// Says yes to the ssh configuration that is offered at the end.
    pub(crate) fn say_yes(&mut self) -> i32 {
        self.child.says("[y/N]");
        self.type_line("y");
        self.child.wait()
    }
}

#[test]
fn what_the_cas_page_shows_signs_in() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.laptop("alice");
    let (mut terminal, url) = Terminal::open(&scene, &laptop, &[]);
    assert!(
        url.contains("sign-in"),
        "the CA's page is the redirect address: {url}"
    );
    let shown = browser::paste("alice", &url);
    assert!(!shown.contains("http"), "{shown}");
    assert_eq!(terminal.paste(&shown), 0, "{}", terminal.child.log());
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
}

#[test]
fn the_address_of_a_page_that_could_not_be_opened_signs_in() {
    // A provider that the CA has no page for: the browser ends at an address of its own machine.
    let mut lab = Lab::builder().prepare();
    let path = lab.ca.data.join("ca.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let page = text.rfind("[[issuers.clients]]").unwrap();
    let rest = text.find("[limits]").unwrap();
    let without = format!("{}{}", &text[..page], &text[rest..]);
    assert!(text[page..rest].contains("paste") && !without.contains("paste"));
    jit_ssh_tests::ca::replace(&path, &without);
    lab.ca.serve();
    let world = lab.world();
    let scene = scene!(world.map(|world| {
        let servers = Vec::new();
        Scene {
            servers,
            world,
            lab,
        }
    }));
    let laptop = scene.laptop("alice");
    let (mut terminal, url) = Terminal::open(&scene, &laptop, &[]);
    let failed = browser::paste("alice", &url);
    assert!(failed.starts_with("http://127.0.0.1:"), "{failed}");
    assert_eq!(terminal.paste(&failed), 0, "{}", terminal.child.log());
    assert!(!certificates(&laptop).is_empty());
}

#[test]
fn the_page_says_who_asks() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    let (_terminal, url) = Terminal::open(&scene, &laptop, &[]);
    let page = browser::show("alice", &url);
    assert!(page.stdout.contains("SHA256:"), "{page}");
    assert!(
        page.stdout.contains("127.0.0.1"),
        "the asking address: {page}"
    );
}

#[test]
fn another_sign_ins_text_is_refused() {
    // A17: a code of one transaction injected into another.
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    let (mut terminal, url) = Terminal::open(&scene, &laptop, &[]);
    let stolen = {
        use base64::Engine as _;
        let text = serde_json::json!({ "code": "stolen", "state": "of-another", "iss": scene.lab.idp.issuer });
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text.to_string())
    };
    terminal.type_line(&stolen);
    terminal.child.says("does not fit");
    assert!(
        scene.lab.idp.inner().token_requests.is_empty(),
        "a foreign code was redeemed"
    );
    // The terminal still waits for its own.
    let shown = browser::paste("alice", &url);
    assert_eq!(terminal.paste(&shown), 0, "{}", terminal.child.log());
    assert!(!certificates(&laptop).is_empty());
}

#[test]
fn what_the_page_shows_is_worth_nothing_in_another_terminal() {
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    let (mut terminal, url) = Terminal::open(&scene, &laptop, &[]);
    // To look at the page changes nothing: a second browser gets a code of its own.
    let shown = browser::paste("alice", &url);
    let other = browser::paste("alice", &url);
    assert_ne!(shown, other);
    assert_eq!(terminal.paste(&shown), 0, "{}", terminal.child.log());
    let redeemed = || scene.lab.idp.inner().token_requests.len();
    assert_eq!(redeemed(), 1);
    // Neither the used code nor the fresh one is any good to somebody else's terminal.
    let dir = Dir::new();
    let (mut thief, own) = Terminal::at(&dir, &scene.lab.ca, &laptop, &[]);
    for (stolen, refusals) in [(&shown, 1), (&other, 2)] {
        thief.type_line(stolen);
        clock::until("the refusal", || {
            assert!(thief.child.runs(), "{}", thief.child.log());
            (thief.child.log().matches("does not fit").count() == refusals).then_some(())
        });
    }
    assert_eq!(redeemed(), 1, "a stolen code was redeemed");
    thief.type_line(&browser::paste("alice", &own));
    assert_eq!(thief.child.wait(), 0, "{}", thief.child.log());
}
