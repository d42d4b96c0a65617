//! What a change does to a file, for a person: lines with `-` and `+`, three lines around them. Of a
//! file that is no text, its size.

use std::fmt::Write as _;

use jit_ssh_terminal::LineDiff;

use crate::files::{Change, File};

/// The difference as text; empty where nothing changes.
pub(crate) fn render(change: &Change) -> String {
    if change.is_noop() {
        return String::new();
    }
    let path = change.path.display();
    let mut text = match (&change.before, &change.after) {
        (None, _) => format!("new file {path}\n"),
        (_, None) => format!("remove {path}\n"),
        _ => format!("change {path}\n"),
    };
    if let (Some(before), Some(after)) = (&change.before, &change.after) {
        if before.mode != after.mode {
            let _ = writeln!(
                text,
                "  - mode {:04o}\n  + mode {:04o}",
                before.mode, after.mode
            );
        }
        if before.owner != after.owner {
            let _ = writeln!(
                text,
                "  - owner {}\n  + owner {}",
                before.owner, after.owner
            );
        }
    }
    let (before, after) = (
        self::text(change.before.as_ref()),
        self::text(change.after.as_ref()),
    );
    let (Some(before), Some(after)) = (before, after) else {
        for (sign, file) in [("-", &change.before), ("+", &change.after)] {
            if let Some(file) = file {
                let _ = writeln!(text, "  {sign} {} bytes", file.bytes.len());
            }
        }
        return text;
    };
    let diff = LineDiff::new(before, after);
    for (mark, lines) in [
        ("    ", diff.lines_before(3)),
        ("  - ", diff.removed()),
        ("  + ", diff.added()),
        ("    ", diff.lines_after(3)),
    ] {
        for line in lines {
            let _ = writeln!(text, "{mark}{line}");
        }
    }
    text
}

/// What is in it; none of a file that is no text.
fn text(file: Option<&File>) -> Option<&str> {
    std::str::from_utf8(file.map_or(&[][..], |file| &file.bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(before: Option<&str>, after: Option<&str>) -> String {
        render(&Change {
            path: "/f".into(),
            before: before.map(File::for_all_to_read),
            after: after.map(File::for_all_to_read),
        })
    }

    #[test]
    fn only_what_differs_is_marked() {
        assert_eq!(
            diff(Some("a\nb\nc\n"), Some("a\nB\nc\n")),
            "change /f\n    a\n  - b\n  + B\n    c\n"
        );
        assert_eq!(diff(None, Some("x\n")), "new file /f\n  + x\n");
        assert_eq!(diff(Some("x\n"), None), "remove /f\n  - x\n");
        assert_eq!(diff(Some("x\n"), Some("x\n")), "");
    }

    #[test]
    fn repeated_lines_do_not_overlap() {
        assert_eq!(
            diff(Some("a\n"), Some("a\na\n")),
            "change /f\n    a\n  + a\n"
        );
        assert_eq!(
            diff(Some("a\na\n"), Some("a\n")),
            "change /f\n    a\n  - a\n"
        );
    }

    #[test]
    fn what_is_no_text_and_who_may_write_it_are_told_too() {
        let file = |bytes: &[u8], mode| {
            let file = File::for_all_to_read(bytes);
            Some(File { mode, ..file })
        };
        let change = |before, after| {
            render(&Change {
                path: "/f".into(),
                before,
                after,
            })
        };
        assert_eq!(
            change(file(b"\xff\0", 0o644), file(b"\xff", 0o644)),
            "change /f\n  - 2 bytes\n  + 1 bytes\n"
        );
        assert_eq!(
            change(file(b"a", 0o666), file(b"a", 0o644)),
            "change /f\n  - mode 0666\n  + mode 0644\n    a\n"
        );
    }
}
