//! What sshd's files say about CAs and principals inside of `Match` blocks.
//!
//! `sshd -T -C …` answers for one connection, and nobody can ask it for every group and address that
//! a `Match` may name (sshd_config(5)). So here the files themselves are read, as sshd reads them,
//! for one question: could such a block hold for an account that is to be opened? Our lines, which
//! come first, would then take the place of that CA or mapping. Where it is not sure, it could.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::files::{self, FilesError};
use crate::trust::{AccountName, sshd_lines};

/// The directives that decide which certificates open an account.
const TRUST: [&str; 4] = [
    "TrustedUserCAKeys",
    "AuthorizedPrincipalsFile",
    "AuthorizedPrincipalsCommand",
    "RevokedKeys",
];

/// Directives that can refuse an account whose certificate is good.
const REFUSING: [&str; 5] = [
    "PubkeyAuthentication",
    "AuthenticationMethods",
    "AllowUsers",
    "DenyUsers",
    "PermitRootLogin",
];

/// How deep sshd follows `Include` (SERVCONF_MAX_DEPTH); it refuses what goes deeper.
const DEEPEST: usize = 16;

/// Relative patterns of `Include` are relative to this.
const BASE: &str = "/etc/ssh";

/// One of these directives that holds under conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conditional {
    /// Which file.
    pub(crate) path: PathBuf,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Which directive.
    pub(crate) directive: &'static str,
    /// What it says.
    pub(crate) words: Vec<String>,
    /// It is read before our own lines, and wins against them.
    pub(crate) before_ours: bool,
    conditions: Vec<Condition>,
}

/// What a `Match` line asks for, as far as it says which accounts it leaves out: its lists of users,
/// each of which must match. Groups, addresses and the rest can be anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    users: Vec<String>,
}

/// A line that matters here.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// `Match`; none for `Match all`, which asks for nothing.
    Match(Option<Condition>),
    Include(Vec<String>),
    Directive(&'static str, Vec<String>),
    Other,
}

/// Reads the main file, whose text is given, and all that it includes but for what is ours: `ours`,
/// and the block in the main file.
pub(crate) fn read(
    path: &Path,
    main: &str,
    ours: &[PathBuf],
) -> Result<Vec<Conditional>, FilesError> {
    let mut reader = Reader {
        ours: ours.iter().map(|path| real(path)).collect(),
        found: Vec::new(),
        block: sshd_lines::block_at(main),
        passed_ours: false,
    };
    reader.file(path, &sshd_lines::blank_block(main), &[], 0)?;
    Ok(reader.found)
}

impl Conditional {
    /// Whether some login to the account could meet every condition.
    pub(crate) fn could_apply_to(&self, account: &AccountName) -> bool {
        let mut lists = self.conditions.iter().flat_map(|one| &one.users);
        lists.all(|list| could_match(list, account.as_str()))
    }

    /// Whether it decides which certificates open an account.
    pub(crate) fn decides_trust(&self) -> bool {
        TRUST.contains(&self.directive)
    }
}

struct Reader {
    ours: Vec<PathBuf>,
    found: Vec<Conditional>,
    /// Where our block begins in the main file.
    block: Option<usize>,
    passed_ours: bool,
}

impl Reader {
    /// A `Match` ends with its file; what is included inside of one stays under its condition.
    fn file(
        &mut self,
        path: &Path,
        text: &str,
        outer: &[Condition],
        depth: usize,
    ) -> Result<(), FilesError> {
        let mut conditions = outer.to_vec();
        for (index, line) in text.split('\n').enumerate() {
            if depth == 0 && self.block == Some(index) {
                // Its last line is `Match all`.
                self.passed_ours = true;
                conditions.clear();
            }
            match parse(line) {
                Line::Match(condition) => {
                    conditions.truncate(outer.len());
                    conditions.extend(condition);
                }
                Line::Include(patterns) if depth < DEEPEST => {
                    for included in patterns.iter().map(|pattern| expand(pattern)) {
                        self.files(included?, &conditions, depth + 1)?;
                    }
                }
                Line::Directive(directive, words) if !conditions.is_empty() => {
                    self.found.push(Conditional {
                        path: path.to_owned(),
                        line: index + 1,
                        directive,
                        words,
                        before_ours: !self.passed_ours,
                        conditions: conditions.clone(),
                    });
                }
                Line::Include(_) | Line::Directive(..) | Line::Other => {}
            }
        }
        Ok(())
    }

