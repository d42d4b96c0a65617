//! Ansible, which knows nothing of us: it starts plain `ssh`, many at once.

use jit_ssh_tests::process::installed;

use crate::scene;
use crate::scene::{DB, Scene, WEB};

#[test]
fn ansible_reaches_all_hosts_through_the_include() {
    if !installed("ansible") {
        jit_ssh_tests::skip!("ansible is not installed");
    }
    let scene = scene!(Scene::new(&[WEB, DB]));
    let laptop = scene.signed_in("alice");
    let inventory = format!("[fleet]\n{WEB}\n{DB}\n");
    let inventory = scene.lab.dir.file("inventory", &inventory);
    let ansible = |account: &str, module: &[&str]| {
        let run = laptop.run("ansible").arg("fleet").arg("-i");
        run.arg(&inventory)
            .args(["--one-line", "--user", account])
            .args(module)
            .env("ANSIBLE_SSH_ARGS", "-o BatchMode=yes")
            .env("ANSIBLE_NOCOLOR", "1")
            .go()
    };
    let said = ansible("observer", &["-m", "ping"]).ok();
    assert_eq!(said.stdout.matches("\"pong\"").count(), 2, "{said}");
    let said = ansible("observer", &["-m", "command", "-a", "id -un"]).ok();
    assert_eq!(
        said.stdout.matches("(stdout) observer").count(),
        2,
        "{said}"
    );
    // An account that no role of hers opens: Ansible's own word for it.
    let said = ansible("admin", &["-m", "ping"]).failed_with(4);
    assert_eq!(said.stdout.matches("UNREACHABLE").count(), 2, "{said}");
    // All hosts, and all modules, with one sign-in.
    assert_eq!(scene.lab.ca.records_of("login-opened").len(), 1);
}
