-- Every statement that settles or records asks for the time. As a function of SQL it was planned anew in each
-- of them, for longer than many of them take; as one of plpgsql it is planned once for a connection.
create or replace function clock() returns timestamptz
    language plpgsql stable parallel safe
    as $$
begin
    return now() + (select shift from clock_shift);
end
$$;

-- Whoever is about to refuse a job looks for what was received earlier about its subject, which is little. With
-- the job in it as well, the index was taken to look jobs up by their numbers, which it can only do by walking
-- through all of it: where the queue was empty when it was vacuumed last, the server takes it to be empty still.
create index outbox_about on outbox (subject);
drop index outbox_subject;
-- The same for the index of what is due: it is in the order of the numbers, and they are not looked up in it.
create index outbox_next on outbox (lane, run_at, (job_id + 0));
drop index outbox_due;

-- What was tried and put back is little and often nothing: every batch asks whether there is any.
create index outbox_waiting on outbox (subject) where attempt > 0;

update schema set version = 13;
