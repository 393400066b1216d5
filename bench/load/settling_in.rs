//! Who is there before the load: people with money, and trades in every state.

use anyhow::Result;
use jobs::{AnyJob, UserFlag, UserId, UserRegister};
use outbox::Ask;
use rand::SeedableRng;

use super::{CHUNK, Mix, People, Waiting, client, deposit, payment, record, thousand};
use crate::server::Server;

/// Registers people, funds each one's wallet and opens trades until all that follows on one can be had, outside the
/// measured time.
pub(crate) async fn people(server: &Server, count: usize, mix: Mix) -> Result<People> {
    let mut weights = Vec::with_capacity(count);
    let mut sum = 0_u64;
    for rank in 1..=u64::try_from(count)? {
        sum = sum.saturating_add(1_000_000_000 / rank);
        weights.push(sum);
    }
    let mut people = People {
        ids: Vec::new(),
        weights,
        payments: std::cell::Cell::new(5_000_000_000),
        keys: std::cell::Cell::new(0),
        waiting: std::cell::RefCell::default(),
    };
    while people.ids.len() < count {
        // In the money day everybody but the first was brought by somebody; who brings others is there before them.
        let here = people.ids.len();
        let some = here.clamp(1, CHUNK).min(count.saturating_sub(here));
        let newest = here.saturating_sub(some);
        let brought = |place: usize| people.ids.get(newest.saturating_add(place)).filter(|_| mix == Mix::Day).copied();
        let asks: Result<Vec<Ask>> = (0..some)
            .map(|place| client(&people, &AnyJob::UserRegister(UserRegister { referrer_id: brought(place) })))
            .collect();
        let recorded = record(server, &asks?).await?;
        people.ids.extend(recorded.into_iter().map(UserId));
    }
    crate::drain::settle_all(server).await?;
    if mix == Mix::Day {
        know_everybody(server, &people).await?;
    }
    let places: Vec<usize> = (0..count).collect();
    for some in places.chunks(CHUNK) {
        let payments = some.iter().map(|place| payment(&people, *place, "99000")).collect();
        deposit(server, payments).await?;
    }
    crate::drain::settle_all(server).await?;
    let mut rng = rand::rngs::StdRng::seed_from_u64(0);
    let mut waiting = Waiting::default();
    while waiting.1.len() <= people.follow_after() {
        thousand(server, &people, &mut waiting, &mut rng, mix).await?;
    }
    people.waiting.replace(waiting);
    crate::drain::settle_all(server).await?;
    Ok(people)
}

/// An operator lets everybody withdraw, and the limits are wide.
async fn know_everybody(server: &Server, people: &People) -> Result<()> {
    for preparation in [
        "insert into api_key (principal_id, secret_hash, scopes) values (100, sha256('operator'), '{operate}')",
        "update kyc_limit set day_max = 1e27",
    ] {
        sqlx::raw_sql(preparation).execute(&server.owner).await?;
    }
    for some in people.ids.chunks(CHUNK) {
        let flags: Result<Vec<Ask>> = some
            .iter()
            .map(|user_id| {
                let reason = "money day".to_owned();
                let flag = UserFlag { user_id: *user_id, frozen: None, tier: None, kyc: Some(3), reason };
                client(people, &AnyJob::UserFlag(flag))
            })
            .collect();
        record(server, &flags?).await?;
    }
    crate::drain::settle_all(server).await
}
