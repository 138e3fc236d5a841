//! Hexadecimal digits of what is long: blocks and transactions. Ten times as fast as the `hex` crate, whose decoding of
//! a full block took as long as judging it.

use data_encoding::{DecodeError, HEXLOWER, HEXLOWER_PERMISSIVE};

/// The digits of `bytes`, in lower case.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The bytes of `digits`, in either case.
///
/// # Errors
/// Where a character is no digit, or that their number is odd.
pub fn decode(digits: &str) -> Result<Vec<u8>, DecodeError> {
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_either_case_are_read_and_nothing_else_is() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(&bytes), hex::encode(&bytes));
        assert_eq!(decode(&encode(&bytes)).as_ref(), Ok(&bytes));
        assert_eq!(decode(&encode(&bytes).to_uppercase()).as_ref(), Ok(&bytes));
        assert_eq!(decode(""), Ok(Vec::new()));
        for text in ["0", "0x00", "0g", " 00", "00\n", "٠٠"] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
