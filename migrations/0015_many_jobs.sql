-- An expiry asks whether anything that was received by its deadline is parked: looked up by what it is about, however
-- much is parked.
create index parked_about on parked (subject);

-- As before, and where two make partitions at once the second waits for the first and finds them made. It used to be
-- refused by the catalogue, with a code that was taken for an error.
create or replace function partitions_ahead(ahead integer default 2) returns integer
    language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '2s'
    as $$
declare
    width constant bigint := 16777216;
    last bigint;
    part bigint;
    made integer := 0;
    parent text;
    child text;
begin
    if ahead not between 0 and 16 then
        raise exception 'partitions_ahead: ahead must be between 0 and 16, not %', ahead;
    end if;
    select last_value into last from job_id;
    for part in last / width .. last / width + ahead loop
        foreach parent in array array['job', 'outcome'] loop
            child := format('%s_p%s', parent, lpad(part::text, 6, '0'));
            if to_regclass(child) is null then
                -- What attaching takes as well.
                lock table only job in share update exclusive mode;
                if to_regclass(child) is not null then
                    continue;
                end if;
                -- Attached rather than created as a partition: that lets readers and writers go on.
                execute format('create table %I (like %I including all)', child, parent);
                execute format('create trigger %I before update or delete or truncate on %I for each statement '
                    'execute function refuse_change(%L)', child || '_append_only', child, parent || ' is append-only');
                execute format('alter table %I enable row level security', child);
                execute format('alter table %I attach partition %I for values from (%s) to (%s)',
                    parent, child, part * width, (part + 1) * width);
                made := made + 1;
            end if;
        end loop;
    end loop;
    return made;
end
$$;

update schema set version = 15;
