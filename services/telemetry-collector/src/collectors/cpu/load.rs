//! Load averages from `/proc/loadavg`.

use std::str;

use crate::errors::Cause;
use crate::models::LoadAverages;

/// Parses the content of `/proc/loadavg` ("0.74 0.62 0.33 1/85 21031").
pub(super) fn parse(text: &[u8]) -> Result<LoadAverages, Cause> {
    let line = str::from_utf8(text)?.strip_suffix('\n').ok_or("the line is truncated")?;
    let mut fields = line.split(' ');
    let mut next = || -> Result<f64, Cause> {
        let field = fields.next().ok_or("fewer than three load averages")?;
        field.parse().map_err(|_| format!("{field:?} is not a load average").into())
    };
    Ok(LoadAverages::new(next()?, next()?, next()?)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_averages() {
        let averages = parse(b"0.74 0.62 12.33 1/85 21031\n").unwrap();
        assert_eq!((averages.one, averages.five, averages.fifteen), (0.74, 0.62, 12.33));
    }

    #[test]
    fn rejects_malformed_averages() {
        for text in [&b""[..], b"\n", b"0.74 0.62\n", b"0.74 0.62 0.3", b"0.74 NaN 0.33 1/85 1\n", b"-1 0 0 1/85 1\n"] {
            assert!(parse(text).is_err(), "{:?}", text.escape_ascii().to_string());
        }
    }
}
