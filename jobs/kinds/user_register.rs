use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::{Desk, Want};
use crate::ids::UserId;
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Kind};
use crate::kind_info::{Lane, Origin};
use crate::reason::Reason;
use crate::rows::people::{Referrer, Tier, User};
use crate::subject::{About, SubjectType};

/// Registers a person. Their id is the id of this job.
///
/// The referrer must be registered already and never changes, so no cycle of referrers can form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({})))]
pub struct UserRegister {
    /// Who brought them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer_id: Option<UserId>,
}

impl Kind for UserRegister {
    const NAME: &'static str = "user-register";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Client;
    const ABOUT: About<Self> = About::New(SubjectType::Person);
    const MOVES_MONEY: bool = false;

    fn rows(&self, want: &mut Want) {
        want.users.extend(self.referrer_id);
    }

    fn accounts(&self, _: &Desk, _: &Job, _: &mut Want) {}
}

impl Decide for UserRegister {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let id = UserId(job.id.0);
        if let Some(later) = self.referrer_id.and_then(|referrer| desk.await_user(referrer, job)) {
            return later;
        }
        let referrer = match self.referrer_id {
            None => None,
            Some(id) => match desk.users.get(&id) {
                Some(referrer) => Some(Referrer { id, tier: referrer.tier }),
                None => return Reason::ReferrerUnknown.into(),
            },
        };
        let user = User { referrer, tier: Tier::Standard, frozen: false, kyc: 0, registered_at: desk.now };
        if desk.users.insert(id, user) {
            Verdict::SETTLED
        } else {
            Verdict::contradiction(format!("user {id} exists already"))
        }
    }
}
