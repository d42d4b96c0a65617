//! Plain `ssh` and what stands on it: nothing but the include tells them of us.

use std::fs;

use jit_ssh_tests::ca;
use jit_ssh_tests::client::Laptop;
use jit_ssh_tests::clock;
use jit_ssh_tests::keygen;
use jit_ssh_tests::lab::Lab;
use jit_ssh_tests::process::{Run, installed, program};

use crate::scene;
use crate::scene::{BASTION, DB, Scene, WEB};

#[test]
fn scp_sftp_and_rsync_go_through() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    let file = laptop.home().join("file");
    fs::write(&file, "canary").unwrap();
    let there = |name: &str| scene.world.home_of("observer").join(name);
    let batch = ["-o", "BatchMode=yes"];
    laptop
        .run("scp")
        .args(batch)
        .arg(&file)
        .arg(format!("observer@{WEB}:by-scp"))
        .go()
        .ok();
    laptop
        .run("scp")
        .args(batch)
        .arg("-O")
        .arg(&file)
        .arg(format!("observer@{WEB}:by-old-scp"))
        .go()
        .ok();
    laptop
        .run("sftp")
        .args(batch)
        .args(["-b", "-", &format!("observer@{WEB}")])
        .input(format!("put {} by-sftp\n", file.display()))
        .go()
        .ok();
    for name in ["by-scp", "by-old-scp", "by-sftp"] {
        assert_eq!(fs::read_to_string(there(name)).unwrap(), "canary", "{name}");
    }
    if !installed("rsync") {
        jit_ssh_tests::skip!("rsync is not installed");
    }
    laptop
        .run("rsync")
        .arg("-a")
        .arg(&file)
        .arg(format!("observer@{WEB}:by-rsync"))
        .go()
        .ok();
    assert_eq!(fs::read_to_string(there("by-rsync")).unwrap(), "canary");
}

#[test]
fn git_clones_and_pushes() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    laptop
        .ssh(&[
            &format!("observer@{WEB}"),
            "git -c init.defaultBranch=main init -q --bare repo.git",
        ])
        .ok();
    let script = format!(
        "set -e; cd \"$HOME\"; git clone -q observer@{WEB}:repo.git work; cd work; \
         git -c user.name=t -c user.email=t@example.com commit -q --allow-empty -m first; \
         git push -q origin HEAD:main; git ls-remote origin"
    );
    let said = laptop.run("sh").args(["-c", &script]).go().ok();
    assert!(said.stdout.contains("refs/heads/main"), "{said}");
}

#[test]
fn a_server_behind_a_bastion_is_reached_with_a_role_for_each_hop() {
    let scene = scene!(Scene::new(&[BASTION, DB]));
    let laptop = scene.signed_in("alice");
    let who = laptop
        .ssh(&[
            "-J",
            &format!("deploy@{BASTION}"),
            &format!("observer@{DB}"),
            "id -un",
        ])
        .ok();
    assert_eq!(who.text(), "observer");
    assert!(scene.server(BASTION).log().contains("role=jump"));
    assert!(scene.server(DB).log().contains("role=production-observer"));
    // A role without the extension cannot be jumped through.
    laptop
        .ssh(&[
            "-J",
            &format!("observer@{BASTION}"),
            &format!("observer@{DB}"),
            "true",
        ])
        .failed();
}

#[test]
fn aliases_addresses_short_names_and_the_default_account_get_there() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    let config = laptop.home().join(".ssh/config");
    let mut text = fs::read_to_string(&config).unwrap();
    text += &format!(
        "Host web\n    HostName {WEB}\n    Port {}\n\
         Host web01\n    CanonicalizeHostname yes\n    CanonicalDomains prod.example.com\n",
        scene.server(WEB).port
    );
    fs::write(&config, text).unwrap();
    let address = scene.server(WEB).address.to_string();
    // Nobody names an account: it is the first of the first role.
    for name in [WEB, "web", "web01", &address] {
        let who = laptop.ssh(&[name, "id -un"]).ok();
        assert_eq!(who.text(), "observer", "{name}");
        laptop.ssh(&[&format!("observer@{name}"), "true"]).ok();
    }
}