    fn files(
        &mut self,
        paths: Vec<PathBuf>,
        outer: &[Condition],
        depth: usize,
    ) -> Result<(), FilesError> {
        for path in paths {
            if self.ours.contains(&real(&path)) {
                self.passed_ours = true;
                continue;
            }
            if let Some(text) = files::read_through_link(&path)? {
                self.file(&path, &text, outer, depth)?;
            }
        }
        Ok(())
    }
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn parse(line: &str) -> Line {
    let Some((keyword, rest)) = word(line, true) else {
        return Line::Other;
    };
    let is = |name: &str| keyword.eq_ignore_ascii_case(name);
    if is("match") {
        return Line::Match(condition(&words(rest, true)));
    }
    if is("include") {
        let rest = rest.trim_start();
        return Line::Include(words(rest.strip_prefix('=').unwrap_or(rest), false));
    }
    let mut known = TRUST.into_iter().chain(REFUSING);
    known
        .find(|name| is(name))
        .map_or(Line::Other, |directive| {
            Line::Directive(directive, words(rest, true))
        })
}

fn condition(words: &[String]) -> Option<Condition> {
    if matches!(words, [all] if all.eq_ignore_ascii_case("all")) {
        return None;
    }
    let mut users = Vec::new();
    let mut rest = words;
    // After an attribute that is unknown here, what is a name and what a value is not sure either.
    while let [attribute, value, more @ ..] = rest {
        match attribute.to_ascii_lowercase().as_str() {
            "user" => users.push(value.clone()),
            "group" | "host" | "address" | "localaddress" | "localport" | "rdomain" => {}
            _ => break,
        }
        rest = more;
    }
    Some(Condition { users })
}

/// As sshd compares: a pattern with `!` that fits leaves the account out whatever else fits. A list of
/// nothing but these matches nobody there; whoever writes one means all the others, so it could.
fn could_match(list: &str, account: &str) -> bool {
    let mut fits = false;
    let mut only_negated = true;
    for pattern in list.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(pattern) if glob(pattern, account) => return false,
            Some(_) => {}
            None => {
                only_negated = false;
                fits |= glob(pattern, account);
            }
        }
    }
    fits || only_negated
}

/// Whether a pattern with `*` and `?` is the whole text.
fn glob(pattern: &str, text: &str) -> bool {
    // What may be left of the text after the pattern so far, the longest first.
    let mut rests = vec![text];
    for wanted in pattern.chars() {
        rests = match wanted {
            '*' => {
                let longest = rests.first().copied();
                longest.into_iter().flat_map(tails).collect()
            }
            '?' => rests.iter().filter_map(|rest| tails(rest).nth(1)).collect(),
            wanted => rests
                .iter()
                .filter_map(|rest| rest.strip_prefix(wanted))
                .collect(),
        };
    }
    rests.contains(&"")
}

/// The text, the text without its first character, and so on to the empty one.
fn tails(text: &str) -> impl Iterator<Item = &str> {
    let at = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    at.filter_map(|at| text.get(at..))
}

/// The files that a pattern of `Include` names, in sshd's order.
fn expand(pattern: &str) -> Result<Vec<PathBuf>, FilesError> {
    let pattern = Path::new(BASE).join(pattern);
    let mut paths = vec![PathBuf::from("/")];
    for part in pattern.to_string_lossy().split('/') {
        let mut next = Vec::new();
        for path in &paths {
            match part {
                "" => next.push(path.clone()),
                part if part.contains(['*', '?', '[', '\\']) => {
                    next.extend(entries(path, part)?);
                }
                part => next.push(path.join(part)),
            }
        }
        paths = next;
    }
    paths.retain(|path| path.exists());
    paths.sort();
    Ok(paths)
}

