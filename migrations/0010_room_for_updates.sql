-- A trade is updated twice in its life and a hold once, soon after they were written and, unless a
-- deadline is put off, without touching an indexed column: with this much room the new row version
-- stays on its page, and no index is written.
alter table trade set (fillfactor = 45);
alter table hold set (fillfactor = 50);

-- Whether somebody owes anything is asked for each lock and each withdrawal, and hardly anybody does:
-- a small index says no faster than that of all accounts.
create index account_receivable on account (owner, asset) where purpose = 'receivable';

update schema set version = 10, oldest_binary = 9;
