//! Moments and spans as people write and read them.

const DAY: u64 = 24 * 60 * 60;

/// `2026-11-23 22:59:24 UTC` of seconds since 1970-01-01 UTC.
pub fn utc(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / DAY);
    let rest = seconds % DAY;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The two largest units: `7h 58m`, `14m 30s`, `45s`.
pub fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / DAY, seconds / 3600 % 24, seconds / 60 % 60);
    let rest = seconds % 60;
    let two = |large: u64, unit: char, small: u64, smaller: char| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit} {small}{smaller}"),
    };
    if days > 0 {
        two(days, 'd', hours, 'h')
    } else if hours > 0 {
        two(hours, 'h', minutes, 'm')
    } else if minutes > 0 {
        two(minutes, 'm', rest, 's')
    } else {
        format!("{rest}s")
    }
}

/// Reads `2h` (that long before `now`; units s, m, h, d, w), `2026-11-23`, `2026-11-23 22:59`
/// (or with `T`, with seconds, with `Z`; always UTC) or `@1764000000`, as seconds since 1970-01-01.
pub fn parse_when(text: &str, now: u64) -> Option<u64> {
    let text = text.trim();
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().ok();
    }
    if let Some(unit) = text.chars().last().filter(char::is_ascii_lowercase) {
        let unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => DAY,
            'w' => 7 * DAY,
            _ => return None,
        };
        let number: u64 = digits(text.get(..text.len() - 1)?)?;
        return now.checked_sub(number.checked_mul(unit)?);
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut date = date.split('-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(digits);
    let (hour, minute) = (time.next()??, time.next()??);
    let second = time.next().unwrap_or(Some(0))?;
    let rest = date.next().is_some() || time.next().is_some();
    if rest || hour > 23 || minute > 59 || second > 59 || !(1970..=9999).contains(&year) {
        return None;
    }
    let days = days(year, month, day);
    // 31 April and its like come back as another day.
    if civil(days) != (year, month, day) {
        return None;
    }
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// Year, month, day of a day since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", days shifted so that a year starts in March).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, date)
}

fn days(year: u64, month: u64, day: u64) -> u64 {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return 0;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year) = (year / 400, year % 400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day = (153 * month + 2) / 5 + day - 1;
    (era * 146_097 + year * 365 + year / 4 - year / 100 + day).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read_back() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_795_474_764), "2026-11-23 22:59:24 UTC");
        for moment in [0, 951_782_400, 1_709_164_800, 4_102_444_799, 1_795_474_764] {
            let text = utc(moment);
            assert_eq!(
                parse_when(text.trim_end_matches(" UTC"), 0),
                Some(moment),
                "{text}"
            );
        }
    }

    #[test]
    fn spans_show_two_units() {
        assert_eq!(span(0), "0s");
        assert_eq!(span(870), "14m 30s");
        assert_eq!(span(8 * 3600), "8h");
        assert_eq!(span(90_000), "1d 1h");
    }

    #[test]
    fn moments_that_people_type_are_read_and_nonsense_is_not() {
        let now = 1_795_474_764;
        assert_eq!(parse_when("2h", now), Some(now - 7200));
        assert_eq!(parse_when("1w", now), Some(now - 604_800));
        assert_eq!(parse_when("2026-11-23", now), Some(1_795_392_000));
        assert_eq!(parse_when("2026-11-23T22:59:24Z", now), Some(now));
        assert_eq!(parse_when("@5", now), Some(5));
        for wrong in [
            "",
            "h",
            "2x",
            "+2h",
            "2026-02-30",
            "2026-13-01",
            "2026-00-01",
            "26-1",
            "2026-11-23 24:00",
            "2026-11-23 1:2:3:4",
            "99999999999h",
            "é",
            "2026-11-23-1",
            "1900-01-01",
        ] {
            assert_eq!(parse_when(wrong, now), None, "{wrong}");
        }
    }
}
