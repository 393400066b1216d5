-- Every statement that settles or records asks for the time. As a function of SQL it was planned anew in each
-- of them, for longer than many of them take; as one of plpgsql it is planned once for a connection.
create or replace function clock() returns timestamptz
    language plpgsql stable parallel safe
    as $$
begin
    return now() + (select shift from clock_shift);
end
$$;

update schema set version = 13;