#[test]
fn tools_that_read_no_match_use_the_stable_paths() {
    let scene = scene!(Scene::new(&[WEB]));
    let agent = jit_ssh_tests::agent::Agent::start(&scene.lab.dir);
    let port = scene.server(WEB).port.to_string();
    for in_agent in [false, true] {
        let mut laptop = scene.laptop("alice");
        if in_agent {
            laptop = laptop.with_agent(agent.socket());
            scene.sign_in(&laptop, &[]).ok();
        } else {
            scene.sign_in(&laptop, &["--no-agent"]).ok();
        }
        let state = laptop.home().join(".local/state/jit-ssh/ca.test");
        assert_ne!(state.join("key").exists(), in_agent);
        laptop
            .jit(&["ensure", "--host", WEB, "--account", "observer"])
            .go()
            .ok();
        let said = laptop
            .run("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-p", &port, "-i"])
            .arg(state.join("key"))
            .arg("-o")
            .arg(format!(
                "CertificateFile={}",
                state.join("key-cert.pub").display()
            ))
            .args([&format!("observer@{WEB}"), "id -un"])
            .go();
        assert_eq!(said.ok().text(), "observer", "in the agent: {in_agent}");
    }
}

#[test]
fn what_would_be_written_is_shown_and_nothing_is_touched() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.laptop("alice");
    scene.sign_in(&laptop, &[]).ok();
    let everything = || {
        let mut files: Vec<_> = scene::below(laptop.home())
            .into_iter()
            .filter(|path| !path.ends_with("lock"))
            .map(|path| (fs::read(&path).unwrap(), path))
            .collect();
        files.sort();
        files
    };
    let before = everything();
    let printed = laptop.jit(&["ssh-config", "--print"]).go().ok();
    let shown = laptop.jit(&["ssh-config", "--dry-run"]).go().ok();
    let json = laptop
        .jit(&["ssh-config", "--dry-run", "--json"])
        .go()
        .ok()
        .json();
    assert_eq!(everything(), before);
    assert_eq!(json["changed"], true, "{json}");
    let include = laptop.home().join(".config/jit-ssh/ssh_config");
    let line = format!("+ Include {}", include.display());
    assert!(shown.stdout.contains(&line), "{shown}");
    // What was shown is what comes.
    laptop.jit(&["ssh-config"]).go().ok();
    assert_eq!(fs::read_to_string(&include).unwrap(), printed.stdout);
    let installed = everything();
    let removal = laptop.jit(&["ssh-config", "--remove", "--dry-run"]).go();
    assert!(removal.ok().stdout.contains("- Include"));
    assert_eq!(everything(), installed);
    laptop.jit(&["ssh-config", "--remove"]).go().ok();
    assert_eq!(everything(), before);
}

#[test]
fn a_configuration_longer_than_we_read_is_left_alone() {
    use std::io::Write as _;
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.laptop("alice");
    scene.sign_in(&laptop, &[]).ok();
    let config = laptop.home().join(".ssh/config");
    // The restrictions of the person stand last.
    let last = "\nHost *\n    ForwardAgent no\n";
    let long = "# one of many hosts\n".repeat((1 << 20) / 20 + 1) + last;
    assert!(long.len() > 1 << 20);
    fs::write(&config, &long).unwrap();
    laptop.jit(&["ssh-config"]).go().ok();
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.starts_with("Include ") && text.ends_with(&long));
    laptop.jit(&["ssh-config", "--remove"]).go().ok();
    assert!(fs::read_to_string(&config).unwrap() == long);

    let include = laptop.home().join(".config/jit-ssh/ssh_config");
    let mut file = fs::File::create(&config).unwrap();
    file.write_all(b"#").unwrap();
    file.set_len(64 << 20).unwrap();
    drop(file);
    let mut file = fs::File::options().append(true).open(&config).unwrap();
    file.write_all(last.as_bytes()).unwrap();
    let before = fs::read(&config).unwrap();
    for arguments in [&["ssh-config"][..], &["ssh-config", "--remove"]] {
        let said = laptop.jit(arguments).go().failed_with(1);
        assert!(
            said.stderr.contains(".ssh/config has more than"),
            "{arguments:?}: {said}"
        );
        assert!(fs::read(&config).unwrap() == before, "{arguments:?}");
        assert!(!include.exists(), "{arguments:?}");
    }
}

