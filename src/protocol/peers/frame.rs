//! Frames: how long a message is, and the message.

use prost::Message;

use super::super::Malformed;
use super::MAX_FRAME;

/// Bytes that say how long a message is.
const HEAD: usize = 4;

/// Appends the message as a frame. One that is too long is left out as a whole.
pub(super) fn put(out: &mut Vec<u8>, message: &impl Message) {
    let length = message.encoded_len();
    let Some(head) = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME) else { return };
    out.reserve(HEAD.saturating_add(length));
    out.extend_from_slice(&head.to_be_bytes());
    // A vector has room for what was counted.
    let _ = message.encode(out);
}

/// A message, and what follows it.
pub(crate) type Split<'a> = (&'a [u8], &'a [u8]);

/// The first message in these bytes and what follows it; `None` where it is not here as a whole.
pub(crate) fn split(bytes: &[u8]) -> Result<Option<Split<'_>>, Malformed> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head);
    // Before any of it is waited for or kept.
    let length =
        usize::try_from(length).ok().filter(|length| *length <= MAX_FRAME).ok_or_else(|| {
            Malformed::new(format!("a frame of at most {MAX_FRAME} bytes expected, {length} came"))
        })?;
    Ok(rest.split_at_checked(length))
}
