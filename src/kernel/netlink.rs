//! What all netlink messages have in common: header, attributes, errors. Bytes only.
//!
//! Source: netlink(7), `include/uapi/linux/netlink.h`.

pub(crate) const ENOENT: i32 = 2;

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
pub(crate) const HEADER_LEN: usize = 16;
const ATTRIBUTE_HEADER_LEN: usize = 4;
/// `NLA_TYPE_MASK`: the two high bits of an attribute's type are flags.
const TYPE_MASK: u16 = 0x3fff;

/// `struct nlmsghdr`, as far as it is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    pub(crate) seq: u32,
}

impl Header {
    /// Splits a datagram into its first header and that message's body; `None` where the lengths
    /// do not fit.
    pub(crate) fn split(datagram: &[u8]) -> Option<(Self, &[u8])> {
        let len = usize::try_from(u32::from_ne_bytes(array(datagram, 0)?)).ok()?;
        let kind = u16::from_ne_bytes(array(datagram, 4)?);
        let seq = u32::from_ne_bytes(array(datagram, 8)?);
        let body = datagram.get(HEADER_LEN..len)?;
        Some((Self { kind, seq }, body))
    }

    /// The positive errno of an `NLMSG_ERROR`; an acknowledgement (0) is one too, since nothing
    /// here asks for any.
    pub(crate) fn error(&self, body: &[u8]) -> Option<i32> {
        if self.kind != NLMSG_ERROR {
            return None;
        }
        Some(array(body, 0).map_or(0, |bytes| i32::from_ne_bytes(bytes).saturating_neg()))
    }
}

/// The first message of a datagram that may have several: its header, its flags and its body; and what
/// comes after it. `None` where the lengths do not fit.
pub(crate) fn split_first(datagram: &[u8]) -> Option<(Header, u16, &[u8], &[u8])> {
    let (header, body) = Header::split(datagram)?;
    let flags = u16::from_ne_bytes(array(datagram, 6)?);
    let end = (HEADER_LEN + body.len()).next_multiple_of(4);
    Some((header, flags, body, datagram.get(end..).unwrap_or(&[])))
}

/// The `N` bytes at `offset`.
#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// The attributes (`struct nlattr`) of a message, up to the first that does not fit.
pub(crate) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(array(rest, 0)?));
        let kind = u16::from_ne_bytes(array(rest, 2)?) & TYPE_MASK;
        let value = rest.get(ATTRIBUTE_HEADER_LEN..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// One attribute with its padding.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = ATTRIBUTE_HEADER_LEN + value.len();
    let mut bytes = Vec::with_capacity(len.next_multiple_of(4));
    bytes.extend(u16::try_from(len).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(len.next_multiple_of(4), 0);
    bytes
}

/// A request of any length.
pub(crate) fn request(kind: u16, seq: u32, body: &[u8]) -> Vec<u8> {
    request_with(NLM_F_REQUEST, kind, seq, body)
}

/// The same with these flags.
pub(crate) fn request_with(flags: u16, kind: u16, seq: u32, body: &[u8]) -> Vec<u8> {
    let len = HEADER_LEN + body.len();
    let mut bytes = Vec::with_capacity(len);
    bytes.extend(u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(seq.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(body);
    bytes
}

/// A request of exactly `N` bytes, written front to back.
pub(crate) struct Buffer<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Buffer<N> {
    const LEN: u32 = {
        assert!(HEADER_LEN <= N && N < 4096, "a request holds its header and fits a page");
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the line above")]
        let len = N as u32;
        len
    };

    /// Starts with the header: length `N`, `kind`, `NLM_F_REQUEST`, `seq`, to the kernel.
    #[inline]
    pub(crate) fn new(kind: u16, seq: u32) -> Self {
        let mut buffer = Self { bytes: [0; N], filled: 0 };
        buffer.put(&Self::LEN.to_ne_bytes());
        buffer.put(&kind.to_ne_bytes());
        buffer.put(&NLM_F_REQUEST.to_ne_bytes());
        buffer.put(&seq.to_ne_bytes());
        buffer.put(&0_u32.to_ne_bytes());
        buffer
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        debug_assert!(end <= N, "the request is as long as it says");
        if let Some(place) = self.bytes.get_mut(self.filled..end) {
            place.copy_from_slice(bytes);
        }
        self.filled = end;
    }

    pub(crate) fn finish(self) -> [u8; N] {
        debug_assert_eq!(self.filled, N, "the request is as long as it says");
        self.bytes
    }
}
