//! The small parts of the page: sentences, schemas and examples.

use maud::{Markup, html};
use serde_json::Value;

/// Paragraphs, with `code` and **stress**.
pub(crate) fn prose(text: &str) -> Markup {
    html! { @for paragraph in text.split("\n\n").filter(|text| !text.is_empty()) { p { (line(paragraph)) } } }
}

fn line(text: &str) -> Markup {
    html! {
        @for (number, part) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else {
                @for (number, part) in part.split("**").enumerate() {
                    @if number % 2 == 1 { b { (part) } } @else { (part) }
                }
            }
        }
    }
}

/// The place of a schema on the page.
pub(crate) fn schema_name(name: &str) -> String {
    format!("schema-{name}")
}

/// What a schema is, in a few words; another one by its name.
pub(crate) fn shape(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return html! { a href={ "#" (schema_name(name)) } { (name) } };
    }
    for (member, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if let Some(parts) = schema[member].as_array() {
            return html! { @for (number, part) in parts.iter().enumerate() {
                @if number > 0 { (between) } (shape(part))
            } };
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return html! { @for (number, value) in values.iter().enumerate() {
            @if number > 0 { " or " } code { (value) }
        } };
    }
    if let Some(items) = schema.get("items") {
        return html! { "array of " (shape(items)) };
    }
    if let (Some(title), Some(properties)) = (schema["title"].as_str(), schema["properties"].as_object()) {
        return html! { (title) " {" @for (number, (name, field)) in properties.iter().enumerate() {
            @if number > 0 { "," } " " (name) ": " (shape(field))
        } " }" };
    }
    let kind = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "anything".to_owned(),
    };
    html! {
        (kind)
        @if let Some(format) = schema["format"].as_str() { ", " (format) }
        @if let Some(pattern) = schema["pattern"].as_str() { " " code { (pattern) } }
        @for (member, words) in [("minimum", "at least"), ("maximum", "at most")] {
            @if let Some(bound) = schema[member].as_number() { ", " (words) " " (bound) }
        }
    }
}

/// JSON over several lines.
pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// A call of an operation as it is typed into a shell, with the examples of the document.
pub(crate) fn curl(document: &Value, method: &str, path: &str, said: &Value) -> String {
    let path = path.replace("{id}", id_of(path));
    let mut call = format!("curl -s \"$H{path}\"");
    let mut add = |words: &str| {
        call.push_str(" \\\n  ");
        call.push_str(words);
    };
    if said.pointer("/security/0/key").is_some() {
        add("-H \"authorization: Bearer $KEY\"");
    }
    for parameter in said["parameters"].as_array().into_iter().flatten() {
        if parameter["required"] == true && parameter["in"] == "header" {
            let (name, example) = (&parameter["name"], &parameter["example"]);
            let (name, example) = (name.as_str().unwrap_or_default(), example.as_str().unwrap_or_default());
            add(&format!("-H '{}: {example}'", name.to_lowercase()));
        }
    }
    if method == "post" {
        add("-H 'content-type: application/json'");
        let body = body_example(document, said).map_or_else(|| "…".to_owned(), ToString::to_string);
        add(&format!("-d '{body}'"));
    }
    call
}

/// The example of a body: the operation's own, or that of its schema.
fn body_example<'a>(document: &'a Value, said: &'a Value) -> Option<&'a Value> {
    let content = said.pointer("/requestBody/content/application~1json")?;
    content.get("example").or_else(|| {
        let name = content.pointer("/schema/$ref")?.as_str()?.rsplit('/').next()?;
        document.pointer(&format!("/components/schemas/{name}/examples/0"))
    })
}

/// The id that the examples of a path are about.
fn id_of(path: &str) -> &'static str {
    if path.starts_with("/v1/users/") { "2" } else { "4" }
}

#[cfg(test)]
mod tests {
    use super::{prose, shape};
    use serde_json::json;

    #[test]
    fn sentences_are_escaped_and_marked_up() {
        assert_eq!(
            prose("**A** `<b>` & c\n\nd").into_string(),
            "<p><b>A</b> <code>&lt;b&gt;</code> &amp; c</p><p>d</p>"
        );
    }

    #[test]
    fn a_schema_is_told_in_a_few_words() {
        let told = |schema| shape(&schema).into_string();
        assert_eq!(told(json!({"$ref": "#/components/schemas/Id"})), "<a href=\"#schema-Id\">Id</a>");
        assert_eq!(told(json!({"type": ["string", "null"], "pattern": "^a$"})), "string or null <code>^a$</code>");
        assert_eq!(told(json!({"type": "integer", "minimum": 1, "maximum": 9})), "integer, at least 1, at most 9");
        assert_eq!(told(json!({})), "anything");
    }
}
