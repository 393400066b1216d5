use std::fmt::Write;

use serde_json::Value;

/// A table of what was measured, with what it was measured on and how.
pub(super) fn of(documents: &[Value]) -> String {
    let mut table = String::from("| measure | what | median | range | goal | met |\n|---|---|---:|---:|---|---|\n");
    for document in documents {
        let measure = text(document, "measure");
        let what = [text(document, "contestant"), text(document, "ratio")].concat();
        if let Some(why) = document["skipped"].as_str() {
            writeln!(table, "| {measure} | {what} | skipped: {why} | | | |").unwrap();
        } else if let Some(median) = document["median"].as_f64() {
            let unit = document["unit"].as_str().map_or("×", |unit| unit);
            let range = [&document["low"], &document["high"]].map(|value| digits(value.as_f64().unwrap_or(f64::NAN)));
            let met = document["met"].as_bool().map_or("", |met| if met { "yes" } else { "no" });
            let (median, range, goal) = (digits(median), range.join(" … "), text(document, "goal"));
            writeln!(table, "| {measure} | {what} | {median} {unit} | {range} | {goal} | {met} |").unwrap();
        }
    }
    format!("{table}\n{}", how(documents))
}

/// Machine, server and settings, each said once.
fn how(documents: &[Value]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut say = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for document in documents {
        say(format!("On {}; {}.", text(document, "machine"), text(document, "server")));
    }
    for document in documents {
        let (who, settings, lacks) =
            (text(document, "contestant"), text(document, "settings"), text(document, "lacks"));
        let lacks = if lacks.is_empty() { String::new() } else { format!(" It lacks {lacks}.") };
        if !settings.is_empty() {
            say(format!("- *{who}*: {settings}.{lacks}"));
        }
    }
    let mut text = String::new();
    let mut listed = false;
    for line in lines {
        // A list is set off from the sentence before it.
        let gap =
            if line.starts_with('-') && !std::mem::replace(&mut listed, line.starts_with('-')) { "\n" } else { "" };
        writeln!(text, "{gap}{line}").unwrap();
    }
    text
}

fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    document[field].as_str().unwrap_or_default()
}

/// As many digits as mean something, in groups of three.
fn digits(value: f64) -> String {
    let short = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let whole = short.split('.').next().unwrap_or_default().len();
    let mut grouped = String::new();
    for (place, digit) in short.chars().enumerate() {
        let left = whole.saturating_sub(place);
        if place > 0 && place < whole && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
