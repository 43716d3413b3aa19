//! Pieces of HTML, and numbers and dates as people read them.

use std::fmt::Write;

/// Text as HTML shows it.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            _ => out.push(c),
        }
    }
    out
}

/// Three significant digits, and thousands apart: "0.0213", "4.51", "68.3", "12 900".
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "?".into();
    }
    let size = value.abs();
    if size >= 999.5 {
        let scale = 10_f64.powi(size.log10().floor() as i32 - 2);
        let digits = format!("{:.0}", (value / scale).round() * scale);
        return apart(&digits);
    }
    let decimals = match size {
        99.5.. => 0,
        9.95.. => 1,
        0.995.. => 2,
        0.0995.. => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// A thin space before every three digits from the right.
fn apart(digits: &str) -> String {
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        let left = digits.len() - i;
        if i > 0 && left.is_multiple_of(3) && !out.ends_with('-') {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// "2026-11-23 06:47 UTC". Days to dates: H. Hinnant, "chrono-compatible low-level date algorithms",
/// `civil_from_days`.
pub(super) fn date(unix: u64) -> String {
    let (days, seconds) = (unix / 86_400 + 719_468, unix % 86_400);
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02} UTC",
        seconds / 3600,
        seconds / 60 % 60
    )
}

/// A table; the first column is text, the others are figures.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut html = String::from("<table><thead><tr>");
    for head in heads {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(head));
    }
    html += "</tr></thead><tbody>";
    for row in rows {
        html += "<tr>";
        for cell in row {
            let _ = write!(html, "<td>{}</td>", escape(cell));
        }
        html += "</tr>";
    }
    html + "</tbody></table>"
}

pub(super) fn definition(what: &str, value: &str) -> String {
    format!(
        "<div><dt>{}</dt><dd>{}</dd></div>\n",
        escape(what),
        escape(value)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let cases = [
            (0.0, "0.0000"),
            (0.02134, "0.0213"),
            (0.9876, "0.988"),
            (0.9999, "1.00"),
            (4.514, "4.51"),
            (9.999, "10.0"),
            (68.34, "68.3"),
            (99.96, "100"),
            (999.4, "999"),
            (999.6, "1\u{202f}000"),
            (12_934.0, "12\u{202f}900"),
            (1_234_567.0, "1\u{202f}230\u{202f}000"),
            (-12_934.0, "-12\u{202f}900"),
            (f64::NAN, "?"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text, "{value}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_735_689_599), "2024-12-31 23:59 UTC");
    }

    #[test]
    fn markup_in_text_is_harmless() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
        assert!(table(&["a"], &[vec!["Mutex<VecDeque>".into()]]).contains("Mutex&lt;VecDeque&gt;"));
    }
}
