//! `jit-ssh-host print`: the files of `install` for whoever configures hosts by other means.

use std::fmt::Write as _;

use jit_ssh_connect::Pin;
use jit_ssh_terminal::{Failure, Terminal};
use serde::Serialize;

use super::{admissions, explain};
use crate::ca;
use crate::cli::{Format, Print};
use crate::host::DROP_IN;
use crate::trust::sshd_lines;
use crate::trust::{Admission, CaKeys};

#[derive(Serialize)]
struct Files {
    ca: String,
    fingerprint: String,
    files: Vec<File>,
}

#[derive(Serialize)]
struct File {
    path: String,
    mode: &'static str,
    content: String,
}

pub(super) fn run(options: &Print, terminal: &mut Terminal) -> Result<(), Failure> {
    let admissions = admissions(&options.accounts)?;
    let trusted = {
        let _spinner = terminal.spinner("asking the CA");
        let pin = Pin::Fingerprint(&options.ca.fingerprint);
        ca::fetch(&options.ca.ca, pin, options.ca.ca_file.as_deref())?
    };
    let keys = CaKeys::from_key_set(&trusted.keys).map_err(|error| explain(error.into()))?;
    let ca_keys = options.folder.join("user_ca.pub");
    let principals = options.folder.join("principals");
    let file = |path: std::path::PathBuf, content: String| File {
        path: path.display().to_string(),
        mode: "0644",
        content,
    };
    let text = keys
        .render(&trusted.keys.name)
        .map_err(|error| explain(error.into()))?;
    let mut files = vec![file(ca_keys.clone(), text)];
    for admission in &admissions {
        files.push(file(
            principals.join(admission.account.as_str()),
            admission.render(false),
        ));
    }
    let named = sshd_lines::Files {
        ca_keys: &ca_keys,
        principals: &principals,
        krl: None,
        host_certificates: &[],
    };
    let lines = sshd_lines::render(&admissions, named);
    files.push(file(
        std::path::Path::new("/etc/ssh/sshd_config.d").join(DROP_IN),
        lines,
    ));
    let files = Files {
        ca: trusted.known.url,
        fingerprint: trusted.known.fingerprint,
        files,
    };
    terminal.answer(&files, |files| match options.format {
        Format::Text => text_form(files),
        Format::CloudInit => cloud_init(files, &admissions),
        Format::Ansible => ansible(files, &admissions),
    })
}

fn text_form(files: &Files) -> String {
    let mut text = String::new();
    for file in &files.files {
        let _ = write!(
            text,
            "==> {} (root, {})\n{}\n",
            file.path, file.mode, file.content
        );
    }
    text.push_str("Then `sshd -t`, and reload sshd.");
    text
}

fn cloud_init(files: &Files, admissions: &[Admission]) -> String {
    let mut text = String::from("#cloud-config\nusers:\n  - default\n");
    for admission in admissions {
        let _ = write!(
            text,
            "  - name: {}\n    shell: /bin/bash\n    lock_passwd: false\n    passwd: \"*\"\n",
            admission.account
        );
    }
    text.push_str("write_files:\n");
    for file in &files.files {
        let _ = write!(
            text,
            "  - path: {}\n    owner: root:root\n    permissions: \"{}\"\n    content: |\n{}",
            file.path,
            file.mode,
            indented(&file.content, 6)
        );
    }
    text.push_str("runcmd:\n  - sshd -t && (systemctl reload ssh || systemctl reload sshd)");
    text
}

fn ansible(files: &Files, admissions: &[Admission]) -> String {
    let mut text =
        String::from("- name: Trust of jit-ssh\n  hosts: all\n  become: true\n  tasks:\n");
    for admission in admissions {
        let _ = write!(
            text,
            "    - name: Account {0}\n      ansible.builtin.user:\n        name: {0}\n        password: \"*\"\n        shell: /bin/bash\n",
            admission.account
        );
    }
    for file in &files.files {
        let folder = std::path::Path::new(&file.path)
            .parent()
            .unwrap_or(std::path::Path::new("/"));
        let _ = write!(
            text,
            "    - name: Folder {0}\n      ansible.builtin.file:\n        path: {0}\n        state: directory\n        owner: root\n        group: root\n        mode: \"0755\"\n    \
             - name: File {1}\n      ansible.builtin.copy:\n        dest: {1}\n        owner: root\n        group: root\n        mode: \"{2}\"\n        content: |\n{3}      notify: Reload sshd\n",
            folder.display(),
            file.path,
            file.mode,
            indented(&file.content, 10)
        );
    }
    text.push_str(
        "  handlers:\n    - name: Reload sshd\n      ansible.builtin.shell: sshd -t && (systemctl reload ssh || systemctl reload sshd)",
    );
    text
}

fn indented(content: &str, spaces: usize) -> String {
    let mut text = String::new();
    for line in content.lines() {
        let _ = writeln!(text, "{:spaces$}{line}", "");
    }
    text
}
