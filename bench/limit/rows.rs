//! Rows as Postgres carries them, cut into batches: as a COPY takes them, and as arrays for `unnest`.
//! Nothing is read as a value, so nothing can change on the way.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, Postgres};
use sqlx::{Encode, Type};

/// What a binary COPY begins with: the signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: i16 = -1;

/// A column of a batch, as the binary form of an array.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    array: Oid,
    element: u32,
    count: u32,
    elements: Vec<u8>,
}

/// The rows of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// A binary COPY, trailer included.
    pub(crate) copy: Vec<u8>,
    /// One for each column.
    pub(crate) columns: Vec<Column>,
}

/// The rows of a write, by batches.
pub(crate) struct Rows {
    /// Names of the columns' types.
    pub(crate) types: Vec<String>,
    empty: Piece,
    pub(crate) batches: BTreeMap<usize, Piece>,
}

impl Rows {
    /// None yet; types come with the ids of element and array.
    pub(crate) fn new(types: Vec<String>, ids: Vec<(i64, i64)>) -> Result<Self> {
        ensure!(types.len() == ids.len(), "a type of {types:?} is unknown");
        let column = |(element, array)| {
            Ok(Column {
                array: Oid(u32::try_from(array)?),
                element: u32::try_from(element)?,
                count: 0,
                elements: Vec::new(),
            })
        };
        let columns = ids.into_iter().map(column).collect::<Result<_>>()?;
        Ok(Self { types, empty: Piece { copy: HEADER.to_vec(), columns }, batches: BTreeMap::new() })
    }

    /// Cuts a binary COPY, whose first column is the number of the batch.
    pub(crate) fn split(&mut self, copied: &[u8]) -> Result<()> {
        let mut rest = copied.strip_prefix(HEADER).context("no binary COPY")?;
        loop {
            let fields = i16::from_be_bytes(take(&mut rest)?);
            if fields == TRAILER {
                break;
            }
            let number = field(&mut rest)?.context("no number of a batch")?;
            let number = usize::try_from(i64::from_be_bytes(number.try_into()?))?;
            let batch = self.batches.entry(number).or_insert_with(|| self.empty.clone());
            ensure!(usize::try_from(fields)? == batch.columns.len() + 1, "{fields} columns for {:?}", self.types);
            batch.copy.extend_from_slice(&(fields - 1).to_be_bytes());
            for column in &mut batch.columns {
                let value = field(&mut rest)?;
                column.count += 1;
                for bytes in [&mut batch.copy, &mut column.elements] {
                    let length = value.map_or(Ok(-1), |value| i32::try_from(value.len()))?;
                    bytes.extend_from_slice(&length.to_be_bytes());
                    bytes.extend_from_slice(value.unwrap_or_default());
                }
            }
        }
        for batch in self.batches.values_mut() {
            batch.copy.extend_from_slice(&TRAILER.to_be_bytes());
        }
        Ok(())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (taken, others) = rest.split_first_chunk::<N>().context("a COPY that ends early")?;
    *rest = others;
    Ok(*taken)
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    let length = i32::from_be_bytes(take(rest)?);
    if length < 0 {
        return Ok(None);
    }
    let (value, others) = rest.split_at_checked(usize::try_from(length)?).context("a COPY that ends early")?;
    *rest = others;
    Ok(Some(value))
}

impl Type<Postgres> for Column {
    /// Never asked for: each column says its own.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Column {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // One dimension from 1; whether any element is null is asked for and not relied on.
        for number in [1, 1, self.element, self.count, 1] {
            buffer.extend_from_slice(&number.to_be_bytes());
        }
        buffer.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.array))
    }
}
