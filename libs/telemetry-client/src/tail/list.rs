//! Looks at a list. Collectors push at its left end, at index 0, and consumers take from its right end.
//!
//! A push moves every element one place to the right. So a page that is read after another one from left to right may repeat
//! elements, and never leaves one out.

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::found::Found;
use super::missing::Missing;
use super::{Look, MAX_LOOK};

/// Newest messages that are known from the start, whether they are told or not: by them the later ones are found.
const KNOWN_AT_START: usize = 64;
/// So many known messages in a row end a look. One is not enough: a push that is repeated puts second copies of known messages
/// before messages of other collectors.
const KNOWN_IN_A_ROW: usize = 32;
/// Elements that tell whether anything has been pushed.
const HEAD: usize = 4;
const SECOND_PAGE: usize = 2 * KNOWN_IN_A_ROW;
const PAGE: usize = 256;

impl Look {
    fn of(mut newest_first: Vec<Found>, skipped: bool) -> Self {
        newest_first.reverse();
        Self { found: newest_first, skipped, more: false }
    }
}

/// The newest elements. `head` becomes the first ones.
pub(super) async fn newest(
    connection: &mut MultiplexedConnection,
    key: &str,
    shown: usize,
    head: &mut Vec<Vec<u8>>,
) -> RedisResult<Look> {
    let elements = page(connection, key, 0, shown.max(KNOWN_AT_START)).await?;
    *head = elements.iter().take(HEAD).cloned().collect();
    let found = elements.into_iter().rev().map(Found::new).collect();
    Ok(Look { found, ..Look::default() })
}

/// The elements that came after those that are known. `head` becomes the first ones.
pub(super) async fn new(
    connection: &mut MultiplexedConnection,
    key: &str,
    head: &mut Vec<Vec<u8>>,
    is_known: impl Fn(&Found) -> bool,
) -> RedisResult<Look> {
    let mut elements = page(connection, key, 0, HEAD).await?;
    if elements == *head {
        return Ok(Look::default());
    }
    head.clone_from(&elements);
    let (mut found, mut known_in_a_row): (Vec<Found>, _) = (Vec::new(), 0);
    let (mut start, mut size) = (0, HEAD);
    loop {
        let is_last = elements.len() < size;
        for element in elements {
            let element = Found::new(element);
            known_in_a_row = if is_known(&element) { known_in_a_row + 1 } else { 0 };
            if known_in_a_row == KNOWN_IN_A_ROW {
                return Ok(Look::of(found, false));
            }
            found.push(element);
        }
        if is_last || found.len() >= MAX_LOOK {
            return Ok(Look::of(found, !is_last));
        }
        (start, size) = (start + size, if size == HEAD { SECOND_PAGE } else { PAGE });
        elements = page(connection, key, start, size).await?;
    }
}

/// Whatever of `missing` is in the list.
pub(super) async fn find(
    connection: &mut MultiplexedConnection,
    key: &str,
    missing: &Missing,
) -> RedisResult<Vec<Found>> {
    let (mut found, mut start) = (Vec::new(), 0);
    loop {
        let page = page(connection, key, start, PAGE).await?;
        let is_last = page.len() < PAGE;
        found.extend(page.into_iter().map(Found::new).filter(|found| missing.has(found)));
        if is_last {
            return Ok(found);
        }
        start += PAGE;
    }
}

async fn page(
    connection: &mut MultiplexedConnection,
    key: &str,
    start: usize,
    size: usize,
) -> RedisResult<Vec<Vec<u8>>> {
    redis::cmd("LRANGE").arg(key).arg(start).arg(start + size - 1).query_async(connection).await
}
