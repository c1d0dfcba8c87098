//! From the text of a variable to its type. A parser says only *that* a text is wrong; [what is allowed](crate::Variable::allowed)
//! stands in the variable's description.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

/// A text that is not what its variable may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAllowed;

/// What a parser gives.
pub type Parsed<T> = Result<T, NotAllowed>;

/// Any string.
///
/// # Errors
/// None.
pub fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

/// What the type itself reads, such as a number or a socket address.
///
/// # Errors
/// [`NotAllowed`] when the type refuses the text.
pub fn from_str<T: FromStr>(text: &str) -> Parsed<T> {
    text.parse().map_err(|_| NotAllowed)
}

/// A number within `range`.
pub fn number<T: FromStr + PartialOrd>(range: RangeInclusive<T>) -> impl Fn(&str) -> Parsed<T> {
    move |text| within(&range, text.parse().ok())
}

/// A duration within `range`, such as `500ms`, `1s` or `1m 30s`.
pub fn duration(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Parsed<Duration> {
    move |text| within(&range, humantime::parse_duration(text).ok())
}

/// A number of bytes within `range`, such as `16MiB`, `1GB` or `1048576`.
pub fn size(range: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<u64> {
    move |text| within(&range, text.parse::<ByteSize>().ok().map(|size| size.as_u64()))
}

/// One of these words, each with what it stands for.
///
/// ```
/// use telemetry_settings::parse;
///
/// let switch = parse::one_of(&[("on", true), ("off", false)]);
/// assert_eq!((switch("on"), switch("ON")), (Ok(true), Err(parse::NotAllowed)));
/// ```
pub fn one_of<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or(NotAllowed)
}

/// The path of a file, or nothing.
///
/// # Errors
/// None.
pub fn path(text: &str) -> Parsed<Option<PathBuf>> {
    Ok((!text.is_empty()).then(|| text.into()))
}

/// An absolute path, or nothing.
///
/// # Errors
/// [`NotAllowed`] when the path is relative.
pub fn absolute_path(text: &str) -> Parsed<Option<PathBuf>> {
    path(text)?.map(|path| if path.is_absolute() { Ok(path) } else { Err(NotAllowed) }).transpose()
}

fn within<T: PartialOrd>(range: &RangeInclusive<T>, value: Option<T>) -> Parsed<T> {
    value.filter(|value| range.contains(value)).ok_or(NotAllowed)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_an_address_with_a_port() {
        assert_eq!(from_str("[::1]:0"), Ok(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0))));
        for wrong in ["127.0.0.1", "127.0.0.1:65536", "localhost:80", ""] {
            assert_eq!(from_str::<SocketAddr>(wrong), Err(NotAllowed), "{wrong}");
        }
    }

    #[test]
    fn takes_only_whole_words() {
        let parse = one_of(&[("list", 1), ("stream", 2)]);
        assert_eq!((parse("list"), parse("stream")), (Ok(1), Ok(2)));
        assert!(["", "List", "lists", " list"].iter().all(|wrong| parse(wrong).is_err()));
    }

    #[test]
    fn takes_no_path_as_none() {
        assert_eq!((path(""), absolute_path("")), (Ok(None), Ok(None)));
        assert_eq!(
            (path("ca.pem"), absolute_path("/var/spool")),
            (Ok(Some("ca.pem".into())), Ok(Some("/var/spool".into())))
        );
        assert_eq!(absolute_path("spool"), Err(NotAllowed));
    }

    #[test]
    fn refuses_numbers_with_signs_units_or_fractions_that_the_type_does_not_have() {
        let number = number(1_u32..=16_384);
        assert!(["-1", "0", "16385", "1.5", "1k", "", "4294967297"].iter().all(|wrong| number(wrong).is_err()));
        let size = size(1 << 20..=1 << 40);
        assert!(["1023KiB", "-1MiB", "many", "", "2TiB"].iter().all(|wrong| size(wrong).is_err()));
        let duration = duration(Duration::from_millis(10)..=Duration::from_secs(60));
        assert!(["9ms", "61s", "1", "", "-1s", "soon"].iter().all(|wrong| duration(wrong).is_err()));
    }

    proptest! {
        #[test]
        fn takes_what_is_within_the_range_and_nothing_else(low in 0_u64..1000, high in 0_u64..1000, value in 0_u64..1000) {
            let expected = if (low..=high).contains(&value) { Ok(value) } else { Err(NotAllowed) };
            prop_assert_eq!(number(low..=high)(&value.to_string()), expected);
            prop_assert_eq!(size(low << 10..=high << 10)(&format!("{value}KiB")), expected.map(|value| value << 10));
            let range = Duration::from_millis(low)..=Duration::from_millis(high);
            prop_assert_eq!(duration(range)(&format!("{value}ms")), expected.map(Duration::from_millis));
        }
    }
}
