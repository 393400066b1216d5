use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::top::look::Look;

/// A worker that has been silent for longer is about to be declared dead.
const SILENT_MS: i64 = 3_000;

const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const PLAIN: Style = Style::new();

/// What a terminal shows.
pub(super) fn view(seen: Option<&Look>, trouble: Option<&str>) -> Paragraph<'static> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    lines.extend(trouble.map(|trouble| Line::styled(trouble.to_owned(), BAD)));
    lines.extend(seen.map(rows).unwrap_or_default().into_iter().map(|(style, text)| Line::styled(text, style)));
    lines.push(Line::default());
    lines.push(Line::raw("q quits"));
    Paragraph::new(lines)
}

/// The same as text.
pub(super) fn text(seen: &Look) -> String {
    let rows = rows(seen);
    rows.iter().map(|(_, text)| text.trim_end()).collect::<Vec<_>>().join("\n")
}

type Rows = Vec<(Style, String)>;

fn rows(seen: &Look) -> Rows {
    let mut rows = summary(seen);
    lanes(&mut rows, seen);
    kinds(&mut rows, seen);
    parked(&mut rows, seen);
    pauses(&mut rows, seen);
    workers(&mut rows, seen);
    rows
}

fn summary(seen: &Look) -> Rows {
    let at = seen.at.format("%Y-%m-%d %H:%M:%S");
    let ended = &seen.ended;
    let per_second =
        format!("last second  settled {}  rejected {}  cancelled {}", ended.settled, ended.rejected, ended.cancelled);
    let verified = match &seen.verified {
        None => (BAD, "verify       never run as a job".to_owned()),
        Some(last) if last.clean => {
            let (age, took) = (age(last.age_ms), age(last.took_ms));
            (PLAIN, format!("verify       clean {age} ago, {} checks in {took}", last.checks))
        }
        Some(last) => {
            (BAD, format!("verify       FAILED {} ago: GET /v1/integrity or `holdfast verify`", age(last.age_ms)))
        }
    };
    vec![(HEAD, format!("holdfast  {at} UTC  schema {}", seen.schema)), (PLAIN, per_second), verified]
}

fn head(rows: &mut Rows, text: String) {
    rows.push((PLAIN, String::new()));
    rows.push((HEAD, text));
}

fn lanes(rows: &mut Rows, seen: &Look) {
    head(rows, format!("{:<14} {:>10} {:>10} {:>12}", "lane", "due", "later", "oldest due"));
    for lane in &seen.lanes {
        let oldest = lane.oldest_ms.map_or_else(|| "-".to_owned(), age);
        let paused = seen.pauses.iter().any(|pause| pause.scope == "lane" && pause.name == lane.lane);
        let (style, mark) = if paused { (BAD, "  PAUSED") } else { (PLAIN, "") };
        rows.push((style, format!("{:<14} {:>10} {:>10} {oldest:>12}{mark}", lane.lane, lane.due, lane.later)));
    }
}

fn kinds(rows: &mut Rows, seen: &Look) {
    if seen.kinds.is_empty() {
        return;
    }
    head(
        rows,
        format!(
            "{:<18} {:<10} {:>8} {:>8} {:>8}   of the next 5000 of each lane",
            "kind", "lane", "due", "later", "put off"
        ),
    );
    for kind in &seen.kinds {
        rows.push((
            PLAIN,
            format!("{:<18} {:<10} {:>8} {:>8} {:>8}", kind.kind, kind.lane, kind.due, kind.later, kind.put_off),
        ));
    }
}

fn parked(rows: &mut Rows, seen: &Look) {
    if seen.parked.is_empty() {
        head(rows, "parked: none".to_owned());
        return;
    }
    head(rows, format!("{:<18} {:<16} {:>8} {:>10}", "parked", "reason", "jobs", "oldest"));
    for parked in &seen.parked {
        let oldest = age(parked.oldest_ms);
        rows.push((BAD, format!("{:<18} {:<16} {:>8} {oldest:>10}", parked.kind, parked.reason, parked.jobs)));
    }
}

fn pauses(rows: &mut Rows, seen: &Look) {
    if seen.pauses.is_empty() {
        head(rows, "paused: nothing".to_owned());
        return;
    }
    head(rows, format!("{:<24} {:>10}  by", "paused", "since"));
    for pause in &seen.pauses {
        let what = format!("{} {}", pause.scope, pause.name);
        rows.push((BAD, format!("{what:<24} {:>10}  {}: {}", age(pause.age_ms), pause.by, pause.reason)));
    }
}

fn workers(rows: &mut Rows, seen: &Look) {
    if seen.workers.is_empty() {
        head(rows, "workers: none".to_owned());
        return;
    }
    head(rows, format!("{:<40} {:<8} {:>10} {:>8}", "worker", "lane", "beat", "holding"));
    for worker in &seen.workers {
        let silent = worker.unclean || worker.beat_ms > SILENT_MS;
        let (style, mark) = match (silent, worker.unclean) {
            (_, true) => (BAD, "  ended uncleanly"),
            (true, false) => (BAD, "  silent"),
            (false, false) => (PLAIN, ""),
        };
        let beat = age(worker.beat_ms);
        rows.push((style, format!("{:<40} {:<8} {beat:>10} {:>8}{mark}", worker.name, worker.lane, worker.holding)));
    }
}

/// A time as people say it: the largest unit of which there are two or more.
fn age(ms: i64) -> String {
    let ms = ms.max(0);
    let whole = |unit_ms: i64| ms.checked_div(unit_ms).unwrap_or(0);
    match ms {
        0..2_000 => format!("{ms} ms"),
        2_000..120_000 => format!("{} s", whole(1_000)),
        120_000..7_200_000 => format!("{} min", whole(60_000)),
        7_200_000..172_800_000 => format!("{} h", whole(3_600_000)),
        _ => format!("{} d", whole(86_400_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn a_time_is_told_in_its_largest_unit() {
        for (ms, told) in [
            (-5, "0 ms"),
            (1_999, "1999 ms"),
            (2_000, "2 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_199_999, "119 min"),
            (7_200_000, "2 h"),
            (172_799_999, "47 h"),
            (172_800_000, "2 d"),
            (i64::MAX, "106751991167 d"),
        ] {
            assert_eq!(age(ms), told);
        }
    }
}