fn entries(folder: &Path, part: &str) -> Result<Vec<PathBuf>, FilesError> {
    let io = |source| FilesError::Io {
        action: "read",
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(io(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(io)?.file_name();
        let text = name.to_string_lossy();
        let hidden = text.starts_with('.') && !part.starts_with(['.', '[', '\\']);
        // Sets and escapes are not told apart here: then every file could be meant.
        if !hidden && (part.contains(['[', '\\']) || glob(part, &text)) {
            found.push(folder.join(&name));
        }
    }
    Ok(found)
}

fn words(mut text: &str, equals: bool) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((word, rest)) = word(text, equals) {
        found.push(word);
        text = rest;
    }
    found
}

/// The first word, without its quotes, and what follows it; none at a comment. `=` parts words, too,
/// where `equals` says so.
fn word(text: &str, equals: bool) -> Option<(String, &str)> {
    let parts = |c: char| c.is_ascii_whitespace() || (equals && c == '=');
    let text = text.trim_start_matches(parts);
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    loop {
        let before = chars.as_str();
        match (chars.next(), quote) {
            (None, _) => return Some((word, "")),
            (Some(c), None) if parts(c) => return Some((word, before)),
            (Some(c @ ('"' | '\'')), None) => quote = Some(c),
            (Some(c), Some(open)) if c == open => quote = None,
            (Some('\\'), _) if chars.as_str().starts_with(['"', '\'', '\\', ' ']) => {
                word.extend(chars.next());
            }
            (Some(c), _) => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(path: PathBuf, text: &str) {
        let change = files::Change::plan(path, Some(files::File::for_all_to_read(text))).unwrap();
        files::apply(&[change]).unwrap();
    }

    /// Lines of the directives that could hold for observer.
    fn found(text: &str) -> Vec<usize> {
        let observer = "observer".parse().unwrap();
        read(Path::new("/main"), text, &[])
            .unwrap()
            .into_iter()
            .filter(|one| one.decides_trust() && one.could_apply_to(&observer))
            .map(|one| one.line)
            .collect()
    }

    #[test]
    fn a_directive_in_a_match_that_could_hold_for_the_account_is_found_however_it_is_written() {
        for text in [
            "Match Group root\nTrustedUserCAKeys /old.pub\n",
            "match address 10.0.0.0/8\r\n\ttrustedusercakeys=/old.pub\r\n",
            "  MATCH\tLocalPort 22 # ours\n  \"AuthorizedPrincipalsFile\" = /p/%u",
            "Match=Group=root\nAuthorizedPrincipalsCommand /bin/p",
            "Match User observer\nTrustedUserCAKeys /old.pub",
            "Match User=\"bob,observer\"\nTrustedUserCAKeys /old.pub",
            "Match Group root User obs*\nTrustedUserCAKeys /old.pub",
            "Match User *,!root\nTrustedUserCAKeys /old.pub",
            "Match User !root\nTrustedUserCAKeys /old.pub",
            "Match User ??server Host x\nTrustedUserCAKeys none",
            "Match Novelty User root\nTrustedUserCAKeys /old.pub",
            "Match Novelty x User root\nTrustedUserCAKeys /old.pub",
            "Match invalid-user User root\nTrustedUserCAKeys /old.pub",
            "Match User\nTrustedUserCAKeys /old.pub",
            "Match\nTrustedUserCAKeys /old.pub",
        ] {
            assert_eq!(found(text), [2], "{text}");
        }
    }

    #[test]
    fn what_cannot_hold_for_the_account_or_holds_for_everybody_is_left_to_sshd() {
        for text in [
            "TrustedUserCAKeys /old.pub\nMatch Group root\nX11Forwarding no",
            "Match Group root\nX11Forwarding no\nMatch all\nTrustedUserCAKeys /old.pub",
            "Match \"ALL\"\nTrustedUserCAKeys /old.pub",
            "Match User root\nTrustedUserCAKeys /old.pub",
            "Match Group root User root,admin\nTrustedUserCAKeys /old.pub",
            "Match User *,!observer\nTrustedUserCAKeys /old.pub",
            "Match User !obs*,observer\nTrustedUserCAKeys /old.pub",
            "Match User * User root\nTrustedUserCAKeys /old.pub",
            "Match Group root\n# TrustedUserCAKeys /old.pub\n  #AuthorizedPrincipalsFile /p",
            "#Match Group root\nTrustedUserCAKeys /old.pub",
            "Match Group root\nTrustedUserCAKeysToo /old.pub",
        ] {
            assert_eq!(found(text), [0; 0], "{text}");
        }
    }

    #[test]
    fn files_are_included_as_sshd_does_under_the_condition_around_them_but_for_our_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| write(path(name), text);
        write("d/00-ours.conf", "Match User a\nTrustedUserCAKeys /ours\n");
        write("d/10.conf", "TrustedUserCAKeys /x\n");
        write(
            "d/20.conf",
            "Match all\nTrustedUserCAKeys /y\nMatch User b\n",
        );
        write("d/.hidden.conf", "Match all\nTrustedUserCAKeys /z\n");
        write("d/30.conf.old", "TrustedUserCAKeys /z\n");
        let dir = folder.path().display();
        write(
            "nested",
            &format!("Match User b\nInclude \"{dir}/d/10.conf\"\n"),
        );
        let main = format!(
            "Include {dir}/d/*.conf {dir}/none/*.conf\nTrustedUserCAKeys /a\n\
             match group g\ninclude={dir}/?/?0.conf\nInclude {dir}/nested\n\
             TrustedUserCAKeys /b\n"
        );
        let main_path = path("main");
        let found = read(&main_path, &main, &[path("d/../d/00-ours.conf")]).unwrap();
        let at = |name: &str, line| (path(name), line);
        assert_eq!(
            found
                .iter()
                .map(|one| (one.path.clone(), one.line))
                .collect::<Vec<_>>(),
            [
                at("d/10.conf", 1),
                at("d/20.conf", 2),
                at("d/10.conf", 1),
                at("main", 6)
            ]
        );
        let observer = "observer".parse().unwrap();
        let could: Vec<bool> = found
            .iter()
            .map(|one| one.could_apply_to(&observer))
            .collect();
        assert_eq!(could, [true, true, false, true]);
        let set = expand(&format!("{dir}/d/[12]0.conf")).unwrap();
        assert!(set.contains(&path("d/10.conf")) && set.contains(&path("d/20.conf")));
    }

    #[test]
    fn a_block_is_told_from_one_that_our_lines_win_against() {
        let block = "# BEGIN jit-ssh-host\nMatch User observer\nMatch all\n# END jit-ssh-host\n";
        let one = "Match Group ops\nTrustedUserCAKeys /old.pub\n";
        let text = format!("{one}{block}PubkeyAuthentication no\n{one}PubkeyAuthentication = no\n");
        let found = read(Path::new("/main"), &text, &[]).unwrap();
        let facts: Vec<_> = found
            .iter()
            .map(|one| (one.line, one.decides_trust(), one.before_ours))
            .collect();
        assert_eq!(
            facts,
            [(2, true, true), (9, true, false), (10, false, false)]
        );
        assert_eq!(found[2].words, ["no"]);
    }

    #[test]
    fn a_file_that_includes_itself_is_not_read_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loop");
        let text = format!("Include {}\n", path.display());
        write(path.clone(), &text);
        assert_eq!(read(&path, &text, &[]).unwrap(), []);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            words in "([mM]atch |[uU]ser |all|Include /none/|TrustedUserCAKeys |[*?!,\\[\\\\/ #='\n\t\"]|\\PC){0,30}",
        ) {
            let observer: AccountName = "observer".parse().unwrap();
            for text in [String::from_utf8_lossy(&bytes).into_owned(), words] {
                for line in text.split('\n') {
                    let _ = parse(line);
                }
                let _ = glob(&text, "observer");
                let _ = could_match(&text, "observer");
                // Files of this machine are not for a test to read.
                let text: String = text
                    .split('\n')
                    .filter(|line| !matches!(parse(line), Line::Include(_)))
                    .map(|line| format!("{line}\n"))
                    .collect();
                for one in read(Path::new("/main"), &text, &[]).unwrap() {
                    let _ = one.could_apply_to(&observer);
                }
            }
        }

        #[test]
        fn whatever_else_a_match_asks_for_a_list_that_names_the_account_is_found(
            others in prop::collection::vec("[a-n]{1,5}", 0..4),
            more in "( Group [a-z]{1,5}| Address 10\\.0\\.0\\.[0-9]/32){0,2}",
        ) {
            let list = others.iter().map(|name| format!("{name},")).collect::<String>();
            let text = format!("Match{more} User {list}observer\nTrustedUserCAKeys /x\n");
            prop_assert_eq!(found(&text), [2]);
        }
    }
}
