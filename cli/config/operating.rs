use std::time::Duration;

use super::read_filled;
use crate::failure::Failure;

pub(super) const KEY: &str = "HOLDFAST_KEY";
const URL: &str = "HOLDFAST_URL";
pub(super) const VERIFY_EVERY: &str = "HOLDFAST_VERIFY_EVERY";

/// How often the integrity checks run: the flag, then `HOLDFAST_VERIFY_EVERY`, then an hour.
/// `None` for never.
///
/// # Errors
/// It does not read as a time.
pub(crate) fn verify_every(flag: Option<String>) -> Result<Option<Duration>, Failure> {
    let (name, text) = match flag {
        Some(text) => ("--verify-every", text),
        None => (VERIFY_EVERY, read_filled(VERIFY_EVERY)?.unwrap_or_else(|| "1h".to_owned())),
    };
    let every = duration(&text).ok_or_else(|| {
        Failure::configuration(format!("{name} is {text:?}, which is no time; such as 90s, 15m or 1h, or 0 for never"))
    })?;
    Ok((!every.is_zero()).then_some(every))
}

/// A number of seconds, minutes, hours or days; without a unit it is seconds.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit_s) = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("", 1)]
        .into_iter()
        .find_map(|(unit, unit_s)| text.strip_suffix(unit).map(|number| (number, unit_s)))?;
    number.parse::<u32>().ok().map(|number| Duration::from_secs(u64::from(number).saturating_mul(unit_s)))
}

/// Where the API is, and the key of whoever operates.
///
/// # Errors
/// There is no key, or the address is none.
pub(crate) fn operator() -> Result<(String, String), Failure> {
    let url = read_filled(URL)?.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Failure::configuration(format!(
            "{URL} is {url:?}, which is no address of an API; it reads https://holdfast.example"
        )));
    }
    let key = read_filled(KEY)?.ok_or_else(|| {
        Failure::configuration(format!(
            "{KEY} is not set; set it to a key of your own with the scope operate, which              `holdfast key create --name YOU --scope operate` makes: what you do is recorded under your name"
        ))
    })?;
    Ok((url.trim_end_matches('/').to_owned(), key))
}
