//! The description of the API as a page to read: one document without script, pictures or anything
//! from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Map, Value};

use crate::openapi::page_text::{curl, pretty, prose, schema_name, shape};

pub(crate) const STYLE: &str = include_str!("page.css");

/// An operation, with its method and path.
#[derive(Clone, Copy)]
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    said: &'a Value,
}

/// The page of a description.
pub(crate) fn page(document: &Value) -> Markup {
    let info = |member: &str| text(document, &format!("/info/{member}"));
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    let operations = operations(document);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (info("title")) " API" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                nav {
                    @for tag in &tags {
                        h2 { (text(tag, "/name")) }
                        ul { @for operation in of_tag(&operations, tag) {
                            li { a href={ "#" (operation.id()) } { (operation.title()) } }
                        } }
                    }
                    h2 { a href="#schemas" { "Schemas" } }
                }
                main {
                    h1 { (info("title")) " API " small { (info("version")) } }
                    (prose(info("description")))
                    p { "This page is made from " a href="/openapi.json" { "/openapi.json" } ". The examples take the \
                        server from " code { "$H" } " and a key from " code { "$KEY" } "." }
                    @for tag in &tags {
                        section {
                            h2 { (text(tag, "/name")) }
                            (prose(text(tag, "/description")))
                            @for operation in of_tag(&operations, tag) { (article(document, operation)) }
                        }
                    }
                    (schemas(document))
                }
            }
        }
    }
}

impl<'a> Operation<'a> {
    fn id(&self) -> &'a str {
        text(self.said, "/operationId")
    }

    fn title(&self) -> &'a str {
        text(self.said, "/summary")
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn members<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let found = members(document, "/paths")
        .flat_map(|(path, item)| members(item, "").map(move |(method, said)| Operation { method, path, said }));
    found.collect()
}

fn of_tag<'a>(operations: &'a [Operation<'a>], tag: &'a Value) -> impl Iterator<Item = &'a Operation<'a>> {
    operations.iter().filter(|operation| text(operation.said, "/tags/0") == text(tag, "/name"))
}

fn article(document: &Value, operation: &Operation<'_>) -> Markup {
    let Operation { method, path, said } = *operation;
    let scopes: Vec<&str> = said
        .pointer("/security/0/key")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let body = said.pointer("/requestBody/content/application~1json/schema");
    html! {
        article id=(operation.id()) {
            h3 { (operation.title()) " " a href={ "#" (operation.id()) } { "#" } }
            p.call { b { (method.to_uppercase()) } " " code { (path) }
                @if !scopes.is_empty() { " scope " code { (scopes.join(" ")) } } }
            (prose(text(said, "/description")))
            pre { (curl(document, method, path, said)) }
            h4 { "Takes" }
            table { tbody {
                @for parameter in said["parameters"].as_array().into_iter().flatten() {
                    tr {
                        td { code { (text(parameter, "/name")) } }
                        td { (text(parameter, "/in"))
                            @if parameter["required"] == true { ", required" } }
                        td { @if let Some(schema) = parameter.get("schema") { (shape(schema)) }
                            " " (prose(text(parameter, "/description"))) }
                    }
                }
                @if let Some(schema) = body {
                    tr { td { "body" } td { "required" } td { (shape(schema)) } }
                }
            } }
            h4 { "Answers" }
            table { tbody { @for (status, answer) in members(said, "/responses") { (row_of(document, said, status, answer)) } } }
        }
    }
}

fn row_of(document: &Value, said: &Value, status: &str, answer: &Value) -> Markup {
    let whole = referred(document, answer);
    let codes = said.pointer(&format!("/x-codes/{status}")).and_then(Value::as_array);
    let headers: Vec<&str> = members(whole, "/headers").map(|(name, _)| name.as_str()).collect();
    html! {
        tr {
            td { b { (status) } }
            td {
                (prose(text(answer, "/description")))
                @for (kind, content) in members(whole, "/content") {
                    p { code { (kind) } " "
                        @if let Some(codes) = codes {
                            "with the code " @for code in codes.iter().filter_map(Value::as_str) { code { (code) } " " }
                        } @else if let Some(schema) = content.get("schema") { (shape(schema)) }
                    }
                    @if let Some(example) = content.get("example") { pre { (pretty(example)) } }
                }
                p.headers { "Headers: " (headers.join(", ")) }
            }
        }
    }
}

/// What an answer refers to, if it does not say everything itself.
fn referred<'a>(document: &'a Value, answer: &'a Value) -> &'a Value {
    let path = answer.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    path.and_then(|path| document.pointer(path)).unwrap_or(answer)
}

fn schemas(document: &Value) -> Markup {
    html! {
        section id="schemas" {
            h2 { "Schemas" }
            @for (name, schema) in members(document, "/components/schemas") {
                article id=(schema_name(name)) {
                    h3 { (name) }
                    (prose(text(schema, "/description")))
                    @let parts = schema.get("allOf").and_then(Value::as_array);
                    @match parts {
                        Some(parts) => { @for part in parts { (fields(part)) } },
                        None => (fields(schema)),
                    }
                    @for example in schema["examples"].as_array().into_iter().flatten() { pre { (pretty(example)) } }
                }
            }
        }
    }
}

/// The fields of an object, or what another schema is.
fn fields(schema: &Value) -> Markup {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if schema.get("properties").is_none() {
        return html! { p { (shape(schema)) } };
    }
    html! {
        table { tbody { @for (name, field) in members(schema, "/properties") {
            tr {
                td { code { (name) } }
                td { @if required.contains(&name.as_str()) { "always" } @else { "if any" } }
                td { (shape(field)) " " (prose(text(field, "/description"))) }
            }
        } } }
        @if schema["additionalProperties"] == false { p { "No other fields." } }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use crate::routes::DESCRIPTION;

    #[test]
    fn nothing_comes_from_elsewhere_and_every_anchor_is_there() {
        let description = DESCRIPTION.as_ref().unwrap();
        let (page, policy) = (&description.page, &description.policy);
        assert!(policy.to_str().is_ok_and(|policy| policy.starts_with("default-src 'none'; style-src 'sha256-")));
        for active in ["<script", "http://", "https://", "javascript:", "<img", "<link", "<iframe", "style="] {
            assert_eq!(page.find(active), None, "{active}");
        }
        let targets = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for target in targets {
            assert!(page.contains(&format!("id=\"{target}\"")), "#{target} leads nowhere");
            count += 1;
        }
        assert!(count > 50, "{count} links");
    }
}
