//! The schema as the catalogues have it. A change shows up as a change of `tests/schema.txt`;
//! `UPDATE_EXPECT=1 cargo test schema` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write;

use expect_test::expect_file;
use jobs::{KINDS, Origin};

use crate::harness::{Db, SUBMITTER, run};

/// One part of the schema: which relation it belongs to and how it reads, in the order to print.
struct Part {
    relation: String,
    text: String,
}

/// Tables first, then what belongs to each, then functions and sequences. Only what this project
/// made: partitions are listed by their names and guards, since they are copies of their parents.
async fn parts(db: &Db) -> Vec<Part> {
    let rows = sqlx::query!(
        r#"
        with relation as (
            select c.* from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname not like '\_sqlx%'
        ), part as (
            select c.oid, 1 as section, '' as name,
                coalesce('partition of ' || i.inhparent::regclass || ' ' || pg_get_expr(c.relpartbound, c.oid), 'table')
                || coalesce(' ' || pg_get_partkeydef(c.oid), '')
                || case when c.relrowsecurity then ' row security' else '' end
                || coalesce(' with ' || array_to_string(c.reloptions, ', '), '')
                || coalesce(' -- ' || obj_description(c.oid, 'pg_class'), '') as text
            from relation c left join pg_inherits i on i.inhrelid = c.oid
            union all
            select c.oid, 2, lpad(a.attnum::text, 3, '0'),
                'column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
                || case when a.attnotnull then ' not null' else '' end
                || case a.attidentity when 'a' then ' generated always as identity' else '' end
                || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
                || coalesce(' -- ' || col_description(c.oid, a.attnum), '')
            from relation c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
            where not c.relispartition
            union all
            select c.oid, 3, k.conname, 'constraint ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
            from relation c join pg_constraint k on k.conrelid = c.oid
            where not c.relispartition and k.contype in ('c', 'f', 'p', 'u', 'x')
            union all
            select c.oid, 4, x.relname, pg_get_indexdef(x.oid)
            from relation c join pg_index i on i.indrelid = c.oid join pg_class x on x.oid = i.indexrelid
            where not c.relispartition and not exists (select from pg_constraint k where k.conindid = x.oid and k.conrelid = c.oid)
            union all
            select c.oid, 5, t.tgname, pg_get_triggerdef(t.oid)
            from relation c join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
            union all
            select c.oid, 6, p.policyname, 'policy ' || p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(p.roles, ', ')
                || coalesce(' using ' || p.qual, '') || coalesce(' with check ' || p.with_check, '')
            from relation c join pg_policies p on p.schemaname = 'public' and p.tablename = c.relname
            union all
            select c.oid, 7, g.grantee, 'grant ' || lower(string_agg(g.privilege_type, ', ' order by g.privilege_type)) || ' to ' || g.grantee
            from relation c join information_schema.table_privileges g on g.table_schema = 'public' and g.table_name = c.relname
            where g.grantee in ('holdfast_api', 'holdfast_worker', 'PUBLIC')
            group by c.oid, g.grantee
            union all
            select c.oid, 8, r.rolname, 'grant ' || lower(x.privilege_type) || ' (' || string_agg(a.attname, ', ' order by a.attname)
                || ') to ' || r.rolname
            from relation c join pg_attribute a on a.attrelid = c.oid and a.attacl is not null
            cross join lateral aclexplode(a.attacl) x join pg_roles r on r.oid = x.grantee
            group by c.oid, r.rolname, x.privilege_type
            union all
            select p.oid, 9, p.proname, pg_get_functiondef(p.oid)
                || coalesce('-- ' || obj_description(p.oid, 'pg_proc') || chr(10), '')
                || coalesce('granted to ' || (select string_agg(coalesce(r.rolname, 'public'), ', ' order by r.rolname)
                    from aclexplode(p.proacl) x left join pg_roles r on r.oid = x.grantee where r.rolname is distinct from 'postgres'),
                    'granted to all')
            from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'
            union all
            select s.oid, 9, s.relname, 'sequence ' || s.relname || ' ' || format_type(q.seqtypid, null) || ' start ' || q.seqstart
                || coalesce(' granted to ' || (select string_agg(r.rolname || ' ' || lower(x.privilege_type), ', ' order by r.rolname, x.privilege_type)
                    from aclexplode(s.relacl) x join pg_roles r on r.oid = x.grantee where r.rolname <> 'postgres'), '')
            from pg_class s join pg_sequence q on q.seqrelid = s.oid join pg_namespace n on n.oid = s.relnamespace
            where n.nspname = 'public'
        )
        select coalesce(c.relname, '') as "relation!", p.text as "text!"
        from part p left join pg_class c on c.oid = p.oid and c.relkind in ('r', 'p')
        order by c.relname is null, c.relname, p.section, p.name, p.text
        "#
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    rows.into_iter().map(|row| Part { relation: row.relation, text: row.text }).collect()
}

#[tokio::test]
async fn the_schema_is_the_one_on_record() {
    let db = Db::new().await;
    let mut text = String::new();
    let mut relation = None;
    for part in parts(&db).await {
        if relation.as_ref() != Some(&part.relation) {
            writeln!(text, "\n{}", if part.relation.is_empty() { "functions and sequences" } else { &part.relation })
                .unwrap();
            relation = Some(part.relation);
        }
        for line in part.text.lines() {
            writeln!(text, "    {}", line.trim_end()).unwrap();
        }
    }
    expect_file!["schema.txt"].assert_eq(text.trim_start());
}

#[tokio::test]
async fn every_table_and_every_column_is_explained() {
    let db = Db::new().await;
    let silent = sqlx::query_scalar!(
        r#"
        select c.relname || coalesce('.' || a.attname, '') as "what!"
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition and c.relname not like '\_sqlx%'
            and (col_description(c.oid, a.attnum) is null or obj_description(c.oid, 'pg_class') is null)
        order by 1
        "#
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    assert!(silent.is_empty(), "without a comment: {silent:?}");
}

/// Constraints are named by hand, so that an error of the database can be told to a client.
#[tokio::test]
async fn every_constraint_and_index_is_named_after_its_table() {
    let db = Db::new().await;
    let others = sqlx::query_scalar!(
        r#"
        select k.conname::text as "name!" from pg_constraint k join pg_class c on c.oid = k.conrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relname not like '\_sqlx%' and not c.relispartition and k.contype <> 'n'
            and (k.conname not like replace(c.relname, '_', '\_') || '\_%'
                or k.conname ~ '_(pkey|key|fkey|check)[0-9]*$')
        "#
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    assert!(others.is_empty(), "{others:?}");
}

/// The texts in quotes that begin with a letter: the kinds that an expression names.
fn quoted(expression: &str) -> BTreeSet<String> {
    expression.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The database lets the API ask for exactly the kinds that the registry calls a client's, and
/// for the one internal kind that a callback causes.
#[tokio::test]
async fn row_security_and_the_registry_name_the_same_kinds() {
    let db = Db::new().await;
    let policies = sqlx::query!(
        r#"
        select tablename as "table!", with_check as "with_check!" from pg_policies
        where policyname = 'api_records_client_kinds' order by 1
        "#
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    assert_eq!(policies.iter().map(|policy| policy.table.as_str()).collect::<Vec<_>>(), ["job", "request"]);
    let mut expected: BTreeSet<String> =
        KINDS.iter().filter(|kind| kind.origin == Origin::Client).map(|kind| kind.name.to_owned()).collect();
    expected.insert("deposit-credit".to_owned());
    for policy in &policies {
        let mut named = quoted(&policy.with_check);
        named.remove("inbox_id");
        assert_eq!(named, expected, "{}", policy.table);
    }
    let operators = sqlx::query_scalar!(
        r#"select with_check as "with_check!" from pg_policies where policyname = 'api_records_operator_kinds'"#
    );
    let expected: BTreeSet<String> =
        KINDS.iter().filter(|kind| kind.origin == Origin::Operator).map(|kind| kind.name.to_owned()).collect();
    for policy in operators.fetch_all(&db.owner).await.unwrap() {
        let named: BTreeSet<String> =
            quoted(&policy).into_iter().filter(|name| !name.contains("operate") && name != "admin").collect();
        assert_eq!(named, expected);
    }
    for kind in KINDS {
        let statement = format!(
            "insert into job (id, kind, payload, submitted_by, received_at)
            values (nextval('job_id'), '{}', '{{}}', {SUBMITTER}, clock())",
            kind.name
        );
        let allowed = run(&db.api, &statement).await.is_ok();
        assert_eq!(allowed, kind.origin == Origin::Client, "{}", kind.name);
    }
}
