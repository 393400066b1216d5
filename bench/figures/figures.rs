//! The page about performance shows what benchmarks wrote, and nothing else: its tables and its picture are
//! made from the JSON lines in `docs/performance/`. `UPDATE_EXPECT=1 cargo test -p figures` in `bench/` writes them anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_types,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::needless_raw_string_hashes,
    reason = "a test fails by panicking, snapshots are written by a tool, and no money passes through a float"
)]

mod drawing;
mod table;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use expect_test::{expect, expect_file};
use serde_json::Value;

const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- figures: ";
const BEGUN: &str = " -->\n";
const END: &str = "<!-- end -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The documents of a file of JSON lines.
fn documents(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let documents: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let quick = documents.iter().any(|document| document["quick"] == Value::Bool(true));
    assert!(!quick, "{}: a figure of a quick run means nothing", file.display());
    documents
}

/// A page with what stands between its markers made anew.
fn rendered(page: &str, documents: impl Fn(&str) -> Vec<Value>) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (file, after) = after.split_once(BEGUN).expect("a marker has a file and ends its line");
        let (_, after) = after.split_once(END).expect("what a marker begins is ended");
        write!(text, "{before}{BEGIN}{file}{BEGUN}\n{}\n{END}", table::of(&documents(file))).unwrap();
        rest = after;
    }
    text.push_str(rest);
    text
}

#[test]
fn the_tables_of_the_page_are_what_was_measured() {
    let page = std::fs::read_to_string(root().join(PAGE)).unwrap();
    let page = rendered(&page, |file| documents(&root().join(file)));
    expect_file![root().join(PAGE)].assert_eq(&page);
}

#[test]
fn the_picture_of_the_latency_is_what_was_measured() {
    let file = PathBuf::from("docs/performance/latency.jsonl");
    let histograms = documents(&root().join(&file));
    expect_file![root().join(file.with_extension("svg"))].assert_eq(&drawing::of(&histograms));
}

/// What is skipped is told, histograms and the like have no row, and who lacks what stands below.
#[test]
fn a_page_is_rendered_between_its_markers() {
    let lines = r#"
        {"measure":"settle","contestant":"holdfast","unit":"jobs/s","median":26318.6,"low":26241.0,"high":29349.4,"settings":"one worker","lacks":"","machine":"2 × M","server":"Postgres"}
        {"measure":"settle","contestant":"a loop","unit":"jobs/s","median":3100.0,"low":3000.0,"high":3200.0,"settings":"as it comes","lacks":"keys","machine":"2 × M","server":"Postgres"}
        {"measure":"settle","ratio":"holdfast ÷ a loop","median":8.4901,"low":8.2,"high":9.8,"goal":"≥ 10","met":false,"machine":"2 × M","server":"Postgres"}
        {"measure":"settle","contestant":"another","skipped":"not installed","machine":"2 × M","server":"Postgres"}
        {"measure":"settle","histogram":"holdfast","machine":"2 × M","server":"Postgres"}
    "#;
    let documents = |_: &str| lines.trim().lines().map(|line| serde_json::from_str(line.trim()).unwrap()).collect();
    let page = rendered("# Before\n\n<!-- figures: a.jsonl -->\nold\n<!-- end -->\n\nAfter\n", documents);
    expect![[r#"
        # Before

        <!-- figures: a.jsonl -->

        | measure | what | median | range | goal | met |
        |---|---|---:|---:|---|---|
        | settle | holdfast | 26,319 jobs/s | 26,241 … 29,349 |  |  |
        | settle | a loop | 3,100 jobs/s | 3,000 … 3,200 |  |  |
        | settle | holdfast ÷ a loop | 8.49 × | 8.20 … 9.80 | ≥ 10 | no |
        | settle | another | skipped: not installed | | | |

        On 2 × M; Postgres.

        - *holdfast*: one worker.
        - *a loop*: as it comes. It lacks keys.

        <!-- end -->

        After
    "#]]
    .assert_eq(&page);
}
