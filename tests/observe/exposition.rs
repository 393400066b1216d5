use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

/// The series of a text of metrics with their values, after a look at whether Prometheus would take it.
pub(super) fn series(text: &str) -> BTreeMap<String, String> {
    let (mut helped, mut types) = (BTreeSet::new(), BTreeMap::new());
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, said) = help.split_once(' ').unwrap();
            assert!(!said.is_empty() && helped.insert(name), "{line}");
        } else if let Some(of_type) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of_type.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{line}");
            assert!(name.starts_with("holdfast_"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<serde_json::Number>().is_ok(), "{line}");
            let base = name.split('{').next().unwrap();
            let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| base.strip_suffix(part));
            let of_histogram = parts.into_iter().find(|base| types.get(base) == Some(&"histogram"));
            let family = of_histogram.unwrap_or(base);
            assert!(helped.contains(family) && types.contains_key(family), "{line} has no HELP or TYPE");
            assert!(found.insert(name.to_owned(), value.to_owned()).is_none(), "{line} is there twice");
        }
    }
    assert!(!found.is_empty());
    checked_by_promtool(text);
    found
}

/// Where Prometheus' own tool is at hand, it may say more.
fn checked_by_promtool(text: &str) {
    let check =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut check) = check else { return };
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let told = check.wait_with_output().unwrap();
    assert!(told.status.success(), "promtool: {}\n{text}", String::from_utf8_lossy(&told.stdout));
}
