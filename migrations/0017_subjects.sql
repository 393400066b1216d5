-- What a job is about is a sort of thing and a number. The number alone did not tell: a client may name that of a person as
-- a trade's. Rows that are there already, and those that a binary for schema 16 writes beside newer ones, have none, and
-- count as every sort of their number, as they did before.
alter table outbox add column subject_type text
    constraint outbox_subject_type_known check (subject_type in ('trade', 'withdrawal', 'person', 'payment', 'job'));
alter table parked add column subject_type text
    constraint parked_subject_type_known check (subject_type in ('trade', 'withdrawal', 'person', 'payment', 'job'));
comment on column outbox.subject is 'Number of what the job is about: of the job itself, or of what its payload names';
comment on column outbox.subject_type is 'Sort of what the job is about; null in rows of binaries for schema 16 and older';
comment on column parked.subject_type is 'As in the outbox';

update schema set version = 17;
