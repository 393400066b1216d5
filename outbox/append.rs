//! Appending many rows at once.

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo};
use sqlx::{PgConnection, Postgres, Type};

/// From so many rows on `copy` is cheaper than `insert … select from unnest`: it writes a page at a time
/// to the table and to the log, and builds no rows of its own first; but it asks for one round trip more.
pub const COPY_MIN: usize = 128;

/// Appends rows that are given column by column, and says how many were written: by one `insert` from
/// `unnest`, which is checked against the schema when this is compiled, or by a binary `copy`, which takes
/// the same columns and the same bytes, once there are [`COPY_MIN`] rows. Either way it is one statement,
/// every constraint is checked, and one row that is refused refuses them all.
///
/// ```ignore
/// append!(db, rows, "transfer" ("job_id, leg") from ("$1::bigint[], $2::smallint[]"): &jobs, &legs)
/// ```
///
/// A table with row security takes no `copy`, and a `copy` knows no `on conflict`.
///
/// # Errors
/// Any error of the database.
#[macro_export]
macro_rules! append {
    ($db:expr, $rows:expr, $table:tt ($columns:tt) from ($types:tt): $(&$column:expr),+ $(,)?) => {
        async {
            let rows: usize = $rows;
            if rows >= $crate::COPY_MIN {
                let statement = concat!("copy ", $table, " (", $columns, ") from stdin (format binary)");
                return $crate::copy_in($db, statement, rows, &[$(&$column as &(dyn $crate::Column + Sync)),+]).await;
            }
            let inserted = sqlx::query!(
                "insert into " + $table + " (" + $columns + ") select * from unnest(" + $types + ")",
                $(&$column as _),+
            );
            inserted.execute($db).await.map(|result| result.rows_affected())
        }
    };
}

/// A column of rows that are to be appended.
pub trait Column {
    /// Writes one value as Postgres reads it in binary, without its length.
    ///
    /// # Errors
    /// The value cannot be written, or there is none.
    fn put(&self, row: usize, into: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError>;
}

impl<'q, T: Encode<'q, Postgres>> Column for Vec<T> {
    fn put(&self, row: usize, into: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.get(row).ok_or("a column that is shorter than the others")?.encode_by_ref(into)
    }
}

/// Appends rows by a binary `copy … from stdin`; [`append!`] says when. Whoever drops this before it is ready must
/// close the connection: it does not know then how many answers are still to come.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::Encode`].
pub async fn copy_in(
    db: &mut PgConnection,
    statement: &str,
    rows: usize,
    columns: &[&(dyn Column + Sync)],
) -> Result<u64, sqlx::Error> {
    let written = written(rows, columns).map_err(sqlx::Error::Encode)?;
    let mut copy = db.copy_in_raw(statement).await?;
    copy.send(written.as_slice()).await?;
    copy.finish().await
}

/// The rows in the binary format of `copy`: a signature, flags, the length of an extension; for each row the
/// number of its columns, and each value behind its length; and an end.
fn written(rows: usize, columns: &[&(dyn Column + Sync)]) -> Result<PgArgumentBuffer, BoxDynError> {
    const SIGNATURE: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    const END: i16 = -1;
    const NULL: i32 = -1;
    let count = i16::try_from(columns.len())?;
    let mut buffer = PgArgumentBuffer::default();
    buffer.extend_from_slice(SIGNATURE);
    for row in 0..rows {
        buffer.extend_from_slice(&count.to_be_bytes());
        for column in columns {
            let at = buffer.len();
            buffer.extend_from_slice(&NULL.to_be_bytes());
            let start = buffer.len();
            if let IsNull::No = column.put(row, &mut buffer)? {
                let length = i32::try_from(buffer.len().saturating_sub(start))?;
                buffer.get_mut(at..start).ok_or("a buffer that shrank")?.copy_from_slice(&length.to_be_bytes());
            }
        }
    }
    buffer.extend_from_slice(&END.to_be_bytes());
    Ok(buffer)
}

/// JSON text for a column of `jsonb`.
#[derive(Clone, Copy, Debug)]
pub struct JsonText<'a>(pub &'a str);

const JSONB_OID: Oid = Oid(3802);
const JSONB_ARRAY_OID: Oid = Oid(3807);

impl Type<Postgres> for JsonText<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSONB_OID)
    }
}

impl PgHasArrayType for JsonText<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSONB_ARRAY_OID)
    }
}

impl Encode<'_, Postgres> for JsonText<'_> {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        const VERSION: u8 = 1;
        buf.push(VERSION);
        buf.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}
