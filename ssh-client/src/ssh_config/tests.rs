//! The include, as real `ssh -G` reads it.

use super::*;
use crate::fleet::tests::reachable;
use crate::state::{Home, LoginState, Renewal, TokenPlace};
use jit_ssh_api::login::Login;
use jit_ssh_api::role::{Refused, Role, RolesAnswer};
use std::process::Command;

/// A login with these hosts, and one role for each account; `-name` is a refused role's.
pub(crate) fn login(hosts: &[&str], accounts: &[&str]) -> LoginState {
    let refused = || Refused {
        rule: "groups".into(),
        reason: "no".into(),
        help: String::new(),
    };
    let role = |account: &&str| Role {
        name: format!("role-{}", account.trim_start_matches('-')),
        description: String::new(),
        accounts: vec![account.trim_start_matches('-').to_owned()],
        max_validity: 900,
        refused: account.starts_with('-').then(refused),
    };
    LoginState {
        login: Login {
            id: "id".into(),
            issuer: "https://idp.example.com".into(),
            client_id: "client".into(),
            subject: "subject".into(),
            email: None,
            username: None,
            groups: Vec::new(),
            key: String::new(),
            started: 0,
            ends: u64::MAX / 2,
            ended: None,
            identity_fresh_until: 0,
        },
        roles: RolesAnswer {
            roles: accounts.iter().map(role).collect(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..RolesAnswer::default()
        },
        roles_at: 0,
        key: KeyPlace::File,
        public_key: String::new(),
        named_key: None,
        renewal: Renewal {
            client_id: "client".into(),
            client_secret: None,
            token_endpoint: String::new(),
            revocation_endpoint: None,
            scopes: Vec::new(),
            userinfo: false,
            refresh_token: TokenPlace::None,
        },
        skew: 0,
    }
}

/// A folder with an include and a program in place of ours that notes how it is called.
struct Bench {
    folder: tempfile::TempDir,
    files: CaFiles,
}

impl Bench {
    fn new(login: &LoginState, works: bool) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("jit ssh");
        let calls = folder.path().join("calls");
        let status = i32::from(!works);
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {}\nexit {status}\n",
            calls.display()
        );
        crate::state::write(&program, script.as_bytes()).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let files = Home::at(folder.path()).ca("ca.example.com").unwrap();
        let bench = Bench { folder, files };
        bench.write(login, &Fleet::default(), &Aliases::default());
        bench
    }

    /// The same with enrolled hosts.
    fn with_fleet(login: &LoginState, works: bool, fleet: &Fleet, aliases: &Aliases) -> Self {
        let bench = Bench::new(login, works);
        bench.write(login, fleet, aliases);
        bench
    }

    fn write(&self, login: &LoginState, fleet: &Fleet, aliases: &Aliases) {
        let part = Part {
            files: &self.files,
            plain: &login.plain(),
            fleet,
            host_ca: &[],
        };
        let program = self.folder.path().join("jit ssh");
        let rendered = render(&program, &[part], aliases).unwrap();
        let include = self.folder.path().join("include");
        crate::state::write(&include, rendered.include.as_bytes()).unwrap();
    }

    /// `ssh -G` with the person's own configuration below our include.
    fn resolve(&self, own: &str, arguments: &[&str]) -> Vec<(String, String)> {
        let output = self.try_to_resolve(own, arguments);
        assert!(output.status.success(), "{output:?}\n{own}");
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The same, where ssh may refuse.
    fn try_to_resolve(&self, own: &str, arguments: &[&str]) -> std::process::Output {
        let line = include_line(&self.folder.path().join("include")).unwrap();
        let config = self.folder.path().join("config");
        let text = with_include(own, &line);
        crate::state::write(&config, text.as_bytes()).unwrap();
        Command::new("ssh")
            .arg("-G")
            .arg("-F")
            .arg(&config)
            .args(arguments)
            .env("SHELL", "/bin/sh")
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn calls(&self) -> Vec<String> {
        let path = self.folder.path().join("calls");
        let text = crate::state::read_to_string(&path)
            .unwrap()
            .unwrap_or_default();
        crate::state::remove(&path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn has_ours(&self, settings: &[(String, String)]) -> bool {
        let ours = self.files.key().display().to_string();
        settings.contains(&("identityfile".to_owned(), ours))
    }
}

/// One CA without enrolled hosts.
fn plainly(program: &str, files: &CaFiles, login: &LoginState) -> Result<Rendered, ConfigError> {
    let part = Part {
        files,
        plain: &login.plain(),
        fleet: &Fleet::default(),
        host_ca: &[],
    };
    render(Path::new(program), &[part], &Aliases::default())
}

fn value<'a>(settings: &'a [(String, String)], name: &str) -> &'a str {
    let found = settings.iter().find(|(key, _)| key == name);
    found.map_or("", |(_, value)| value)
}

const OURS: &str = "db01.prod.example.com";

#[test]
fn our_hosts_get_certificate_and_account_by_every_name() {
    let bench = Bench::new(
        &login(&["*.prod.example.com", "10.1.*"], &["observer", "admin"]),
        true,
    );
    let alias = "Host db\n  HostName db01.prod.example.com\n";
    let short = "CanonicalizeHostname no\nHost db01\n  HostName %h.prod.example.com\n";
    let own = "Host *\n  IdentityFile ~/.ssh/mine\n  StrictHostKeyChecking accept-new\n";
    for (own, host, resolved) in [
        ("", OURS, OURS),
        (alias, "db", OURS),
        (short, "db01", OURS),
        ("", "10.1.2.3", "10.1.2.3"),
        ("", "DB01.Prod.example.com", OURS),
        (own, OURS, OURS),
    ] {
        let settings = bench.resolve(own, &[host]);
        assert!(bench.has_ours(&settings), "{host}: {settings:?}");
        assert_eq!(value(&settings, "user"), "observer", "{host}");
        assert_eq!(value(&settings, "identitiesonly"), "yes", "{host}");
        assert_eq!(value(&settings, "hostname"), resolved, "{host}");
        let calls = bench.calls();
        let call = format!("ensure --ca ca.example.com --host {resolved} --account observer");
        assert!(!calls.is_empty());
        for made in &calls {
            assert_eq!(made.to_ascii_lowercase(), call, "{host}");
        }
    }
    let settings = bench.resolve("", &["admin@db01.prod.example.com"]);
    assert_eq!(value(&settings, "user"), "admin");
    assert!(
        bench
            .calls()
            .iter()
            .all(|call| call.ends_with("--account admin"))
    );
}

#[test]
fn other_hosts_and_accounts_keep_what_the_person_wrote_whatever_fails() {
    let own = "Host *\n  IdentityFile ~/.ssh/mine\n";
    for works in [true, false] {
        let bench = Bench::new(&login(&["*.prod.example.com"], &["observer"]), works);
        for target in [
            "git@db01.prod.example.com",
            "github.com",
            "alice@prod.example.com",
            "db01.prod.example.com.evil.example",
        ] {
            let settings = bench.resolve(own, &[target]);
            assert!(!bench.has_ours(&settings), "{target}");
            assert_eq!(value(&settings, "identityfile"), "~/.ssh/mine", "{target}");
            assert_eq!(value(&settings, "identitiesonly"), "no", "{target}");
            assert_eq!(value(&settings, "certificatefile"), "", "{target}");
            assert_eq!(bench.calls(), Vec::<String>::new(), "{target}");
        }
        let settings = bench.resolve("", &["git@db01.prod.example.com"]);
        assert_eq!(value(&settings, "user"), "git");
        let typed = bench.resolve("Host *.prod.example.com\n  User alice\n", &[OURS]);
        assert_eq!(value(&typed, "user"), "alice");
    }
}

#[test]
fn an_ensure_that_fails_leaves_the_persons_own_keys() {
    let bench = Bench::new(&login(&["*.prod.example.com"], &["observer"]), false);
    let settings = bench.resolve("Host *\n  IdentityFile ~/.ssh/mine\n", &[OURS]);
    assert!(!bench.has_ours(&settings));
    assert_eq!(value(&settings, "identityfile"), "~/.ssh/mine");
    assert_eq!(value(&settings, "certificatefile"), "");
}

#[test]
fn the_usual_account_is_one_that_the_person_may_have() {
    let bench = Bench::new(
        &login(&["*.prod.example.com"], &["-admin", "observer"]),
        true,
    );
    assert_eq!(value(&bench.resolve("", &[OURS]), "user"), "observer");
    // A refused account still asks `ensure`, which says what would help.
    bench.calls();
    bench.resolve("", &["admin@db01.prod.example.com"]);
    assert_eq!(bench.calls().len(), 1);
}

#[test]
fn names_that_a_ca_chose_to_inject_something_are_left_out() {
    let evil = [
        "x\n    ProxyCommand sh -c id",
        "a;b.example.com",
        "$(id).example.com",
        "a\0b",
        "a\"b",
        "a b",
        "a,b",
        "*",
        "*.*",
        "-x",
        "",
        "`id`",
        "%h",
        "a'b",
    ];
    let mut hosts = evil.to_vec();
    hosts.push("*.prod.example.com");
    let accounts = [
        "observer",
        "ro ot",
        "a\nUser root",
        "$(id)",
        "%r",
        "a,b",
        "a\"",
        "*",
        "",
        "!x",
    ];
    let login = login(&hosts, &accounts);
    let folder = tempfile::tempdir().unwrap();
    let files = Home::at(folder.path()).ca("ca").unwrap();
    let Rendered {
        include: text,
        left_out,
        ..
    } = plainly("/usr/bin/jit-ssh", &files, &login).unwrap();
    // Each is told once, also one that is among the hosts and the accounts.
    let mut told = left_out.0.clone();
    let mut expected = [&evil[..], &accounts[1..]].concat();
    expected.sort_unstable();
    expected.dedup();
    told.sort_unstable();
    assert_eq!(told, expected);
    assert!(text.contains("Match final host \"*.prod.example.com\"\n    User observer"));
    assert!(text.contains("\" user \"observer\" exec"));
    assert!(!text.contains("ProxyCommand") && !text.contains("$("));
    let bench = Bench::new(&login, true);
    assert!(bench.has_ours(&bench.resolve("", &[OURS])));
    assert_eq!(
        value(&bench.resolve("", &["other.example.org"]), "proxycommand"),
        ""
    );
}

#[test]
fn a_pattern_that_would_take_nearly_every_host_is_left_out() {
    // A49, A50: `User` and the certificate would hold for hosts that are not the CA's.
    for wide in [
        "*",
        "?",
        "*.*",
        "*.com",
        "*.co?",
        "*a*",
        "a*",
        "*a",
        "*.",
        "*..",
        "*.com.",
        ".*",
        "*.a*",
        "??*",
        "*e",
        "*.*.com",
        "github.*",
        "*.example.*",
        "www.example.c*",
        "*..com",
        "*:*",
        "10.*",
        "1*",
        "*.1",
        "*.1.2",
        "1.2*.com",
        "10.1.*.com",
        "fe80:*",
        "::*",
        "fd00::*",
        "*::1",
    ] {
        assert!(!is_host_pattern(wide), "{wide}");
    }
    for own in [
        "db01",
        "db01.prod.example.com",
        "10.1.2.3",
        "2001:db8::1",
        "*.prod.example.com",
        "*.corp.example",
        "db-*.example.com",
        "db0?.prod.example.com",
        "*.*.example.com",
        "10.1.*",
        "192.168.1?.*",
        "2001:db8:*",
        "!*.lab.example.com",
        "!*.com",
    ] {
        assert!(is_host_pattern(own), "{own}");
    }
    let bench = Bench::new(
        &login(&["*.com", "*", "*a*", "*.prod.example.com"], &["observer"]),
        true,
    );
    for foreign in ["example.com", "a.com", "abc"] {
        let settings = bench.resolve("", &[foreign]);
        assert!(!bench.has_ours(&settings), "{foreign}");
        assert_ne!(value(&settings, "user"), "observer", "{foreign}");
    }
    assert!(bench.has_ours(&bench.resolve("", &[OURS])));
}

#[test]
fn paths_that_ssh_would_read_otherwise_are_refused() {
    let login = login(&["*.prod.example.com"], &["observer"]);
    let folder = tempfile::tempdir().unwrap();
    let files = Home::at(folder.path()).ca("ca").unwrap();
    for program in ["jit-ssh", "/a\"b", "/a\nb", "/a'b", "/a`b", "/a\\b"] {
        assert!(plainly(program, &files, &login).is_err(), "{program:?}");
    }
    for include in ["/a*/b", "/a?b", "/a[b", "/a\"b", "relative"] {
        assert!(include_line(Path::new(include)).is_err(), "{include:?}");
    }
}

#[test]
fn the_program_is_read_back_from_the_include() {
    let login = login(&["*.prod.example.com"], &["observer"]);
    let folder = tempfile::tempdir().unwrap();
    let files = Home::at(folder.path()).ca("ca").unwrap();
    for program in ["/usr/bin/jit-ssh", "/opt/100% mine/jit ssh", "/a+b/c:d"] {
        let text = plainly(program, &files, &login).unwrap().include;
        assert_eq!(programs(&text), [Path::new(program)]);
    }
    assert!(programs("Match exec \"true\"\n# exec ensure --ca\n").is_empty());
}

#[test]
fn the_include_comes_first_once_and_goes_without_a_trace() {
    let line = include_line(Path::new("/home/a b/jit/ssh_config")).unwrap();
    for own in [
        "",
        "Host x\n  User y\n",
        "# comment\n\nHost x\r\n",
        "Host x",
    ] {
        let with = with_include(own, &line);
        assert!(has_include(&with, &line));
        assert_eq!(with_include(&with, &line), with);
        assert_eq!(without_include(&with, &line), own);
    }
    // A line of before is the same line, and no second one comes beside it.
    let plain = include_line(Path::new("/home/a/jit/ssh_config")).unwrap();
    assert_eq!(plain, "Include /home/a/jit/ssh_config");
    let quoted = "Include \"/home/a/jit/ssh_config\"\nHost x\n";
    assert!(has_include(quoted, &plain));
    assert_eq!(with_include(quoted, &plain), format!("{plain}\nHost x\n"));
    let below = format!("Host x\n  User y\n{line}\n");
    assert!(
        !has_include(&below, &line),
        "below a Host it only counts there"
    );
    assert!(has_include(&with_include(&below, &line), &line));
}

#[test]
fn a_diff_shows_what_changes_and_nothing_else() {
    assert_eq!(diff("a\nb\nc\n", "a\nx\nc\n"), "- b\n+ x\n");
    assert_eq!(diff("a\n", "new\na\n"), "+ new\n");
    assert_eq!(diff("a\n", "a\n"), "");
    assert_eq!(diff("a\na\n", "a\n"), "- a\n");
}

/// OpenSSH before 9.6 takes such names from the command line, and each version by `HostName`.
#[test]
fn a49_a_host_name_of_shell_words_runs_nothing() {
    let bench = Bench::new(&login(&["*.prod.example.com"], &["observer"]), true);
    // In the folder that ssh runs in: ssh makes capitals small, and a blank ends the word.
    let made = bench.folder.path().join("made");
    for name in [
        "x$(>made).prod.example.com",
        "x`>made`.prod.example.com",
        "x;>made;.prod.example.com",
        "x|>made;.prod.example.com",
        "x&>made;.prod.example.com",
        "x\\';>made;\\'.prod.example.com",
        "\"x';>made;'.prod.example.com\"",
    ] {
        let own = format!("Host target\n    HostName {name}\n    User observer\n");
        bench.try_to_resolve(&own, &["target"]);
        assert!(!made.exists(), "{name}");
    }
    // The control: a name like any other is asked about.
    bench.calls();
    bench.resolve(
        "Host target\n    HostName db.prod.example.com\n",
        &["observer@target"],
    );
    assert!(!bench.calls().is_empty());
}

/// Enrolled hosts that all admit one role for one account.
fn fleet(names: &[&str], account: &str) -> Fleet {
    let (fleet, left_out) = Fleet::of(&reachable(names, &[("ops", account)]), 1);
    assert_eq!(left_out, LeftOut::default());
    fleet
}

/// What the person calls hosts, as ssh says.
fn aliases(bench: &Bench, own: &str) -> Aliases {
    let config = bench.folder.path().join("own");
    crate::state::write(&config, own.as_bytes()).unwrap();
    let resolve = |name: &str| {
        let settings = bench.resolve(own, &[name]);
        Some(value(&settings, "hostname").to_owned())
    };
    Aliases::find(&config, &bench.folder.path().join("include"), None, resolve)
}

impl Bench {
    /// Nothing but this CA's certificates tells who the host is.
    fn is_strict(&self, settings: &[(String, String)]) -> bool {
        let ours = self.files.known_hosts().display().to_string();
        let strict = value(settings, "stricthostkeychecking") == "true";
        let known = value(settings, "userknownhostsfile") == ours;
        assert_eq!(strict, known, "half of it: {settings:?}");
        if strict {
            assert_eq!(value(settings, "globalknownhostsfile"), "/dev/null");
            assert_eq!(value(settings, "updatehostkeys"), "false");
            assert_eq!(value(settings, "verifyhostkeydns"), "false");
        }
        strict
    }
}

#[test]
fn a50_an_enrolled_host_is_believed_by_its_certificate_alone_whatever_the_person_wrote() {
    let login = login(&["*.prod.example.com"], &["observer"]);
    let weak = "Host *\n  StrictHostKeyChecking accept-new\n  UserKnownHostsFile ~/.ssh/mine\n  \
                GlobalKnownHostsFile /etc/mine\n  UpdateHostKeys yes\n  VerifyHostKeyDNS yes\n";
    let alias = format!("Host db\n  HostName {OURS}\n{weak}");
    let fleet = fleet(&[OURS, "10.1.2.3", "db02.elsewhere.example"], "observer");
    for works in [true, false] {
        let bench = Bench::new(&login, works);
        let found = aliases(&bench, &alias);
        let bench = Bench::with_fleet(&login, works, &fleet, &found);
        for (own, host) in [
            ("", OURS),
            (weak, OURS),
            (weak, "DB01.Prod.example.com"),
            (weak, "git@db01.prod.example.com"),
            (weak, "10.1.2.3"),
            (weak, "db02.elsewhere.example"),
            (&alias, "db"),
            // Not known yet as an alias, and not weakened.
            ("Host new\n  HostName db01.prod.example.com\n", "new"),
        ] {
            let settings = bench.resolve(own, &[host]);
            assert!(bench.is_strict(&settings), "{host}: {settings:?}");
            let ours = works && !host.starts_with("git@");
            assert_eq!(bench.has_ours(&settings), ours, "{host}");
        }
        // Hosts that are not enrolled are the person's own matter, under the CA's patterns too.
        for (own, host, strict) in [
            (weak, "db09.prod.example.com", "accept-new"),
            ("", "github.com", "ask"),
            (weak, "xdb01.prod.example.com", "accept-new"),
        ] {
            let settings = bench.resolve(own, &[host]);
            assert!(!bench.is_strict(&settings), "{host}");
            assert_eq!(value(&settings, "stricthostkeychecking"), strict, "{host}");
        }
    }
}

#[test]
fn a_name_that_the_person_sends_to_an_address_must_still_be_that_host() {
    let login = login(&["*.prod.example.com"], &["observer"]);
    let own = format!("Host {OURS} other\n  HostName 192.0.2.7\n");
    let found = aliases(&Bench::new(&login, true), &own);
    let bench = Bench::with_fleet(&login, true, &fleet(&[OURS], "observer"), &found);
    let settings = bench.resolve(&own, &[OURS]);
    assert!(bench.is_strict(&settings));
    assert_eq!(value(&settings, "hostkeyalias"), OURS);
    let settings = bench.resolve(&own, &["other"]);
    assert!(!bench.is_strict(&settings));
    assert_eq!(value(&settings, "hostkeyalias"), "");
}

#[test]
fn each_enrolled_host_has_the_account_that_opens_it() {
    let login = login(&["*.prod.example.com"], &["observer", "deploy"]);
    let (mut all, _) = Fleet::of(
        &reachable(&["web01.prod.example.com"], &[("x", "deploy")]),
        1,
    );
    all.hosts.extend(fleet(&[OURS], "observer").hosts);
    all.hosts.extend(
        Fleet::of(&reachable(&["closed.prod.example.com"], &[]), 1)
            .0
            .hosts,
    );
    let bench = Bench::with_fleet(&login, true, &all, &Aliases::default());
    for (host, account) in [
        ("web01.prod.example.com", "deploy"),
        (OURS, "observer"),
        ("not-enrolled.prod.example.com", "observer"),
    ] {
        let settings = bench.resolve("", &[host]);
        assert_eq!(value(&settings, "user"), account, "{host}");
        assert!(bench.has_ours(&settings), "{host}");
        let typed = bench.resolve("", &["-l", "me", host]);
        assert_eq!(value(&typed, "user"), "me", "{host}");
    }
    // A host of the CA that admits nothing for this person still is who its certificate says.
    assert!(bench.is_strict(&bench.resolve("", &["closed.prod.example.com"])));
}

#[test]
fn five_thousand_hosts_work_and_are_found_at_once() {
    let names: Vec<String> = (0..5000)
        .map(|n| format!("web-{n:05}.prod.eu-west-1.example.com"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let login = login(&["*.prod.example.com"], &["observer"]);
    let fleet = fleet(&names, "observer");
    let bench = Bench::with_fleet(&login, true, &fleet, &Aliases::default());
    let include = std::fs::read_to_string(bench.folder.path().join("include")).unwrap();
    assert!(include.lines().all(|line| line.len() < 4096));
    let mut slowest = std::time::Duration::ZERO;
    for host in [names[0], names[2500], names[4999]] {
        let started = std::time::Instant::now();
        let settings = bench.resolve("", &[host]);
        slowest = slowest.max(started.elapsed());
        assert!(
            bench.is_strict(&settings) && bench.has_ours(&settings),
            "{host}"
        );
    }
    let started = std::time::Instant::now();
    assert!(!bench.is_strict(&bench.resolve("", &["github.com"])));
    println!(
        "ssh -G with 5,000 hosts: {slowest:?}; elsewhere: {:?}",
        started.elapsed()
    );
    let text = fleet.to_text();
    let started = std::time::Instant::now();
    assert!(crate::fleet::roles_in(&text, names[4999]).is_some());
    println!("roles of one of 5,000 hosts: {:?}", started.elapsed());
}

#[test]
fn a50_one_ca_never_speaks_for_the_hosts_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path());
    // By age, not by name.
    let (first, second) = (
        home.ca("z.example.com").unwrap(),
        home.ca("a.example.com").unwrap(),
    );
    let plain = login(
        &["*.prod.example.com", "!lab.prod.example.com"],
        &["observer"],
    )
    .plain();
    let other = login(&["*.other.example.com"], &["observer"]).plain();
    let theirs = fleet(&[OURS, "shared.example.org"], "observer");
    let claims = [
        OURS,
        "new.prod.example.com",
        "shared.example.org",
        "web01.other.example.com",
        "lab.prod.example.com",
    ];
    let claims = fleet(&claims, "observer");
    let keys = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN5ZZgc01i1RM9ZhSRgD5C6G6EwJFbY4ctETh5zKY5Qd"
            .to_owned(),
    ];
    let part = |files, plain, fleet| Part {
        files,
        plain,
        fleet,
        host_ca: &keys,
    };
    let parts = [
        part(&first, &plain, &theirs),
        part(&second, &other, &claims),
    ];
    let rendered = render(Path::new("/usr/bin/jit-ssh"), &parts, &Aliases::default()).unwrap();
    let told: Vec<&str> = rendered
        .claimed
        .iter()
        .map(|told| told.name.as_str())
        .collect();
    assert_eq!(told, [OURS, "new.prod.example.com", "shared.example.org"]);
    assert!(
        rendered
            .claimed
            .iter()
            .all(|told| told.owner == "z.example.com")
    );
    assert!(
        rendered
            .claimed
            .iter()
            .all(|told| told.by == "a.example.com")
    );
    let known = |at: usize| rendered.known_hosts[at].1.lines().last().unwrap();
    assert_eq!(
        known(0),
        format!("@cert-authority {OURS},shared.example.org {}", keys[0])
    );
    assert_eq!(
        known(1),
        format!(
            "@cert-authority lab.prod.example.com,web01.other.example.com {}",
            keys[0]
        )
    );
    let include = folder.path().join("include");
    crate::state::write(&include, rendered.include.as_bytes()).unwrap();
    for (host, owner) in [
        (OURS, Some(&first)),
        ("shared.example.org", Some(&first)),
        ("web01.other.example.com", Some(&second)),
        ("lab.prod.example.com", Some(&second)),
        ("new.prod.example.com", None),
    ] {
        let asked = Command::new("ssh")
            .arg("-G")
            .arg("-F")
            .arg(&include)
            .arg(host)
            .output();
        let said = String::from_utf8(asked.unwrap().stdout).unwrap();
        for files in [&first, &second] {
            let believed = said.contains(&format!(
                "userknownhostsfile {}\n",
                files.known_hosts().display()
            ));
            assert_eq!(
                believed,
                owner.is_some_and(|owner| owner.name == files.name),
                "{host}"
            );
        }
    }
}

