use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres};
use sqlx::{Decode, Encode, Type};

/// A whole number as `numeric(38,0)` carries it: exact over the whole range of `i128`, where the
/// decimal types that sqlx knows round beyond 96 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numeric(pub i128);

const NEGATIVE: u16 = 0x4000;
const BASE: u128 = 10_000;
const NUMERIC_OID: Oid = Oid(1700);
const NUMERIC_ARRAY_OID: Oid = Oid(1231);

impl Type<Postgres> for Numeric {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC_OID)
    }
}

impl PgHasArrayType for Numeric {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC_ARRAY_OID)
    }
}

impl Encode<'_, Postgres> for Numeric {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // 39 decimal digits make at most ten digits of base 10 000.
        let mut digits = [0_u16; 10];
        let mut rest = self.0.unsigned_abs();
        let mut first = digits.len();
        while rest > 0 {
            first = first.checked_sub(1).ok_or("a numeric of more than 40 digits")?;
            if let Some(digit) = digits.get_mut(first) {
                *digit = u16::try_from(rest % BASE)?;
            }
            rest /= BASE;
        }
        let used = digits.get(first..).unwrap_or_default();
        let count = u16::try_from(used.len())?;
        buf.extend_from_slice(&count.to_be_bytes());
        buf.extend_from_slice(&count.saturating_sub(1).to_be_bytes());
        buf.extend_from_slice(&(if self.0 < 0 { NEGATIVE } else { 0 }).to_be_bytes());
        buf.extend_from_slice(&0_u16.to_be_bytes());
        for digit in used {
            buf.extend_from_slice(&digit.to_be_bytes());
        }
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Numeric {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Text => Ok(Self(value.as_str()?.parse()?)),
            PgValueFormat::Binary => decode_binary(value.as_bytes()?),
        }
    }
}

fn decode_binary(bytes: &[u8]) -> Result<Numeric, BoxDynError> {
    let mut words = bytes.chunks_exact(2).map(|pair| pair.try_into().map(u16::from_be_bytes));
    let mut word = || -> Result<u16, BoxDynError> { Ok(words.next().ok_or("a numeric was cut short")??) };
    let (count, weight, sign, _scale) = (word()?, word()?.cast_signed(), word()?, word()?);
    let mut magnitude = 0_i128;
    for _ in 0..count {
        magnitude = magnitude
            .checked_mul(10_000)
            .and_then(|value| value.checked_add(word().ok()?.into()))
            .ok_or("a numeric beyond the range of i128")?;
    }
    // Trailing zeros are not sent: the weight says how many digits stand before the point.
    let missing = i32::from(weight).saturating_add(1).saturating_sub(i32::from(count));
    let missing = if count == 0 { 0 } else { u32::try_from(missing).map_err(|_| "a numeric with a fraction")? };
    let magnitude = if count == 0 {
        0
    } else {
        10_000_i128
            .checked_pow(missing)
            .and_then(|factor| magnitude.checked_mul(factor))
            .ok_or("a numeric beyond the range of i128")?
    };
    match sign {
        0 => Ok(Numeric(magnitude)),
        NEGATIVE => Ok(Numeric(magnitude.checked_neg().ok_or("a numeric beyond the range of i128")?)),
        _ => Err("a numeric that is not a number".into()),
    }
}
