//! A record as one line of JSON.
//!
//! What is written is a promise: see `docs/agent.md`. `version` changes only when a key changes its
//! meaning or goes away, while keys may be added. What is not known, or was not asked for, is null.

use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::Serialize;

use super::record::{Asker, PeerEvent, Record, ToldToken, Verdict, asked};
use super::time::Utc;
use crate::agent::subject::Peer;
use crate::token::text::Text;
use crate::token::{Holder, Uid};

const VERSION: u32 = 1;

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    time: String,
    event: &'a str,
    caller: Option<Caller>,
    host: Option<Host<'a>>,
    connection: Option<Connection>,
    asked: Option<Vec<&'a str>>,
    told: Option<Told<'a>>,
    refused: Option<Refused<'a>>,
    rule: Option<String>,
    /// Of questions at port 113 alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    ident: Option<Ident<'a>>,
    /// Of events that are no question alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

#[derive(Serialize)]
struct Caller {
    uid: u32,
    gid: u32,
    pid: Option<u32>,
}

#[derive(Serialize)]
struct Host<'a> {
    name: Option<&'a str>,
    address: IpAddr,
}

#[derive(Serialize)]
struct Ident<'a> {
    address: IpAddr,
    user: Option<u32>,
    answer: &'a str,
}

#[derive(Serialize)]
struct Connection {
    local: String,
    remote: String,
    cookie: u64,
    namespace: u64,
}

#[derive(Serialize)]
struct Told<'a> {
    user: Option<u32>,
    routing: u8,
    holders: Option<Vec<Process<'a>>>,
    holders_gap: Option<&'a str>,
}

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    process_user: Option<u32>,
    command: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Refused<'a> {
    kind: &'a str,
    reason: Option<&'a str>,
    text: &'a str,
}

/// Adds the line, with its end, to `out`.
pub(super) fn write(record: &Record<'_>, now: SystemTime, out: &mut Vec<u8>) {
    let (told, refused) = match &record.told {
        Verdict::Told { user, routing, token } => (
            Some(Told {
                user: *user,
                routing: routing.bits(),
                holders: token.as_ref().map(processes),
                holders_gap: token.as_ref().and_then(|token| token.gap).map(|gap| gap.as_str()),
            }),
            None,
        ),
        Verdict::Refused { kind, reason, text } => {
            (None, Some(Refused { kind, reason: *reason, text }))
        }
        Verdict::NotYet => (None, None),
    };
    let (caller, host, ident) = match record.asker {
        Asker::Caller(Peer { uid, gid, pid }) => (Some(Caller { uid, gid, pid }), None, None),
        Asker::Host { name, address } => (None, Some(Host { name: Some(name), address }), None),
        #[cfg(feature = "ident")]
        Asker::Ident { address, user, answer } => {
            (None, None, Some(Ident { address, user, answer }))
        }
    };
    let line = Line {
        version: VERSION,
        time: Utc(now).to_string(),
        event: record.told.event(),
        caller,
        host,
        connection: record.connection.map(|connection| Connection {
            local: connection.local.to_string(),
            remote: connection.remote.to_string(),
            cookie: connection.cookie,
            namespace: connection.namespace,
        }),
        asked: record.request.map(asked),
        told,
        refused,
        rule: record.rule.map(ToString::to_string),
        ident,
        left_out: None,
    };
    put(&line, out);
}

/// Adds the line, with its end, to `out`.
pub(super) fn write_event(event: &PeerEvent<'_>, now: SystemTime, out: &mut Vec<u8>) {
    let line = Line {
        version: VERSION,
        time: Utc(now).to_string(),
        event: event.event.as_str(),
        caller: None,
        host: Some(Host { name: event.host, address: event.address }),
        connection: None,
        asked: None,
        told: None,
        refused: Some(Refused { kind: event.kind, reason: None, text: event.text }),
        rule: None,
        ident: None,
        left_out: Some(event.left_out),
    };
    put(&line, out);
}

fn put(line: &Line<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Ascii);
    match line.serialize(&mut serializer) {
        Ok(()) => out.push(b'\n'),
        // Cannot be: there is no map with strange keys in it, and a vector takes every byte.
        Err(error) => {
            out.truncate(start);
            tracing::error!(%error, "an audit record cannot be put in words");
        }
    }
}

fn processes<'a>(token: &ToldToken<'a>) -> Vec<Process<'a>> {
    token.holders.iter().map(process).collect()
}

fn process(holder: &Holder) -> Process<'_> {
    Process {
        pid: holder.pid().as_raw(),
        process_user: holder.process_user().map(Uid::as_raw),
        command: holder.command().map(Text),
    }
}

/// Everything but printable ASCII is escaped: a command name with an escape sequence in it must
/// not reach the terminal of who looks at the file, and not all of those are below U+0020.
struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return writer.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            if character == ' ' || character.is_ascii_graphic() {
                write!(writer, "{character}")?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}