#[test]
fn of_two_shells_that_write_the_include_none_puts_back_what_is_older() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = scene!(Scene::new(&[]));
    let laptop = scene.signed_in("alice");
    laptop.jit(&["logout"]).go().ok();
    let hosts = laptop.home().join(".config/jit-ssh/cas/ca.test/hosts.json");
    let rename = |old: &str, new: &str| {
        let text = fs::read_to_string(&hosts).unwrap();
        assert!(text.contains(old));
        fs::write(&hosts, text.replace(old, new)).unwrap();
    };
    // The first shell is held where it asks ssh whether the file can be read.
    let dir = &scene.lab.dir;
    let (started, go) = (dir.join("started"), dir.join("go"));
    let programs = dir.join("programs");
    fs::create_dir(&programs).unwrap();
    let made = Run::new("mkfifo").arg(&go).go();
    made.ok();
    let held = format!(
        "#!/bin/sh\ntouch {}\nread _ < {}\n",
        started.display(),
        go.display()
    );
    fs::write(programs.join("ssh"), held).unwrap();
    fs::set_permissions(programs.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    rename("*.prod.example.com", "*.old.example.com");
    let mut first = laptop
        .jit(&["logout"])
        .env("PATH", format!("{}:{path}", programs.display()))
        .start("first", dir);
    clock::until("the first to ask ssh", || started.exists().then_some(()));
    rename("*.old.example.com", "*.new.example.com");
    let mut second = laptop.jit(&["ssh-config"]).start("second", dir);
    clock::until("the second to wait, or to be done", || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let pid = format!(" {} ", second.pid());
        let waits = |line: &str| line.contains("->") && line.contains(&pid);
        (locks.lines().any(waits) || !second.runs()).then_some(())
    });
    fs::write(&go, "\n").unwrap();
    assert_eq!(first.wait(), 0, "{}", first.log());
    assert_eq!(second.wait(), 0, "{}", second.log());
    let include = fs::read_to_string(laptop.home().join(".config/jit-ssh/ssh_config")).unwrap();
    assert!(include.contains("*.new.example.com"), "{include}");
}

#[test]
fn a_policy_of_thousands_of_roles_does_not_break_the_client() {
    let many: String = (0..3000)
        .map(|number| {
            format!(
                "[roles.team-{number}]\ndescription = \"{}\"\naccounts = [\"deploy\"]\n\
                 max_validity = \"5m\"\n\n",
                "The servers of one of the many teams ".repeat(4)
            )
        })
        .collect();
    let policy = ca::POLICY.replace(
        "[[grants]]\ngroups = [\"Ops\"]",
        &format!("{many}[[grants]]\ngroups = [\"Ops\"]"),
    );
    let scene = scene!(Scene::with(
        Lab::builder().policy(&policy),
        &[WEB],
        |plan| plan
    ));
    let laptop = scene.signed_in("alice");
    let login = laptop
        .home()
        .join(".local/state/jit-ssh/ca.test/login.json");
    assert!(fs::metadata(login).unwrap().len() > 1 << 20);
    for arguments in [
        &["status"][..],
        &["roles"],
        &["ensure", "--host", WEB, "--account", "observer"],
    ] {
        laptop.jit(arguments).go().ok();
    }
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    scene.sign_in(&laptop, &[]).ok();
}

