//! The known hosts of one CA: `@cert-authority NAMES KEY` lines, for the exact names of its enrolled
//! hosts and each host CA key that is trusted (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). No wildcard is
//! ever in them: a name that is not enrolled is not the CA's to vouch for (A50).

/// The file, for names that were checked and keys of the verified key set.
pub(crate) fn render<'a>(names: impl Iterator<Item = &'a str>, keys: &[String]) -> String {
    let mut text = String::from("# Written by jit-ssh at each contact with the CA.\n");
    let lists = lists(names);
    for key in keys.iter().filter_map(|key| plain_key(key)) {
        for list in &lists {
            text.push_str(&format!("@cert-authority {list} {key}\n"));
        }
    }
    text
}

/// Kind and key of a public key's line, without what stands behind them; `None` for what is none.
fn plain_key(line: &str) -> Option<String> {
    let key: ssh_key::PublicKey = line.trim().parse().ok()?;
    ssh_key::PublicKey::from(key.key_data().clone())
        .to_openssh()
        .ok()
}

/// Names as lists with commas. ssh reads lines of any length since 7.9, and compares name by name;
/// shorter ones are for older tools that read these files.
pub(crate) fn lists<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for name in names {
        match lists.last_mut() {
            Some(list) if list.len() + 1 + name.len() <= LONGEST => {
                list.push(',');
                list.push_str(name);
            }
            _ => lists.push(name.to_owned()),
        }
    }
    lists
}

/// Bytes of names in one line.
const LONGEST: usize = 3000;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN5ZZgc01i1RM9ZhSRgD5C6G6EwJFbY4ctETh5zKY5Qd";

    #[test]
    fn each_key_is_for_each_name_and_no_line_is_long() {
        let names: Vec<String> = (0..500).map(|n| format!("h{n}.example.com")).collect();
        let keys = [
            format!("{KEY} a comment"),
            "no key\n* ssh-ed25519 AAAA".to_owned(),
        ];
        let text = render(names.iter().map(String::as_str), &keys);
        let mut told = Vec::new();
        for line in text.lines().skip(1) {
            assert!(line.len() < LONGEST + 200);
            let list = line.strip_prefix("@cert-authority ").unwrap();
            let list = list.strip_suffix(&format!(" {KEY}")).unwrap();
            told.extend(list.split(',').map(str::to_owned));
        }
        assert_eq!(told, names);
        assert!(lists(std::iter::empty()).is_empty());
    }
}
