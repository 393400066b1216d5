/// Declares every table that a batch decides on, once: hands the list to a macro.
///
/// A *loaded* table has rows that a batch asks for ([`Want`](crate::Want)), reads, adds and changes
/// ([`Rows`](crate::Rows)). An *appended* one has rows that a batch only adds ([`Log`](crate::Log)). From this list
/// come the fields of the desk, its mark and undo, and what a batch may want; and in the crate `settlement` the
/// statements that load and store, and what decides whether a foreseen batch is the same. There each table has a file
/// `tables/<table>.rs`, and no build without it. The order is that in which their rows are locked and stored.
#[macro_export]
macro_rules! each_table {
    ($declare:ident) => {
        $declare! {
            loaded {
                /// Pauses that a job of the batch names.
                pauses in pause: stored::pause::PauseKey => stored::pause::Paused,
                /// Parked jobs that a job of the batch names, with the decisions about them.
                parked in parked: ids::JobRef => stored::parked::ParkedJob,
                /// People.
                users in app_user: ids::UserId => stored::people::User,
                /// Trades, with their holds.
                trades in trade: ids::TradeId => stored::trade::Trade,
                /// Who shares in the fees of a trade: fixed when it was locked.
                referrals in trade_referral: ids::TradeId => Vec<stored::referral::Referral>,
                /// Deposits.
                deposits in deposit: ids::PaymentKey => stored::deposit::Deposit,
                /// Withdrawals, with their holds and approvals.
                withdrawals in withdrawal: ids::WithdrawalId => stored::withdrawal::Withdrawal,
                /// What is used of the days' limits.
                days in withdrawal_day: stored::withdrawal::DayKey => stored::withdrawal::Day,
            }
            appended {
                /// Pauses and resumptions, by the job that made them.
                pause_changes in pause_change: i64 => stored::pause::PauseChange,
                /// Decisions about parked jobs, by the job that made them.
                decisions in parked_decision: ids::JobRef => stored::parked::DecisionMade,
                /// What was paid to referrers.
                commissions in commission: ledger::JobId => stored::referral::Commission,
                /// Approvals that this batch gives.
                approvals in approval: ledger::JobId => stored::withdrawal::Approval,
                /// What operators set on people.
                flags in user_flag: ledger::JobId => stored::people::Flagged,
                /// What the integrity checks found, by the job that ran them.
                findings in verification: ledger::JobId => stored::verification::Findings,
            }
        }
    };
}