#[test]
fn a_login_that_is_refused_its_role_leaves_no_certificate_of_the_one_before() {
    let scene = scene!(Scene::new(&[]));
    for whole in [true, false] {
        let laptop = scene.signed_in("alice");
        assert!(!scene::certificates(&laptop).is_empty());
        if !whole {
            // As the error for a damaged one says.
            let login = ".local/state/jit-ssh/ca.test/login.json";
            fs::remove_file(laptop.home().join(login)).unwrap();
        }
        let refused = scene.sign_in(&laptop, &["--role", "production-admin"]);
        refused.failed_with(3);
        let left = scene::certificates(&laptop);
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_master_connection_serves_many() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    let socket = laptop.home().join("mux");
    let master = format!("ControlPath={}", socket.display());
    let to = format!("observer@{WEB}");
    laptop
        .run("ssh")
        .args([
            "-o",
            "BatchMode=yes",
            "-o",
            &master,
            "-o",
            "ControlMaster=yes",
            "-fN",
            &to,
        ])
        .go()
        .ok();
    for _ in 0..3 {
        laptop.ssh(&["-o", &master, &to, "true"]).ok();
    }
    laptop
        .run("ssh")
        .args(["-o", &master, "-O", "exit", &to])
        .go()
        .ok();
    let accepted = scene
        .server(WEB)
        .log()
        .matches("Accepted publickey")
        .count();
    assert_eq!(accepted, 1);
}

#[test]
fn ssh_g_is_quiet_and_names_our_key() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    let said = laptop
        .run("ssh")
        .args(["-G", &format!("observer@{WEB}")])
        .go()
        .ok();
    assert!(!said.stderr.contains("jit-ssh"), "{said}");
    let said = said.stdout.to_lowercase();
    assert!(said.contains("certificatefile"), "{said}");
}

#[test]
fn other_hosts_and_accounts_keep_the_persons_own_settings_whatever_fails() {
    let mut scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.laptop("alice");
    let home = laptop.home().to_owned();
    let config = home.join(".ssh/config");
    let own = fs::read_to_string(&config).unwrap()
        + "Host *.example.net\n    User me\nHost *\n    IdentityFile ~/.ssh/mine\n";
    fs::write(&config, &own).unwrap();
    let git = format!("git@{WEB}");
    let settings = |laptop: &Laptop<'_>, name: &str| {
        let said = laptop.run("ssh").args(["-G", name]).go().ok();
        assert!(!said.stderr.contains("jit-ssh"), "{said}");
        said.stdout
    };
    let foreign = ["elsewhere.example.net", &git];
    let before = foreign.map(|name| settings(&laptop, name));
    let same = |laptop: &Laptop<'_>, what: &str| {
        eprintln!("{what}");
        for (name, before) in foreign.iter().zip(&before) {
            scene::same_settings(before, &settings(laptop, name));
        }
    };
    // On our own host the person's own key is tried in any case, ours where there is one.
    let ours = |laptop: &Laptop<'_>| {
        let settings = settings(laptop, &format!("observer@{WEB}"));
        assert!(settings.contains("/mine"), "{settings}");
        settings.contains("certificatefile")
    };
    // A program of our own, which can go.
    let own_program = scene.lab.dir.join("jit-ssh");
    fs::copy(program("jit-ssh"), &own_program).unwrap();
    scene.sign_in(&laptop, &[]).ok();
    laptop.run(&own_program).arg("ssh-config").go().ok();
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.ends_with(&own), "the person's own lines stay: {text}");
    same(&laptop, "with the include");
    assert!(ours(&laptop));
    let login = home.join(".local/state/jit-ssh/ca.test/login.json");
    let whole = fs::read(&login).unwrap();
    fs::write(&login, "{").unwrap();
    same(&laptop, "with a damaged login");
    assert!(!ours(&laptop));
    fs::write(&login, whole).unwrap();
    assert!(ours(&laptop));
    for path in scene::certificates(&laptop) {
        fs::remove_file(path).unwrap();
    }
    scene.lab.ca.stop();
    let laptop = Laptop::again(&scene.world, "alice");
    same(&laptop, "with the CA down");
    assert!(!ours(&laptop));
    laptop.jit(&["logout"]).go().failed_with(5);
    same(&laptop, "after the logout");
    assert!(!ours(&laptop));
    fs::remove_file(&own_program).unwrap();
    same(&laptop, "with the program gone");
    assert!(!ours(&laptop));
    fs::remove_file(home.join(".config/jit-ssh/ssh_config")).unwrap();
    same(&laptop, "with the include missing");
    assert!(!ours(&laptop));
    laptop.jit(&["ssh-config", "--remove"]).go().ok();
    same(&laptop, "without the include");
    assert_eq!(fs::read_to_string(&config).unwrap(), own);
}

#[test]
fn without_a_login_and_without_a_terminal_the_command_to_type_is_said() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    laptop.jit(&["logout"]).go().ok();
    let said = laptop.ssh(&[&format!("observer@{WEB}"), "true"]).failed();
    assert!(said.stderr.contains("jit-ssh login"), "{said}");
}

