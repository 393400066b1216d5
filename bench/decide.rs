//! Deciding alone: how many jobs of the money day one core decides a second, in memory. Reading
//! payloads, checking signatures, loading and storing are not part of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use jobs::{
    AnyJob, AssetTerms, Assets, Day, DepositCredit, Desk, Fact, InboxId, Job, LockEscrow, MakerSide, PaymentKey,
    PrincipalId, Referrer, Refund, Release, Rules, Stage, Tier, TradeEvent, TradeEventName, TradeId, User, UserId,
    UserRegister, Verdict, WithdrawTerms, WithdrawalRequest,
};
use ledger::{Account, AccountId, Amount, Asset, AssetId, Balance, BasisPoints, JobId, Purpose};

use crate::Bench;
use crate::report::{Figure, Goal};

/// What is traded.
const ASSET: AssetId = AssetId::new(1);
/// People on each desk, each with a wallet.
const PEOPLE: i64 = 1_000;
/// How many hundreds of jobs a batch has: of each 25 deposits, 20 locks, 20 marks, 14 releases, 6
/// refunds, 10 withdrawals and 5 registrations.
const HUNDREDS: i64 = 20;

/// Rounds of batches, for a share of the seconds each.
pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let lasting = Duration::from_secs(bench.sizes.seconds.div_ceil(5));
    let rounds = (0..bench.sizes.rounds).map(|_| rate(lasting)).collect::<Result<_>>()?;
    let settings = format!("batches of {}, one core", HUNDREDS * 100);
    let contestant = "holdfast, in memory".to_owned();
    let figure = Figure { measure: "decide", contestant, unit: "jobs/s", rounds, settings, lacks: "" };
    bench.report.figure(&figure, Some(Goal::Least(1_000_000.0)))
}

/// Jobs decided per second.
fn rate(lasting: Duration) -> Result<f64> {
    let (mut jobs, mut spent) = (0_usize, Duration::ZERO);
    while spent < lasting {
        let (mut desk, asked) = batch()?;
        let began = Instant::now();
        for (job, kind) in &asked {
            // As the driver does.
            let mark = desk.mark();
            let verdict = kind.decide(&mut desk, job);
            if !matches!(verdict, Some(Verdict::Settled(_))) {
                desk.undo(mark);
                ensure!(false, "a job of the load was not settled: {verdict:?}");
            }
        }
        spent = spent.saturating_add(began.elapsed());
        jobs = jobs.saturating_add(asked.len());
    }
    Ok(jobs as f64 / spent.as_secs_f64())
}

/// A desk with everything that its jobs touch, and two thousand jobs in the order of receipt.
fn batch() -> Result<(Desk, Vec<(Job, AnyJob)>)> {
    let person = |number: i64| UserId(number.rem_euclid(PEOPLE).saturating_add(1));
    let locks: Vec<(UserId, UserId)> =
        (0..HUNDREDS * 20).map(|at| (person(at / 20 * 7 + at % 20), person(at / 20 * 7 + at % 20 + 31))).collect();
    // The trades of another batch, which these jobs end.
    let mut desk = opened(&locks)?;
    let mut kinds: Vec<AnyJob> = locks.iter().map(|(seller, buyer)| lock(*seller, *buyer)).collect();
    for (trade_id, (_, user_id)) in (1..).map(TradeId).zip(&locks) {
        let (event, user_id) = (TradeEventName::MarkPaid, *user_id);
        kinds.push(AnyJob::TradeEvent(TradeEvent { trade_id, event, user_id, minutes: None }));
    }
    for (trade_id, (seller, buyer)) in (1..).map(TradeId).zip(&locks) {
        kinds.push(if trade_id.0 % 20 < 14 {
            AnyJob::Release(Release { trade_id, user_id: *seller })
        } else {
            AnyJob::Refund(Refund { trade_id, user_id: Some(*buyer) })
        });
    }
    for hundred in 0..HUNDREDS {
        for at in 0..25 {
            let inbox_id = InboxId(hundred * 25 + at + 1);
            desk.inbox.insert(inbox_id, Ok(paid(inbox_id, person(hundred * 3 + at))));
            kinds.push(AnyJob::DepositCredit(DepositCredit { inbox_id }));
        }
        kinds.extend((0..10).map(|at| withdraw(person(hundred * 5 + at))));
        let referrer_id = Some(person(hundred));
        kinds.extend((0..5).map(|_| AnyJob::UserRegister(UserRegister { referrer_id })));
    }
    let asked: Vec<(Job, AnyJob)> = (1_000_000..).zip(kinds).map(|(id, kind)| (job(id), kind)).collect();
    let mut want = jobs::Want::default();
    for (job, kind) in &asked {
        kind.limits(&desk, job, &mut want);
    }
    for key in want.days {
        desk.days.load(key, Day { version: 0, used: Amount::ZERO, max: Amount::ZERO });
    }
    Ok((desk, asked))
}

