//! Is a callback the provider's own?

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;

use super::canonical;
use super::json::{self, Fault};

/// The longest body that is looked at, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// How many arrays and objects may stand inside one another.
pub const DEPTH_MAX: usize = 16;

/// An HMAC-SHA512, in bytes; the header spells it with twice as many hexadecimal digits.
const SIGNATURE_BYTES: usize = 64;

/// The forms tried after the raw bytes, in this order: a number is read as it was sent
/// wherever the signature allows it.
const CANONICAL_FORMS: [Form; 3] = [Form::Sorted, Form::EcmaScript, Form::EcmaScriptIndexed];

/// An IPN secret, ready to sign with. Its `Debug` does not show it.
#[derive(Clone)]
pub struct Secret {
    keyed: Hmac<Sha512>,
}

/// A secret was empty, or nothing but white space: anybody could sign with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty")]
pub struct EmptySecret;

impl Secret {
    /// Takes a secret as it was configured. White space around it is not part of it (the
    /// provider's SDK trims it too), so a file's final newline does no harm.
    ///
    /// # Errors
    /// [`EmptySecret`], with which a process refuses to start.
    pub fn new(text: &str) -> Result<Self, EmptySecret> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(EmptySecret);
        }
        // An HMAC takes a key of any length, so the only error here is the one above.
        let keyed = Hmac::new_from_slice(trimmed.as_bytes()).map_err(|_| EmptySecret)?;
        Ok(Self { keyed })
    }

    /// Compares in constant time.
    fn signed(&self, text: &[u8], claimed: &[u8; SIGNATURE_BYTES]) -> bool {
        self.keyed.clone().chain_update(text).verify_slice(claimed).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What of a body its signer signed. Clients of the provider disagree, so four are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The bytes as they were sent: what production sends.
    Raw,
    /// Keys sorted at every level, numbers verbatim, arrays kept.
    Sorted,
    /// As `Sorted`, numbers as JavaScript prints them (the provider's SDK).
    EcmaScript,
    /// As `EcmaScript`, arrays as objects keyed by index (the documented Node sample).
    EcmaScriptIndexed,
}

impl Form {
    /// A short name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Sorted => "sorted",
            Self::EcmaScript => "ecmascript",
            Self::EcmaScriptIndexed => "ecmascript_indexed",
        }
    }

    /// Whether numbers were read as they were sent, not as a double that may have lost digits.
    pub(super) const fn keeps_integers(self) -> bool {
        match self {
            Self::Raw | Self::Sorted => true,
            Self::EcmaScript | Self::EcmaScriptIndexed => false,
        }
    }
}

/// A text that the provider signed. Only [`verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    form: Form,
    text: String,
}

impl Signed {
    /// Which form matched.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The text that was signed, byte for byte: JSON without duplicate keys.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Why a callback is not taken for the provider's. None of them is ever overridden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no secret to verify with.
    #[error("no secret is configured")]
    NoSecret,
    /// The request has no signature.
    #[error("the signature header is missing")]
    MissingSignature,
    /// The header is not 128 characters long.
    #[error("the signature header is {length} bytes long, not 128")]
    SignatureLength {
        /// Its length in bytes.
        length: usize,
    },
    /// The header has a character that is not a hexadecimal digit.
    #[error("the signature header is not hexadecimal")]
    SignatureNotHex,
    /// The body is longer than [`BODY_BYTES_MAX`].
    #[error("the body is {length} bytes long, more than {BODY_BYTES_MAX}")]
    BodyTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The body is not UTF-8.
    #[error("the body is not UTF-8 after byte {offset}")]
    NotUtf8 {
        /// Where it stops being UTF-8, in bytes.
        offset: usize,
    },
    /// The body is not JSON.
    #[error("the body is not JSON: expected {expected} at byte {offset}")]
    NotJson {
        /// Where it stops being JSON, in bytes.
        offset: usize,
        /// What should have stood there.
        expected: &'static str,
    },
    /// An object names a key twice, so that two readers could read two facts.
    #[error("the object at byte {offset} has a key twice")]
    DuplicateKey {
        /// Where the object begins, in bytes.
        offset: usize,
    },
    /// More than [`DEPTH_MAX`] arrays and objects stand inside one another.
    #[error("nesting at byte {offset} is deeper than {DEPTH_MAX}")]
    TooDeep {
        /// Where the first one too deep begins, in bytes.
        offset: usize,
    },
    /// No form of the body matches the signature under any secret.
    #[error("the signature does not match")]
    Mismatch,
}

impl Refusal {
    /// A stable name for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::MissingSignature => "missing_signature",
            Self::SignatureLength { .. } => "signature_length",
            Self::SignatureNotHex => "signature_not_hex",
            Self::BodyTooLong { .. } => "body_too_long",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NotJson { .. } => "not_json",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::TooDeep { .. } => "too_deep",
            Self::Mismatch => "mismatch",
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax { offset, expected } => Self::NotJson { offset, expected },
            Fault::DuplicateKey { offset } => Self::DuplicateKey { offset },
            Fault::TooDeep { offset } => Self::TooDeep { offset },
        }
    }
}

/// Verifies a callback: `body` as it was received, `header` the value of
/// `x-nowpayments-sig`, `secrets` the current one and, during a rotation, the other.
///
/// The comparison takes constant time. Which form matched is no secret, so the forms are
/// tried one after another: the raw bytes first, which is what production signs.
///
/// # Errors
/// A [`Refusal`]: nothing in the body may be believed. Whoever calls answers with an error
/// and stores nothing.
pub fn verify(body: &[u8], header: Option<&str>, secrets: &[Secret]) -> Result<Signed, Refusal> {
    if secrets.is_empty() {
        return Err(Refusal::NoSecret);
    }
    let claimed = signature(header.ok_or(Refusal::MissingSignature)?)?;
    if body.len() > BODY_BYTES_MAX {
        return Err(Refusal::BodyTooLong { length: body.len() });
    }
    let signed = |text: &[u8]| secrets.iter().fold(false, |any, secret| any | secret.signed(text, &claimed));
    let raw = signed(body);
    let text = str::from_utf8(body).map_err(|error| Refusal::NotUtf8 { offset: error.valid_up_to() })?;
    let node = json::read(text)?;
    if raw {
        return Ok(Signed { form: Form::Raw, text: text.to_owned() });
    }
    let mut tried = text.to_owned();
    for form in CANONICAL_FORMS {
        let canonical = canonical::write(&node, form, text.len());
        // Most bodies read the same in several forms; the same text need not be signed twice.
        if canonical == tried {
            continue;
        }
        if signed(canonical.as_bytes()) {
            return Ok(Signed { form, text: canonical });
        }
        tried = canonical;
    }
    Err(Refusal::Mismatch)
}

fn signature(header: &str) -> Result<[u8; SIGNATURE_BYTES], Refusal> {
    let mut bytes = [0; SIGNATURE_BYTES];
    match hex::decode_to_slice(header, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(hex::FromHexError::InvalidHexCharacter { .. }) => Err(Refusal::SignatureNotHex),
        Err(hex::FromHexError::OddLength | hex::FromHexError::InvalidStringLength) => {
            Err(Refusal::SignatureLength { length: header.len() })
        }
    }
}
