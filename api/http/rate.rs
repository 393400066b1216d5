use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use jobs::PrincipalId;

use crate::http::peer::Peer;
use crate::http::problem::Problem;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// After so many visits those who have not come lately are forgotten, so that addresses that
/// nobody uses again do not fill the memory.
const FORGET_EVERY: u32 = 4_096;

/// A rate: so many at once, and then so many a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many a second.
    pub per_second: NonZeroU32,
    /// How many at once.
    pub burst: NonZeroU32,
}

impl Rate {
    /// A rate; nothing is taken for one.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        const fn at_least_one(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MIN,
            }
        }
        Self { per_second: at_least_one(per_second), burst: at_least_one(burst) }
    }
}

/// What everybody may ask of this process, each in a bucket of their own: who has emptied theirs
/// does not slow another.
#[derive(Debug)]
pub(crate) struct Rates {
    principals: Buckets<PrincipalId>,
    visitors: Buckets<Peer>,
    visits: AtomicU32,
}

/// A bucket for each key.
#[derive(Debug)]
struct Buckets<K: Hash + Eq + Clone> {
    name: &'static str,
    rate: Rate,
    levels: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
}

impl Rates {
    pub(crate) fn new(principals: Rate, visitors: Rate) -> Self {
        Self {
            principals: Buckets::new("principal", principals),
            visitors: Buckets::new("address", visitors),
            visits: AtomicU32::new(0),
        }
    }

    /// Takes what any request costs out of its principal's bucket: one.
    ///
    /// # Errors
    /// 429 when it is empty.
    pub(crate) fn request(&self, principal: PrincipalId) -> Result<(), Problem> {
        self.principals.take(&principal, 1)
    }

    /// Takes what a batch costs beyond the one that its request did: as much as it has jobs. One of
    /// more jobs than the bucket holds costs all that it holds, or it could never be had.
    ///
    /// # Errors
    /// 429 when there is not as much in it; then nothing is taken.
    pub(crate) fn batch(&self, principal: PrincipalId, jobs: usize) -> Result<(), Problem> {
        let jobs = u32::try_from(jobs).unwrap_or(u32::MAX).min(self.principals.rate.burst.get());
        self.principals.take(&principal, jobs.saturating_sub(1))
    }

    /// Takes one out of the bucket of somebody without a good key.
    ///
    /// # Errors
    /// 429 when it is empty.
    pub(crate) fn visitor(&self, peer: Peer) -> Result<(), Problem> {
        if self.visits.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_EVERY) {
            self.visitors.levels.retain_recent();
        }
        self.visitors.take(&peer, 1)
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(name: &'static str, rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self { name, rate, levels: DefaultKeyedRateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    fn take(&self, key: &K, cost: u32) -> Result<(), Problem> {
        let Some(cost) = NonZeroU32::new(cost) else {
            return Ok(());
        };
        match self.levels.check_key_n(key, cost) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(self.refusal(not_until.wait_time_from(self.clock.now()).as_millis())),
            // Nothing costs more than the burst.
            Err(_more_than_the_burst) => Err(Problem::internal("a cost above the burst")),
        }
    }

    /// 429, with `RateLimit` and `RateLimit-Policy` as draft-ietf-httpapi-ratelimit-headers has them.
    fn refusal(&self, wait_ms: u128) -> Problem {
        let seconds = u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        let Rate { per_second, burst } = self.rate;
        let window_s = burst.get().div_ceil(per_second.get());
        let value = |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        let name = self.name;
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many requests",
            format!(
                "This server takes {per_second} jobs a second of one {name}, and {burst} at once; try again shortly"
            ),
        )
        .header(header::RETRY_AFTER, HeaderValue::from(seconds))
        .header(RATELIMIT, value(format!("\"{name}\";r=0;t={seconds}")))
        .header(RATELIMIT_POLICY, value(format!("\"{name}\";q={burst};w={window_s}")))
    }
}

#[cfg(test)]
mod tests {
    use jobs::PrincipalId;

    use super::{Rate, Rates};
    use crate::http::peer::Peer;

    #[test]
    fn everybody_has_a_bucket_of_their_own() {
        let rates = Rates::new(Rate::new(1, 10), Rate::new(1, 2));
        let [one, two] = [PrincipalId(100), PrincipalId(101)];
        assert!(rates.request(one).is_ok() && rates.batch(one, 7).is_ok());
        assert!(rates.batch(one, 7).is_err(), "more than is left");
        assert!(rates.batch(one, 4).is_ok(), "what was refused took nothing");
        assert!(rates.request(one).is_err());
        assert!(rates.request(two).is_ok());
        assert!(rates.batch(two, 1_000).is_ok(), "more than it holds is all that it holds");
        assert!(rates.request(two).is_err());
        let [here, there] = ["192.0.2.7", "192.0.2.8"].map(|address| address.parse().map(Peer::at));
        let (Ok(here), Ok(there)) = (here, there) else {
            unreachable!("both are addresses");
        };
        assert!(rates.visitor(here).is_ok() && rates.visitor(here).is_ok());
        assert!(rates.visitor(here).is_err());
        assert!(rates.visitor(there).is_ok());
    }
}
