//! What holds for every decision of an operator.

use crate::kind::Invalid;

/// The longest reason that an operator may give, in characters.
const REASON_CHARS_MAX: usize = 500;

/// Checks the reason that an operator gives.
///
/// # Errors
/// It is empty or too long.
pub(crate) fn check_reason(reason: &str) -> Result<(), Invalid> {
    let length = reason.chars().count();
    if reason.trim().is_empty() || length > REASON_CHARS_MAX {
        let message = format!("say why, in 1 to {REASON_CHARS_MAX} characters");
        return Err(Invalid::new("reason", "reason_length", message));
    }
    Ok(())
}
