//! HTTP/2 written by hand: frames that no library would send.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use telemetry_testing::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::door::Door;
use super::siege::soon;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of DATA that HTTP/2 allows a new connection.
const FIRST_WINDOW: u64 = 65_535;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;
pub const REFUSED_STREAM: u32 = 7;

/// A call that needs no login by default, and one that does.
pub const CHECK: &str = "/grpc.health.v1.Health/Check";
pub const SNAPSHOT: &str = "/telemetry.v1.ControlService/GetSnapshot";
/// An empty message.
pub const EMPTY: &[u8] = &[0, 0, 0, 0, 0];

/// What the server has sent.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Number of frames, by type.
    pub frames: BTreeMap<u8, u64>,
    /// Number of streams that were reset, by error code.
    pub resets: BTreeMap<u32, u64>,
    /// Error code of the last GOAWAY.
    pub goaway: Option<u32>,
    /// Bytes that may be sent on the connection, besides the first [`FIRST_WINDOW`].
    pub window: u64,
    /// Whether the connection is over.
    pub closed: bool,
}

/// A connection on which frames are sent as they come, whether they make sense or not.
pub struct Wire {
    writer: OwnedWriteHalf,
    seen: Arc<Mutex<Seen>>,
    reading: Option<JoinHandle<()>>,
    /// Kept, so that a connection that is not read is not closed either.
    _reader: Option<OwnedReadHalf>,
    pub sent_bytes: u64,
    /// Bytes that [`send_data`](Self::send_data) has sent.
    pub sent_data: u64,
}

impl Wire {
    /// A connection past the preface whose answers are read.
    pub async fn open(door: &Door, settings: &[(u16, u32)]) -> Self {
        let (reader, writer) = TcpStream::connect(door.address).await.unwrap().into_split();
        let seen = Arc::default();
        let reading = tokio::spawn(read(reader, Arc::clone(&seen)));
        let mut wire = Self { writer, seen, reading: Some(reading), _reader: None, sent_bytes: 0, sent_data: 0 };
        wire.send(&preface(settings)).await;
        wire
    }

    /// A connection past the preface from which nothing is read.
    pub async fn deaf(door: &Door, settings: &[(u16, u32)]) -> Self {
        let (reader, writer) = TcpStream::connect(door.address).await.unwrap().into_split();
        let mut wire =
            Self { writer, seen: Arc::default(), reading: None, _reader: Some(reader), sent_bytes: 0, sent_data: 0 };
        wire.send(&preface(settings)).await;
        wire
    }

    /// Sends `bytes`; `false` when the server has closed the connection.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.try_send(bytes, PATIENCE).await.expect("the server reads or closes the connection")
    }

    /// The same, and `None` when the server has not read them in `limit`.
    pub async fn try_send(&mut self, bytes: &[u8], limit: Duration) -> Option<bool> {
        let sent = timeout(limit, self.writer.write_all(bytes)).await.ok()?.is_ok();
        self.sent_bytes += bytes.len() as u64;
        Some(sent && !self.seen().closed)
    }

    /// Sends DATA as soon as the connection's window has room for it; `false` when the server has closed the connection.
    pub async fn send_data(&mut self, stream: u32, data: &[u8]) -> bool {
        let wanted = self.sent_data + data.len() as u64;
        soon(PATIENCE, "the server lets the client send", async || {
            let seen = self.seen();
            seen.closed || seen.window + FIRST_WINDOW >= wanted
        })
        .await;
        self.sent_data = wanted;
        self.send(&frame(DATA, 0, stream, data)).await
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until the server has closed the connection.
    pub async fn closed(&self, limit: Duration, why: &str) -> Seen {
        soon(limit, why, async || self.seen().closed).await;
        self.seen()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

async fn read(mut reader: OwnedReadHalf, seen: Arc<Mutex<Seen>>) {
    let mut payload = Vec::new();
    loop {
        let mut head = [0; 9];
        let mut read = reader.read_exact(&mut head).await;
        payload.resize(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize, 0);
        if read.is_ok() {
            read = reader.read_exact(&mut payload).await;
        }
        let mut seen = seen.lock().unwrap();
        if read.is_err() {
            seen.closed = true;
            return;
        }
        *seen.frames.entry(head[3]).or_default() += 1;
        let number = |at: usize| payload.get(at..at + 4).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
        match head[3] {
            RST_STREAM => *seen.resets.entry(number(0).unwrap()).or_default() += 1,
            GOAWAY => seen.goaway = number(4),
            WINDOW_UPDATE if head[5..9] == [0; 4] => seen.window += u64::from(number(0).unwrap()),
            _ => {}
        }
    }
}

/// The preface of a connection, with SETTINGS.
pub fn preface(settings: &[(u16, u32)]) -> Vec<u8> {
    [PREFACE, &settings_frame(settings)].concat()
}

pub fn settings_frame(settings: &[(u16, u32)]) -> Vec<u8> {
    let pair = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &settings.iter().flat_map(pair).collect::<Vec<_>>())
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// The headers of a call in one frame.
pub fn call(stream: u32, flags: u8, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, stream, &block(path, headers))
}

/// A header block of a call, each field a literal.
pub fn block(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let always = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "collector"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    always.iter().chain(headers).flat_map(|(name, value)| field(0x10, name, value)).collect()
}

/// A field with a new name: 0x10 = never indexed, 0x40 = put into the dynamic table.
pub fn field(kind: u8, name: &str, value: &str) -> Vec<u8> {
    [&[kind][..], &text(name), &text(value)].concat()
}

/// A string of HPACK without Huffman coding.
fn text(text: &str) -> Vec<u8> {
    const PREFIX: usize = 0x7f;
    let mut bytes = Vec::new();
    if text.len() < PREFIX {
        bytes.push(text.len() as u8);
    } else {
        bytes.push(PREFIX as u8);
        let mut rest = text.len() - PREFIX;
        while rest >= 0x80 {
            bytes.push((rest % 0x80) as u8 | 0x80);
            rest /= 0x80;
        }
        bytes.push(rest as u8);
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