#[test]
fn ports_agents_and_sockets_are_not_forwarded_by_a_role_that_lacks_them() {
    // A43, A48: the channels that pass by every shell.
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("alice");
    let agent = jit_ssh_tests::agent::Agent::start(&scene.lab.dir);
    let laptop = laptop.with_agent(agent.socket());
    let to = format!("observer@{WEB}");
    let port = jit_ssh_tests::port::free().to_string();
    let target = format!("127.0.0.1:{}", scene.lab.ca.address.port());
    laptop
        .ssh(&[
            "-o",
            "ExitOnForwardFailure=yes",
            "-R",
            &format!("{port}:{target}"),
            &to,
            "true",
        ])
        .failed();
    laptop
        .ssh(&[
            "-o",
            "ExitOnForwardFailure=yes",
            "-R",
            "/tmp/never.sock:/tmp/x.sock",
            &to,
            "true",
        ])
        .failed();
    laptop.ssh(&["-W", &target, &to]).failed();
    laptop
        .ssh(&["-w", "any", "-o", "ExitOnForwardFailure=yes", &to, "true"])
        .failed();
    let said = laptop
        .ssh(&[
            "-A",
            "-X",
            &to,
            "echo agent=$SSH_AUTH_SOCK display=$DISPLAY",
        ])
        .ok();
    assert_eq!(said.text(), "agent= display=");
    // A local forward is refused when it is used.
    assert_eq!(forwarded(&scene, &laptop, &to), "");
    // No ~/.ssh/rc of the account runs (A65).
    let rc = scene.world.home_of("observer").join(".ssh/rc");
    let mark = scene.world.home_of("observer").join("rc-ran");
    fs::write(&rc, format!("touch {}\n", mark.display())).unwrap();
    scene.world.give(&rc, "observer");
    laptop.ssh(&[&to, "true"]).ok();
    assert!(!mark.exists());
}

#[test]
fn a_role_with_the_extension_forwards_ports() {
    // The control of the test above.
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.signed_in("carol");
    let answer = forwarded(&scene, &laptop, &format!("carol@{WEB}"));
    assert!(answer.contains("200 OK"), "{answer}");
}

/// What the CA answers through a local forward; empty when the server forwards nothing.
fn forwarded(scene: &Scene, laptop: &jit_ssh_tests::client::Laptop<'_>, to: &str) -> String {
    let port = jit_ssh_tests::port::free();
    let forward = format!("{port}:127.0.0.1:{}", scene.lab.ca.address.port());
    let mut ssh = laptop
        .run("ssh")
        .args([
            "-o",
            "BatchMode=yes",
            "-o",
            "ExitOnForwardFailure=yes",
            "-N",
            "-L",
            &forward,
            to,
        ])
        .start("forward", &scene.lab.dir);
    clock::until("ssh to listen", || {
        assert!(ssh.runs(), "{}", ssh.log());
        jit_ssh_tests::port::answers(std::net::Ipv4Addr::LOCALHOST, port).then_some(())
    });
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = jit_ssh_tests::http::raw(([127, 0, 0, 1], port).into(), request);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_key_of_ones_own_is_certified_when_named() {
    let scene = scene!(Scene::new(&[WEB]));
    let laptop = scene.laptop("alice");
    let key = laptop.home().join(".ssh/mine");
    keygen::generate(&key, &["-t", "rsa", "-b", "3072"]);
    scene
        .sign_in(&laptop, &["--key", key.to_str().unwrap()])
        .ok();
    laptop.jit(&["ssh-config"]).go().ok();
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
    assert!(scene.server(WEB).log().contains("RSA-CERT"));
}

#[test]
fn two_cas_stand_side_by_side() {
    let scene = scene!(Scene::new(&[WEB]));
    let other = Lab::builder().name("other.test").start();
    let laptop = scene.signed_in("alice");
    let said = laptop
        .jit(&[
            "login",
            "--ca",
            &other.ca.url,
            "--fingerprint",
            &other.ca.fingerprint(),
        ])
        .go();
    assert_eq!(said.code, Some(0), "{said}");
    laptop.ssh(&[&format!("observer@{WEB}"), "true"]).ok();
}
