-- What a worker holds is written anew for each batch and read when a worker died: some sixteen thousand bytes
-- of numbers in order, which were compressed each time for longer than everything else that the note takes.
alter table worker_run alter column holding set storage external;

update schema set version = 12;