/// A desk on which a batch has loaded the trades that another has opened, with ids from 1.
fn opened(locks: &[(UserId, UserId)]) -> Result<Desk> {
    let mut before = desk(&accounts()?)?;
    for (id, (seller, buyer)) in (1..).zip(locks) {
        let verdict = lock(*seller, *buyer).decide(&mut before, &job(id));
        ensure!(verdict == Some(Verdict::SETTLED), "a lock of the load was not settled: {verdict:?}");
    }
    let latest = |account: Account| before.book.account(account.id).copied().context("an account of the desk before");
    let mut desk = desk(&accounts()?.into_iter().map(latest).collect::<Result<Vec<_>>>()?)?;
    for id in (1..).map(TradeId).take(locks.len()) {
        let trade = before.trades.get(&id).context("a trade that was opened")?;
        desk.book.load_hold(*before.book.hold(trade.hold).context("its hold")?)?;
        desk.trades.load(id, trade.clone());
        if let Some(fixed) = before.referrals.get(&id) {
            desk.referrals.load(id, fixed.clone());
        }
    }
    Ok(desk)
}

const fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn job(id: i64) -> Job {
    Job { id: JobId(id), submitted_by: PrincipalId(100), received_at: now(), attempt: 0, trace_parent: None }
}

/// Everybody's wallet, and the house's accounts.
fn accounts() -> Result<Vec<Account>> {
    let house = |purpose| Desk::house_stripe(ASSET, purpose, 0);
    let world = (-1, house(Purpose::World), -1_000_000_000_000_000);
    let fees = (PEOPLE.saturating_add(1), house(Purpose::Fee), 0);
    let wallets = (1..=PEOPLE).map(|id| (id, Desk::wallet(UserId(id), ASSET), 1_000_000_000_000));
    let account = |(id, key, posted)| {
        let (id, balance) = (AccountId::new(id).context("an id")?, Balance { posted, held: 0 });
        Ok(Account { id, key, version: 1, balance })
    };
    wallets.chain([world, fees]).map(account).collect()
}

fn desk(accounts: &[Account]) -> Result<Desk> {
    let rate = |bps| BasisPoints::new(bps).context("a rate");
    let withdraw = WithdrawTerms {
        rail: "crypto".to_owned(),
        network: "btc".to_owned(),
        scale: 8,
        min: Amount::ZERO,
        fee: Amount::from_minor(1_000)?,
        network_fee_max: Amount::from_minor(1_000)?,
        two_approvals_above: Amount::MAX,
    };
    let asset = Asset { id: ASSET, code: "btc".to_owned(), scale: 8 };
    let (maker_rate, taker_rate) = (rate(10)?, rate(25)?);
    let terms = AssetTerms { asset, credit_max: Amount::MAX, maker_rate, taker_rate, withdraw };
    let mut rules = Rules::default();
    rules.kyc_limits.insert((3, ASSET), Amount::MAX);
    rules.referral_rates.insert((Tier::Standard, 1), rate(2_000)?);
    let mut desk = Desk::new(now(), 0, Assets::new(vec![terms]), rules);
    for account in accounts {
        desk.book.load_account(*account)?;
    }
    for id in 1..=PEOPLE {
        let referrer = Some(Referrer { id: UserId(id.rem_euclid(PEOPLE).saturating_add(1)), tier: Tier::Standard });
        let user = User { referrer, tier: Tier::Standard, frozen: false, kyc: 3, registered_at: now() };
        desk.users.load(UserId(id), user);
    }
    Ok(desk)
}

fn lock(seller_id: UserId, buyer_id: UserId) -> AnyJob {
    let (asset, amount) = ("btc".to_owned(), "0.0025".to_owned());
    AnyJob::LockEscrow(LockEscrow { seller_id, buyer_id, asset, amount, maker: MakerSide::Seller })
}

fn withdraw(user_id: UserId) -> AnyJob {
    let (asset, amount) = ("btc".to_owned(), "0.0001".to_owned());
    AnyJob::WithdrawalRequest(WithdrawalRequest { user_id, asset, amount, address: "somewhere".to_owned(), memo: None })
}

/// What a signed callback says of a payment that has come.
fn paid(inbox: InboxId, user: UserId) -> Fact {
    Fact {
        stage: Stage::Paid,
        status: "finished".to_owned(),
        payment: PaymentKey { provider: "nowpayments", payment_id: inbox.0.to_string() },
        parent_payment_id: None,
        order_id: Some(jobs::order_id_of(user)),
        outcome: Some(("0.0025".to_owned(), "btc".to_owned())),
    }
}
