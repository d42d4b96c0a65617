//! The lines of sshd's configuration, and where they stand: in a drop-in that sorts first, or,
//! where sshd reads no drop-ins (OpenSSH 8.0–8.1, or a main file without `Include`), in a marked
//! block at the top of the main file. The first value that sshd reads wins (sshd_config(5)).

use std::path::Path;

use super::Account;

/// First line of the block in a main file.
pub(crate) const BLOCK_BEGIN: &str = "# BEGIN jit-ssh-host";
/// Last line of the block in a main file.
pub(crate) const BLOCK_END: &str = "# END jit-ssh-host";

/// For whom the lines hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// For everybody: an account without a principals file admits nobody (A58).
    Global,
    /// For these accounts only: another CA is trusted on this host and goes on as it was.
    Accounts(Vec<Account>),
}

/// The directives.
pub(crate) fn render(scope: &Scope, ca_keys: &Path, principals: &Path) -> String {
    let (indent, head, tail) = match scope {
        Scope::Global => ("", String::new(), ""),
        Scope::Accounts(accounts) => {
            let names: Vec<&str> = accounts.iter().map(Account::as_str).collect();
            (
                "    ",
                format!("Match User {}\n", names.join(",")),
                "Match all\n",
            )
        }
    };
    format!(
        "# Trust of jit-ssh. Written by jit-ssh-host: changes are overwritten.\n\
         {head}{indent}TrustedUserCAKeys {}\n{indent}AuthorizedPrincipalsFile {}/%u\n{tail}",
        ca_keys.display(),
        principals.display(),
    )
}

/// The main file with the block at its top, replacing an earlier one.
pub(crate) fn with_block(main: &str, lines: &str) -> String {
    format!("{BLOCK_BEGIN}\n{lines}{BLOCK_END}\n{}", without_block(main))
}

/// The main file without the block.
pub(crate) fn without_block(main: &str) -> String {
    let mut kept = String::with_capacity(main.len());
    let mut inside = false;
    for line in main.split_inclusive('\n') {
        match line.trim_end() {
            BLOCK_BEGIN => inside = true,
            BLOCK_END if inside => inside = false,
            _ if inside => {}
            _ => kept.push_str(line),
        }
    }
    // A block without its end would swallow the file: then nothing is ours to remove.
    if inside { main.to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_replaced_not_repeated_and_removed_without_a_trace() {
        let main = "Port 22\nMatch User x\n    X11Forwarding no\n";
        let once = with_block(main, "A\n");
        let twice = with_block(&once, "B\n");
        assert_eq!(twice.matches(BLOCK_BEGIN).count(), 1);
        assert!(twice.contains("\nB\n") && !twice.contains("\nA\n"));
        assert_eq!(without_block(&twice), main);
    }

    #[test]
    fn a_block_whose_end_is_gone_does_not_swallow_the_file() {
        let main = format!("{BLOCK_BEGIN}\nA\nPort 22\n");
        assert_eq!(without_block(&main), main);
    }

    #[test]
    fn a_scope_of_accounts_ends_with_match_all_so_that_nothing_leaks_into_the_main_file() {
        let accounts = vec!["observer".parse().unwrap(), "admin".parse().unwrap()];
        let text = render(&Scope::Accounts(accounts), Path::new("/c"), Path::new("/p"));
        assert!(text.contains("Match User observer,admin\n    TrustedUserCAKeys /c\n"));
        assert!(text.ends_with("Match all\n"));
    }
}
