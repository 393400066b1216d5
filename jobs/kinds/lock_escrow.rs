use ledger::{Amount, AssetId, HoldSubject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::{Desk, Want};
use crate::ids::{TradeId, UserId};
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Invalid, Kind};
use crate::kind_info::{Lane, Origin};
use crate::machines::trade::TradeState;
use crate::policy::receivable;
use crate::policy::shares::fixed_at_lock;
use crate::reason::Reason;
use crate::rows::trade::{MakerSide, Trade};
use crate::subject::{About, SubjectType};
use crate::terms::{AssetTerms, Assets};

/// Opens a trade: sets aside exactly the traded amount in the seller's wallet. The id of the
/// trade and of its hold is the id of this job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"seller_id": "1", "buyer_id": "2", "asset": "btc", "amount": "0.1", "maker": "seller"})))]
pub struct LockEscrow {
    /// Whose money is held.
    pub seller_id: UserId,
    /// Who receives it on release.
    pub buyer_id: UserId,
    /// Code of the asset.
    #[schema(pattern = "^[a-z0-9]{2,20}$", examples("btc"))]
    pub asset: String,
    /// Decimal text, exact in the asset's scale, above zero.
    #[schema(pattern = "^(0|[1-9][0-9]{0,28})(\\.[0-9]+)?$", examples("0.1"))]
    pub amount: String,
    /// Whose offer it was; decides who pays which fee rate.
    pub maker: MakerSide,
}

impl LockEscrow {
    fn read<'a>(&self, assets: &'a Assets) -> Result<(&'a AssetTerms, Amount), Invalid> {
        let terms =
            assets.by_code(&self.asset).ok_or_else(|| Invalid::new("asset", "asset_unknown", "no such asset"))?;
        let amount = terms.asset.parse(&self.amount).map_err(|error| Invalid::amount("amount", error))?;
        if amount.is_zero() {
            return Err(Invalid::new("amount", "amount_zero", "the amount is zero"));
        }
        if self.seller_id == self.buyer_id {
            return Err(Invalid::new("buyer_id", "self_trade", "seller and buyer are the same user"));
        }
        Ok((terms, amount))
    }
}

impl Kind for LockEscrow {
    const NAME: &'static str = "lock-escrow";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Client;
    const ABOUT: About<Self> = About::New(SubjectType::Trade);

    fn check(&self, assets: &Assets) -> Result<(), Invalid> {
        self.read(assets).map(|_| ())
    }

    fn rows(&self, want: &mut Want) {
        want.users.extend([self.seller_id, self.buyer_id]);
    }

    fn accounts(&self, desk: &Desk, _: &Job, want: &mut Want) {
        if let Some(terms) = desk.assets.by_code(&self.asset) {
            // A seller without a wallet has nothing to lock, so none is made for them.
            want.existing.insert(Desk::wallet(self.seller_id, terms.asset.id));
            want.existing.insert(Desk::receivable(self.seller_id, terms.asset.id));
        }
    }

    fn assets(&self, desk: &Desk) -> Vec<AssetId> {
        desk.assets.by_code(&self.asset).map(|terms| terms.asset.id).into_iter().collect()
    }
}

impl Decide for LockEscrow {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let assets = desk.assets.clone();
        let (terms, amount) = match self.read(&assets) {
            Ok(read) => read,
            Err(invalid) if invalid.code == "self_trade" => return Reason::SelfTrade.into(),
            Err(_) => return Reason::PayloadInvalid.into(),
        };
        if let Some(later) = [self.seller_id, self.buyer_id].into_iter().find_map(|user| desk.await_user(user, job)) {
            return later;
        }
        let (Some(seller), Some(buyer)) = (desk.users.get(&self.seller_id), desk.users.get(&self.buyer_id)) else {
            return Reason::UserUnknown.into();
        };
        if seller.frozen {
            return Reason::UserFrozen.into();
        }
        if receivable::owes(desk, self.seller_id, terms.asset.id) {
            return Reason::Owes.into();
        }
        let referrals = match self.maker {
            MakerSide::Seller => fixed_at_lock(desk, seller, buyer),
            MakerSide::Buyer => fixed_at_lock(desk, buyer, seller),
        };
        let Some(wallet) = desk.book.account_id(&Desk::wallet(self.seller_id, terms.asset.id)) else {
            return Reason::InsufficientFunds.into();
        };
        let id = TradeId(job.id.0);
        let hold = match desk.book.open_hold(job.id, wallet, HoldSubject(id.0), amount) {
            Ok(hold) => hold,
            Err(error) => return error.into(),
        };
        let trade = Trade {
            seller: self.seller_id,
            buyer: self.buyer_id,
            asset: terms.asset.id,
            amount,
            hold,
            state: TradeState::AwaitingPayment,
            maker: self.maker,
            maker_rate: terms.maker_rate,
            taker_rate: terms.taker_rate,
            fees: None,
            opened_at: desk.now,
            pay_by: desk.now.checked_add_signed(desk.rules.pay_window).unwrap_or(desk.now),
            paid_at: None,
            closed_at: None,
            timer: 1,
            extended_at: None,
            undone_at: None,
            ended_at: None,
            commissioned: Amount::ZERO,
        };
        if desk.trades.insert(id, trade) && (referrals.is_empty() || desk.referrals.insert(id, referrals)) {
            Verdict::SETTLED
        } else {
            Verdict::contradiction(format!("trade {id} exists already"))
        }
    }
}
