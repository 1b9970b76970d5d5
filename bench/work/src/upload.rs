//! An upload: the whole body is read, and the answer is a few bytes.

/// The number of bytes, and their sum.
#[must_use]
pub fn receipt(body: &[u8]) -> String {
    let sum: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
    format!(r#"{{"length":{},"sum":{sum}}}"#, body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        assert_eq!(receipt(&[255, 1, 2]), r#"{"length":3,"sum":258}"#);
    }
}
