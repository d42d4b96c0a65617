//! Two texts compared line by line, for a person who is shown a change. The files that we change are
//! small and change in one place: what both share at their ends is left out, the rest is the change.

/// Where two texts differ.
#[derive(Clone, Debug)]
pub struct LineDiff<'a> {
    before: Vec<&'a str>,
    after: Vec<&'a str>,
    same_head: usize,
    same_tail: usize,
}

impl<'a> LineDiff<'a> {
    /// Compares them.
    pub fn new(before: &'a str, after: &'a str) -> Self {
        let before: Vec<&str> = before.lines().collect();
        let after: Vec<&str> = after.lines().collect();
        let heads = before.iter().zip(&after);
        let same_head = heads.take_while(|(a, b)| a == b).count();
        // A line that both have once is not counted at both ends.
        let rest = before.len().min(after.len()) - same_head;
        let tails = before.iter().rev().zip(after.iter().rev());
        let same_tail = tails.take(rest).take_while(|(a, b)| a == b).count();
        LineDiff {
            before,
            after,
            same_head,
            same_tail,
        }
    }

    /// Lines that are no longer there.
    pub fn removed(&self) -> &[&'a str] {
        let to = self.before.len() - self.same_tail;
        self.before.get(self.same_head..to).unwrap_or_default()
    }

    /// Lines that are new.
    pub fn added(&self) -> &[&'a str] {
        let to = self.after.len() - self.same_tail;
        self.after.get(self.same_head..to).unwrap_or_default()
    }

    /// At most so many lines before the change.
    pub fn lines_before(&self, most: usize) -> &[&'a str] {
        let from = self.same_head.saturating_sub(most);
        self.before.get(from..self.same_head).unwrap_or_default()
    }

    /// At most so many lines after it.
    pub fn lines_after(&self, most: usize) -> &[&'a str] {
        let from = self.before.len() - self.same_tail;
        let to = from + most.min(self.same_tail);
        self.before.get(from..to).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_stands_there_twice_is_counted_once() {
        for (before, after, removed, added) in [
            ("a\nb\nc\n", "a\nx\nc\n", &["b"][..], &["x"][..]),
            ("a\n", "new\na\n", &[], &["new"]),
            ("a\n", "a\na\n", &[], &["a"]),
            ("a\na\n", "a\n", &["a"], &[]),
            ("a\n", "a\n", &[], &[]),
            ("", "x\n", &[], &["x"]),
            ("x\n", "", &["x"], &[]),
        ] {
            let diff = LineDiff::new(before, after);
            assert_eq!(diff.removed(), removed, "{before:?} {after:?}");
            assert_eq!(diff.added(), added, "{before:?} {after:?}");
        }
    }

    #[test]
    fn the_lines_around_are_no_more_than_there_are() {
        let diff = LineDiff::new("1\n2\n3\nx\n4\n", "1\n2\n3\ny\n4\n");
        assert_eq!(diff.lines_before(2), ["2", "3"]);
        assert_eq!(diff.lines_before(9), ["1", "2", "3"]);
        assert_eq!(diff.lines_after(3), ["4"]);
        assert_eq!(diff.lines_after(0), Vec::<&str>::new());
    }
}
