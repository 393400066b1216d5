//! The reader on single texts; `properties.rs` compares it with `serde_json` on many.

use super::super::canonical;
use super::super::json::{Fault, read};
use super::super::signature::Form;

fn canonical_of(text: &str) -> String {
    canonical::write(&read(text).unwrap(), Form::Sorted, 0)
}

#[test]
fn strings_are_spelled_as_json_stringify_spells_them() {
    let cases = [
        (r#""\u0041\/\u007f""#, "\"A/\u{7f}\""),
        (r#""\u0008\u0009\u000a\u000c\u000d""#, r#""\b\t\n\f\r""#),
        (r#""\u0000\u001F\u000B""#, r#""\u0000\u001f\u000b""#),
        (r#""\u0022\u005C""#, r#""\"\\""#),
        (r#""\uD83D\uDE80""#, "\"\u{1f680}\""),
        (r#""\uD83D""#, r#""\ud83d""#),
        (r#""\uDE80\uD83D""#, r#""\ude80\ud83d""#),
        (r#""\uD83D\uD83D\uDE80""#, "\"\\ud83d\u{1f680}\""),
        (r#""\uD83Dx\uDE80""#, r#""\ud83dx\ude80""#),
        (r#""\uD83D\n""#, r#""\ud83d\n""#),
        ("\"\u{2028}é\"", "\"\u{2028}é\""),
    ];
    for (text, expected) in cases {
        assert_eq!(canonical_of(text), expected, "{text}");
        assert_eq!(canonical_of(expected), expected, "{text}");
    }
}

#[test]
fn the_grammar_is_strict() {
    let texts = [
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "--1",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "True",
        "\"\t\"",
        "\"\u{0}\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u+123\"",
        "\"\\u12é\"",
        "\"",
        "\"\\",
        "'a'",
        "[",
        "[1",
        "[1 2]",
        "[,]",
        "[1,]",
        "{",
        "{\"a\"",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "1 2",
        "\u{a0}1",
        "/**/1",
        "]",
        "}",
        "1\u{c}",
    ];
    for text in texts {
        assert!(matches!(read(text), Err(Fault::Syntax { .. })), "{text:?}");
    }
    for text in ["0", "-0", "1.50", "1E+05", " \t\r\n[ ] ", "{ }", "\"\"", "null", "true", "false"] {
        assert!(read(text).is_ok(), "{text:?}");
    }
}

#[test]
fn a_fault_says_where() {
    let fault = read("{\"é\": tru}").unwrap_err();
    assert_eq!(fault, Fault::Syntax { offset: 7, expected: "a value" });
}
