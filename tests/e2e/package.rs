//! `scripts/package`: packages that dpkg takes, with programs that run from where it puts them.

use std::fs;

use jit_ssh_tests::dir::Dir;
use jit_ssh_tests::process::{Run, asset, installed};

#[test]
fn the_packages_install_and_their_programs_run() {
    if !installed("dpkg-deb") {
        jit_ssh_tests::skip!("dpkg is not installed");
    }
    let dir = Dir::new();
    let out = dir.folder("packages");
    // The programs of this very build: a release build would take minutes and show the same.
    let own = std::env::current_exe().unwrap();
    let target = own
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    let made = Run::new(asset("../scripts/package"))
        .args(["--profile", "dev", "--out"])
        .arg(&out)
        .env("CARGO_TARGET_DIR", &target)
        .within(std::time::Duration::from_secs(300))
        .go()
        .ok();
    let root = dir.folder("root");
    let database = dir.folder("root/var/lib/dpkg");
    for name in ["updates", "info"] {
        fs::create_dir_all(database.join(name)).unwrap();
    }
    fs::write(database.join("status"), "").unwrap();
    fs::write(database.join("available"), "").unwrap();
    assert!(
        made.stderr.contains("linked with this machine's glibc"),
        "{made}"
    );
    let packages: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(packages.len(), 3, "{packages:?}");
    for package in &packages {
        let needs = Run::new("dpkg-deb").arg("-f").arg(package).arg("Depends");
        let needs = needs.go().ok();
        assert!(needs.text().starts_with("libc6 (>= 2."), "{needs}");
    }
    Run::new("dpkg")
        .arg(format!("--root={}", root.display()))
        .args([
            "--force-not-root",
            "--force-depends",
            "--force-bad-path",
            "--install",
        ])
        .args(&packages)
        .within(std::time::Duration::from_secs(60))
        .go()
        .ok();
    for name in ["jit-ssh-ca", "jit-ssh", "jit-ssh-host"] {
        let said = Run::new(root.join("usr/bin").join(name))
            .arg("--version")
            .go()
            .ok();
        assert!(said.stdout.starts_with(&format!("{name} ")), "{said}");
        for file in [
            format!("bash-completion/completions/{name}"),
            format!("zsh/vendor-completions/_{name}"),
            format!("fish/vendor_completions.d/{name}.fish"),
            format!("doc/{name}/copyright"),
        ] {
            assert!(root.join("usr/share").join(&file).exists(), "{file}");
        }
    }
    let mut pages = Vec::new();
    for page in fs::read_dir(asset("../docs/man")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let installed = root.join(format!("usr/share/man/man1/{name}.gz"));
        assert!(installed.exists(), "{name} is in no package");
        pages.push(name);
    }
    assert!(pages.len() > 3, "{pages:?}");
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/jit-ssh-ca.service")).unwrap();
    assert!(
        unit.contains("ExecStart=/usr/bin/jit-ssh-ca serve"),
        "{unit}"
    );
    // Nothing runs at an install, so nothing is started, and nothing is left by a purge.
    for entry in fs::read_dir(database.join("info")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let script = ["inst", "rm", ".config"]
            .iter()
            .any(|end| name.ends_with(end));
        assert!(!script, "{name} would run as root");
    }
    Run::new("dpkg")
        .arg(format!("--root={}", root.display()))
        .args(["--force-not-root", "--force-bad-path", "--purge"])
        .args(["jit-ssh-ca", "jit-ssh", "jit-ssh-host"])
        .go()
        .ok();
    let left: Vec<_> = ["usr", "etc", "var/lib/jit-ssh-ca"]
        .iter()
        .map(|folder| root.join(folder))
        .filter(|folder| folder.exists())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
