//! The queue on Postgres: what was asked, what has still to happen, what came of it.
//!
//! It knows no kind of job: a payload is text and a lane is a word. One file per verb.

mod append;
mod ask;
mod begin;
mod call;
mod claim;
mod complete;
mod connect;
mod enqueue;
mod nudge;
mod overtaken;
mod park;
mod partitions;
mod pause;
mod record_settled;
mod retention;
mod retry;
mod run;
mod schema;
mod unpark;
mod weather;

pub use append::{COPY_MIN, Column, JsonText, copy_in};
pub use ask::{Ask, SubjectKey, payload_hash};
pub use begin::{begin, begin_as};
pub use call::{CallRow, Kinds, calls_of, claim_leased, end_call, is_any_due, lease_kinds, plan_call, renew};
pub use claim::{Claimed, Cursor, Leased, NO_SUCH_JOB, claim, claim_these, clock, kind_of, lease, open_at};
pub use complete::{Ended, complete};
pub use connect::{
    Role, StartError, connect_options, note_options, open, plan_once, pool_options, refuse_unsafe_server,
    settle_options,
};
pub use enqueue::{Recorded, enqueue, record};
pub use nudge::{Ears, nudge};
pub use overtaken::{behind_waiting, overtaken, received_by};
pub use park::{Parked, park};
pub use partitions::{partitions, partitions_ahead};
pub use pause::{Moment, PutOff, WAKE_MAX, behind_paused, moment, put_off, wake};
pub use record_settled::{Settled, job_ids, record_settled};
pub use retention::{
    Leftover, PayloadFate, PayloadPartition, RETENTION_MONTHS_MIN, RETENTION_SCHEMA, RetentionPlan, copy_kept,
    drop_spent, retention_plan, swap_in,
};
pub use retry::{Postponed, backoff, postpone};
pub use run::{Run, Suspects};
pub use schema::{MIGRATIONS, SCHEMA_VERSION, SchemaError, await_schema, migrate, still_fits};
pub use unpark::{Cancelled, cancel_parked, unpark};
pub use weather::{Trouble, trouble};