/// What bash-completion, zsh and fish read of an include: `Host` lines, names between blanks.
#[test]
fn shells_find_the_names_to_complete() {
    let login = login(&["*.prod.example.com"], &["observer"]);
    let bench = Bench::with_fleet(
        &login,
        true,
        &fleet(&[OURS, "web01.prod.example.com"], "observer"),
        &Aliases::default(),
    );
    let include = std::fs::read_to_string(bench.folder.path().join("include")).unwrap();
    let hosts: Vec<&str> = include
        .lines()
        .filter_map(|line| line.strip_prefix("Host "))
        .flat_map(str::split_whitespace)
        .collect();
    assert_eq!(hosts, [OURS, "web01.prod.example.com"]);
}

#[test]
fn patterns_fit_as_ssh_says() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "example.com", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*a*b*", "xxaxbxbx", true),
        ("*a*b*", "xxbxa", false),
        ("a*", "b", false),
        ("", "a", false),
        ("abc", "abc", true),
    ] {
        assert_eq!(
            fits(text.as_bytes(), pattern.as_bytes()),
            expected,
            "{pattern} {text}"
        );
    }
    let list = |patterns: &[&str]| patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>();
    assert!(fits_list(
        "a.example.com",
        &list(&["*.Example.com", "!b.*"])
    ));
    assert!(!fits_list(
        "b.example.com",
        &list(&["*.example.com", "!b.*"])
    ));
}
