use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::{Desk, Want};
use crate::ids::UserId;
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Invalid, Kind};
use crate::kind_info::{Lane, Origin, Scope};
use crate::reason::Reason;
use crate::rows::people::{Flagged, Tier};
use crate::subject::About;
use crate::terms::Assets;

/// Longest reason, in bytes.
const REASON_MAX: usize = 400;
/// The best that anybody can be known.
const KYC_MAX: i16 = 3;

/// An operator sets something on a person: freezes them, or changes their referral tier or how
/// well they are known. What is left out stays; every change is kept with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserFlag {
    /// On whom.
    pub user_id: UserId,
    /// A frozen person may neither lock nor withdraw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<bool>,
    /// Referral tier; trades that are locked keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// How well they are known, from 0 to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kyc: Option<i16>,
    /// Why; no personal data.
    pub reason: String,
}

impl Kind for UserFlag {
    const NAME: &'static str = "user-flag";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Client;
    const ABOUT: About<Self> = About::Person(|job| job.user_id);

    fn scope(&self) -> Scope {
        Scope::Operate
    }

    fn check(&self, _: &Assets) -> Result<(), Invalid> {
        if self.frozen.is_none() && self.tier.is_none() && self.kyc.is_none() {
            return Err(Invalid::new("frozen", "nothing_set", "one of frozen, tier and kyc has to be given"));
        }
        if self.kyc.is_some_and(|kyc| !(0..=KYC_MAX).contains(&kyc)) {
            return Err(Invalid::new("kyc", "kyc_range", format!("kyc is 0 to {KYC_MAX}")));
        }
        if self.reason.is_empty() || self.reason.len() > REASON_MAX {
            return Err(Invalid::new("reason", "text_form", format!("a reason has 1 to {REASON_MAX} bytes")));
        }
        Ok(())
    }

    fn rows(&self, want: &mut Want) {
        want.users.insert(self.user_id);
        want.flagged.insert(self.user_id);
    }

    /// All wallets: who locks or withdraws at the same time holds one of them.
    fn accounts(&self, desk: &Desk, job: &Job, want: &mut Want) {
        want.existing.extend(desk.assets.iter().map(|terms| Desk::wallet(self.user_id, terms.asset.id)));
        want.principals.insert(job.submitted_by);
    }
}

impl Decide for UserFlag {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let Some(by) = desk.principals.get(&job.submitted_by).filter(|by| by.operates) else {
            return Reason::NotAnOperator.into();
        };
        if by.user == Some(self.user_id) {
            return Reason::OwnAccount.into();
        }
        if let Some(later) = desk.await_user(self.user_id, job) {
            return later;
        }
        let Some(user) = desk.users.get(&self.user_id).cloned() else {
            return Reason::UserUnknown.into();
        };
        let mut then = user;
        then.frozen = self.frozen.unwrap_or(then.frozen);
        then.tier = self.tier.unwrap_or(then.tier);
        then.kyc = self.kyc.unwrap_or(then.kyc);
        let flagged =
            Flagged { user: self.user_id, by: job.submitted_by, then: then.clone(), reason: self.reason.clone() };
        let stored = desk.users.update(&self.user_id, |user| *user = then) && desk.flags.append(job.id, flagged);
        debug_assert!(stored, "the person was just found and a job flags once");
        Verdict::SETTLED
    }
}
