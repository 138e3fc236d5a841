//! The wire and disk encoding: one byte string for each value, every length bounded before it allocates.
//!
//! Integers are fixed-width little-endian; counts are Bitcoin's CompactSize, which must be minimal;
//! nothing may follow a value. `chain/SPEC.md` lists every layout.

/// The largest length that any CompactSize on the wire may announce: 4,000,000, the largest block.
///
/// Bitcoin Core has the same guard under the name `MAX_SIZE` (`serialize.h`, 0x02000000 there).
pub const MAX_SIZE: u64 = 4_000_000;

/// Why bytes are not the encoding of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error("the bytes end {missing} short of the value")]
    UnexpectedEnd {
        /// How many bytes more the decoder needed, at least.
        missing: usize,
    },
    /// A CompactSize used more bytes than its number needs.
    #[error("non-canonical CompactSize: {value} fits in fewer bytes")]
    NonCanonicalCompactSize {
        /// The number that was written too long.
        value: u64,
    },
    /// A count or length is over its limit.
    #[error("{what} of {value} is over the limit of {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The number found.
        value: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// Bytes were left over after a full decode.
    #[error("{count} bytes left over after the value")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// A tag byte that names no variant.
    #[error("unknown {what} tag {tag}")]
    UnknownTag {
        /// Which kind of tag.
        what: &'static str,
        /// The byte found.
        tag: u8,
    },
    /// The bytes have the right shape and a value that is not allowed there.
    #[error("{0}")]
    Malformed(&'static str),
}

/// A value with exactly one encoding.
pub trait Encode {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The encoding as a new vector.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// A value that can be read back from its encoding.
pub trait Decode: Sized {
    /// Reads one value and leaves the reader behind it.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads exactly one value.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] when bytes are left over, or what `decode` found.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        match reader.remaining() {
            0 => Ok(value),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }
}

/// A cursor over bytes that never reads past their end.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The bytes read since `start`, an earlier [`Reader::position`].
    #[must_use]
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.position]
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.bytes[self.position..];
        let taken =
            rest.get(..count).ok_or(DecodeError::UnexpectedEnd { missing: count - rest.len().min(count) })?;
        self.position += count;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("take returned N bytes"))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Bitcoin's CompactSize: 1, 3, 5 or 9 bytes, and only the shortest is accepted.
    pub fn compact_size(&mut self) -> Result<u64, DecodeError> {
        let (value, least) = match self.u8()? {
            0xfd => (u64::from(self.u16()?), 0xfd),
            0xfe => (u64::from(self.u32()?), 0x1_0000),
            0xff => (self.u64()?, 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(DecodeError::NonCanonicalCompactSize { value });
        }
        Ok(value)
    }

    /// A CompactSize count of things called `what`, each at least `least_size` bytes long.
    ///
    /// Refused when it is over `limit`, or when the bytes that are left could not hold so many:
    /// so a caller may allocate for the count it gets.
    pub fn count(&mut self, what: &'static str, limit: u64, least_size: usize) -> Result<usize, DecodeError> {
        let value = self.compact_size()?;
        if value > limit.min(MAX_SIZE) {
            return Err(DecodeError::TooLarge { what, value, limit });
        }
        let count = usize::try_from(value).expect("at most MAX_SIZE");
        let needed = count.saturating_mul(least_size);
        if needed > self.remaining() {
            return Err(DecodeError::UnexpectedEnd { missing: needed - self.remaining() });
        }
        Ok(count)
    }

    /// A CompactSize length of at most `limit`, then that many bytes.
    pub fn bytes(&mut self, what: &'static str, limit: u64) -> Result<&'a [u8], DecodeError> {
        let length = self.count(what, limit, 1)?;
        self.take(length)
    }

    /// A count of at most `limit`, then that many values of at least `least_size` bytes each.
    pub fn list<T: Decode>(
        &mut self,
        what: &'static str,
        limit: u64,
        least_size: usize,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(what, limit, least_size)?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(T::decode(self)?);
        }
        Ok(list)
    }
}

/// Appends Bitcoin's CompactSize of `value`, in its one shortest form.
pub fn write_compact_size(value: u64, out: &mut Vec<u8>) {
    match value {
        0..=0xfc => out.push(value as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// How many bytes [`write_compact_size`] takes for `value`.
#[must_use]
pub fn compact_size_len(value: u64) -> usize {
    match value {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Appends a CompactSize length and then the bytes.
pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_compact_size(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends a CompactSize count and then the values.
pub fn write_list<T: Encode>(list: &[T], out: &mut Vec<u8>) {
    write_compact_size(list.len() as u64, out);
    for value in list {
        value.encode(out);
    }
}

impl<T: Decode> Decode for std::sync::Arc<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::decode(reader).map(Self::new)
    }
}

impl<T: Encode> Encode for std::sync::Arc<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_size_has_one_encoding_for_each_number() {
        for value in [0, 1, 0xfc, 0xfd, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
            let mut bytes = Vec::new();
            write_compact_size(value, &mut bytes);
            assert_eq!(bytes.len(), compact_size_len(value));
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.compact_size(), Ok(value));
            assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn tx_39_a_longer_form_of_the_same_number_is_refused() {
        for bytes in
            [&[0xfd, 0xfc, 0x00][..], &[0xfe, 0xff, 0xff, 0, 0], &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]]
        {
            assert!(matches!(
                Reader::new(bytes).compact_size(),
                Err(DecodeError::NonCanonicalCompactSize { .. })
            ));
        }
    }

    #[test]
    fn tx_40_a_count_that_the_bytes_cannot_hold_is_refused_before_it_allocates() {
        let mut bytes = vec![0xfe, 0x00, 0x09, 0x3d, 0x00]; // 4,000,000
        bytes.extend_from_slice(&[0; 10]);
        let mut reader = Reader::new(&bytes);
        assert_eq!(
            reader.count("inputs", MAX_SIZE, 40),
            Err(DecodeError::UnexpectedEnd { missing: 160_000_000 - 10 })
        );
        assert!(matches!(
            Reader::new(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0, 0]).count("inputs", u64::MAX, 0),
            Err(DecodeError::TooLarge { .. })
        ));
    }
}
