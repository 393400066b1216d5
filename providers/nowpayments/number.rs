//! Numbers as JavaScript prints them.

/// A token of at most this many digits is exact in a double, and prints as itself.
const EXACT_DIGITS: usize = 15;

/// Appends a JSON number token as `JSON.stringify(JSON.parse(token))` prints it.
///
/// A token that overflows a double becomes `null`, as it does there.
#[allow(
    clippy::disallowed_types,
    reason = "a signer in JavaScript signed the text of a double; no amount is computed here"
)]
pub(super) fn push_ecmascript(out: &mut String, token: &str) {
    if token.len() <= EXACT_DIGITS && token.bytes().all(|digit| digit.is_ascii_digit()) {
        out.push_str(token);
        return;
    }
    let value: f64 = token.parse().unwrap_or(f64::NAN);
    if !value.is_finite() {
        out.push_str("null");
        return;
    }
    let scientific = shortest(value);
    let (sign, magnitude) = match scientific.strip_prefix('-') {
        Some(magnitude) => ("-", magnitude),
        None => ("", scientific.as_str()),
    };
    let (mantissa, exponent) = magnitude.split_once('e').unwrap_or((magnitude, "0"));
    let digits = mantissa.replace('.', "");
    if digits == "0" {
        out.push('0');
        return;
    }
    out.push_str(sign);
    push_digits(out, &digits, exponent.parse().unwrap_or(0));
}

/// The shortest digits that read back as the same double, in scientific notation.
///
/// Of two that are as short and as near ECMAScript takes the even one and `{:e}` the greater,
/// so that `1973403960497704.25` ends in `.2` there and in `.3` here. Rounding the exact value
/// to as many digits takes the even one too. Only a double of many digits has such a tie.
#[allow(
    clippy::disallowed_types,
    clippy::float_cmp,
    reason = "the text of a double is looked for, and it must read back as exactly that"
)]
fn shortest(value: f64) -> String {
    let shortest = format!("{value:e}");
    let mantissa = shortest.split_once('e').map_or(0, |(mantissa, _)| mantissa.len());
    let decimals = mantissa.saturating_sub(if value.is_sign_negative() { 3 } else { 2 });
    if decimals < EXACT_DIGITS.saturating_sub(1) {
        return shortest;
    }
    let nearest = format!("{value:.decimals$e}");
    if nearest.parse() == Ok(value) { nearest } else { shortest }
}

/// `Number::toString` of ECMA-262 for `d.ddd × 10^exponent`.
fn push_digits(out: &mut String, digits: &str, exponent: i32) {
    let point = exponent.saturating_add(1);
    match usize::try_from(point) {
        Ok(point @ 1..=21) => {
            if let Some((whole, fraction)) = digits.split_at_checked(point)
                && !fraction.is_empty()
            {
                out.push_str(whole);
                out.push('.');
                out.push_str(fraction);
            } else {
                out.push_str(digits);
                push_zeros(out, point.saturating_sub(digits.len()));
            }
        }
        Ok(0) | Err(_) if point > -6 => {
            out.push_str("0.");
            push_zeros(out, usize::try_from(point.unsigned_abs()).unwrap_or(0));
            out.push_str(digits);
        }
        Ok(_) | Err(_) => {
            let (first, others) = digits.split_at_checked(1).unwrap_or((digits, ""));
            out.push_str(first);
            if !others.is_empty() {
                out.push('.');
                out.push_str(others);
            }
            out.push('e');
            out.push(if exponent < 0 { '-' } else { '+' });
            out.push_str(&exponent.unsigned_abs().to_string());
        }
    }
}

fn push_zeros(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n('0', count));
}
