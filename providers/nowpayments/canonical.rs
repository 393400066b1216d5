//! The texts that a signer may have signed in place of the raw bytes.

use super::json::Node;
use super::number;
use super::signature::Form;

/// Writes compact JSON with keys sorted at every level, in the spelling of a form.
///
/// [`Form::Raw`] has no text of its own and is spelled as [`Form::Sorted`].
pub(super) fn write(node: &Node<'_>, form: Form, capacity: usize) -> String {
    let mut out = String::with_capacity(capacity);
    push(&mut out, node, form);
    out
}

fn push(out: &mut String, node: &Node<'_>, form: Form) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(true) => out.push_str("true"),
        Node::Bool(false) => out.push_str("false"),
        Node::Number(token) => match form {
            Form::Raw | Form::Sorted => out.push_str(token),
            Form::EcmaScript | Form::EcmaScriptIndexed => number::push_ecmascript(out, token),
        },
        Node::Text(spelled) => push_string(out, spelled),
        Node::Array(items) => push_array(out, items, form),
        Node::Object(members) => {
            out.push('{');
            for (position, (key, value)) in members.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                push_string(out, key);
                out.push(':');
                push(out, value, form);
            }
            out.push('}');
        }
    }
}

fn push_array(out: &mut String, items: &[Node<'_>], form: Form) {
    let indexed = form == Form::EcmaScriptIndexed;
    out.push(if indexed { '{' } else { '[' });
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        if indexed {
            push_string(out, &position.to_string());
            out.push(':');
        }
        push(out, item, form);
    }
    out.push(if indexed { '}' } else { ']' });
}

fn push_string(out: &mut String, spelled: &str) {
    out.push('"');
    out.push_str(spelled);
    out.push('"');
}
