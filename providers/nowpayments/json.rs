//! A strict reader of RFC 8259 that keeps what `serde_json` hides and a signature covers:
//! number tokens as they were spelled, lone surrogates, and duplicate keys.

use std::borrow::Cow;

use super::signature::DEPTH_MAX;
use super::spelling::{flush, key_order, push_unit};

/// A value of a JSON text.
///
/// Strings and keys are held as `JSON.stringify` spells them, without the quotes. That
/// spelling is unique for a string, so two strings are equal when their spellings are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    /// The token, verbatim.
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    /// In the order in which a JavaScript object filled in sorted order lists its keys.
    Object(Vec<Member<'a>>),
}

/// A key, spelled canonically, and its value.
pub(super) type Member<'a> = (Cow<'a, str>, Node<'a>);

/// Why a text is refused; offsets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Syntax { offset: usize, expected: &'static str },
    DuplicateKey { offset: usize },
    TooDeep { offset: usize },
}

/// Reads a whole text.
pub(super) fn read(text: &str) -> Result<Node<'_>, Fault> {
    let mut reader = Reader { text, rest: text };
    let node = reader.value(0)?;
    reader.skip_space();
    if reader.rest.is_empty() { Ok(node) } else { Err(reader.expected("the end of the text")) }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn offset(&self) -> usize {
        self.text.len().saturating_sub(self.rest.len())
    }

    fn expected(&self, expected: &'static str) -> Fault {
        Fault::Syntax { offset: self.offset(), expected }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes the first `count` bytes, which end at a character's boundary.
    fn take(&mut self, count: usize) -> Result<&'a str, Fault> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.expected("more text")),
        }
    }

    /// Reads a value that stands inside `depth` arrays and objects.
    fn value(&mut self, depth: usize) -> Result<Node<'a>, Fault> {
        self.skip_space();
        match self.rest.bytes().next() {
            Some(b'{') => self.object(self.deeper(depth)?),
            Some(b'[') => self.array(self.deeper(depth)?),
            Some(b'"') => self.string().map(Node::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) if self.eat("null") => Ok(Node::Null),
            Some(_) if self.eat("true") => Ok(Node::Bool(true)),
            Some(_) if self.eat("false") => Ok(Node::Bool(false)),
            Some(_) | None => Err(self.expected("a value")),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, Fault> {
        let depth = depth.saturating_add(1);
        if depth > DEPTH_MAX {
            return Err(Fault::TooDeep { offset: self.offset() });
        }
        Ok(depth)
    }

    fn array(&mut self, depth: usize) -> Result<Node<'a>, Fault> {
        self.take(1)?;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat("]") {
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.eat("]") {
                return Ok(Node::Array(items));
            }
            if !self.eat(",") {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node<'a>, Fault> {
        let offset = self.offset();
        self.take(1)?;
        let mut members: Vec<Member<'a>> = Vec::new();
        self.skip_space();
        if self.eat("}") {
            return Ok(Node::Object(members));
        }
        loop {
            self.skip_space();
            if !self.rest.starts_with('"') {
                return Err(self.expected("a key"));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.eat(":") {
                return Err(self.expected("`:`"));
            }
            members.push((key, self.value(depth)?));
            self.skip_space();
            if self.eat("}") {
                break;
            }
            if !self.eat(",") {
                return Err(self.expected("`,` or `}`"));
            }
        }
        members.sort_by(|(left, _), (right, _)| key_order(left, right));
        let mut pairs = members.iter().zip(members.iter().skip(1));
        if pairs.any(|((left, _), (right, _))| left == right) {
            return Err(Fault::DuplicateKey { offset });
        }
        Ok(Node::Object(members))
    }

    fn number(&mut self) -> Result<Node<'a>, Fault> {
        let start = self.rest;
        self.eat("-");
        if !self.eat("0") {
            self.digits()?;
        }
        if self.eat(".") {
            self.digits()?;
        }
        if self.eat("e") || self.eat("E") {
            if !self.eat("+") {
                self.eat("-");
            }
            self.digits()?;
        }
        let length = start.len().saturating_sub(self.rest.len());
        self.rest = start;
        self.take(length).map(Node::Number)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let rest = self.rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        if rest.len() == self.rest.len() {
            return Err(self.expected("a digit"));
        }
        self.rest = rest;
        Ok(())
    }

    /// Reads a string and spells it as `JSON.stringify` does.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.take(1)?;
        let plain = self.plain()?;
        if self.eat("\"") {
            return Ok(Cow::Borrowed(plain));
        }
        let mut spelled = plain.to_owned();
        let mut high = None;
        loop {
            if self.eat("\"") {
                flush(&mut spelled, &mut high);
                return Ok(Cow::Owned(spelled));
            }
            if self.eat("\\") {
                let unit = self.escape()?;
                push_unit(&mut spelled, &mut high, unit);
            } else {
                flush(&mut spelled, &mut high);
                let plain = self.plain()?;
                if plain.is_empty() {
                    return Err(self.expected("a character of a string"));
                }
                spelled.push_str(plain);
            }
        }
    }

    /// Takes the characters up to the next quote, backslash or control character.
    fn plain(&mut self) -> Result<&'a str, Fault> {
        let special = |byte: u8| byte == b'"' || byte == b'\\' || byte < b' ';
        match self.rest.bytes().position(special) {
            Some(length) => self.take(length),
            None => Err(self.expected("the end of a string")),
        }
    }

    /// Reads what follows a backslash: one UTF-16 code unit.
    fn escape(&mut self) -> Result<u16, Fault> {
        let Some(letter) = self.rest.bytes().next() else {
            return Err(self.expected("an escape"));
        };
        let unit = match letter {
            b'"' | b'\\' | b'/' => u16::from(letter),
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b't' => 0x09,
            b'u' => {
                self.take(1)?;
                let hex = self.rest.get(..4).filter(|hex| hex.bytes().all(|d| d.is_ascii_hexdigit()));
                let Some(unit) = hex.and_then(|hex| u16::from_str_radix(hex, 16).ok()) else {
                    return Err(self.expected("four hexadecimal digits"));
                };
                self.take(4)?;
                return Ok(unit);
            }
            _ => return Err(self.expected("an escape")),
        };
        self.take(1)?;
        Ok(unit)
    }
}
