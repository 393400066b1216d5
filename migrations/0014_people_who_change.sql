-- Every batch read the people that it is about under the locks of their wallets, again and again, and people hardly
-- ever change. Now it asks whether any of them has changed since it read them.
create table app_user_change (
    singleton boolean not null default true,
    changes bigint not null default 0,
    constraint app_user_change_pk primary key (singleton),
    constraint app_user_change_one_row check (singleton)
);
comment on table app_user_change is 'How often people were changed: what was read of them holds as long as this does';
comment on column app_user_change.singleton is 'Always true: there is one row';
comment on column app_user_change.changes is 'Moved by a trigger in the transaction that changes anybody';
insert into app_user_change default values;
create trigger app_user_change_no_delete before delete or truncate on app_user_change
    for each statement execute function refuse_change('the count of changes is kept');

-- Security definer: nobody else moves it. Whoever changes people holds their wallets by then, and waits for nobody
-- after it. Where triggers are off (session_replication_role), people must not be changed while workers run.
create function count_app_user_change() returns trigger
    language plpgsql security definer set search_path = public, pg_temp
    as $$
begin
    update app_user_change set changes = changes + 1;
    return null;
end
$$;
comment on function count_app_user_change() is 'Moves app_user_change';
revoke execute on function count_app_user_change() from public;
create trigger app_user_changes_are_counted after update on app_user
    for each statement execute function count_app_user_change();

revoke all on app_user_change from public;
grant select on app_user_change to holdfast_worker;

update schema set version = 14;
