//! The first frame of each side.

use super::super::{Malformed, parse, question::domain_name, required};
use super::{VERSION, frame, wire};

/// Bytes that the name of a host has at most.
const MAX_HOST: usize = 255;

/// Who speaks. What a host is called is proven by its certificate and not by this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The security domain by the sender's policy; `None`: it defines none.
    pub(crate) domain: Option<String>,
    /// 1 to 255 printable ASCII characters without a space.
    pub(crate) host: String,
}

impl Hello {
    /// Appends it as a frame.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let hello = wire::Hello {
            version: Some(VERSION),
            domain: self.domain.clone(),
            host: Some(self.host.clone()),
        };
        frame::put(out, &hello);
    }

    /// The Hello in the bytes of a frame.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let super::super::wire::Version { version } = parse(bytes)?;
        let version = required(version, "a version")?;
        if version != VERSION {
            return Err(Malformed::new(format!(
                "version {version} of the protocol between hosts came, version {VERSION} is spoken \
                 here; use partnerd of the same release on both"
            )));
        }
        let hello: wire::Hello = parse(bytes)?;
        let host = required(hello.host, "a host")?;
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=MAX_HOST).contains(&host.len()) || !is_name(&host) {
            return Err(Malformed::new(format!(
                "a host of 1 to {MAX_HOST} printable ASCII characters without a space expected"
            )));
        }
        Ok(Self { domain: hello.domain.map(domain_name).transpose()?, host })
    }
}
