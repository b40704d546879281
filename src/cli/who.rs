//! `partner who`.

use super::arguments::{What, Who};
use super::form::Connections;
use super::output::Output;
use super::survey::{Connection, Surveyor};
use super::table;
use super::{Failed, Status};
use crate::kernel::Endpoint;

pub(super) fn run(who: &Who, output: &Output) -> Result<Status, Failed> {
    let wanted = Wanted::of(who)?;
    let mut found = Surveyor::open()?.look(|one, other| wanted.are(one, other))?;
    for connection in &mut found {
        wanted.put_first(connection);
    }
    if who.format.json {
        output.json(&Connections::new(&found))?;
    } else {
        let texts: Vec<String> =
            found.iter().map(|connection| table::details(connection, output)).collect();
        output.text(&texts.join("\n"))?;
    }
    if found.is_empty() {
        output.complain(&wanted.nothing());
        return Ok(Status::No);
    }
    let named = found.iter().flat_map(|connection| &connection.ends).all(|end| end.who.is_ok());
    Ok(if named { Status::Done } else { Status::No })
}

/// Which connections are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Port(u16),
    Between(Endpoint, Endpoint),
}

impl Wanted {
    fn of(who: &Who) -> Result<Self, Failed> {
        match (who.what, who.remote) {
            (What::Port(port), None) => Ok(Self::Port(port)),
            (What::End(one), Some(other)) => Ok(Self::Between(one.into(), other.into())),
            (What::Port(_), Some(_)) => Err(Failed::usage(
                "expected a port alone, or the addresses and ports of both ends; found a port and \
                 an address; write for example 127.0.0.1:5432 127.0.0.1:40000",
            )),
            (What::End(one), None) => Err(Failed::usage(format_args!(
                "expected the address and port of the other end, too; found {one} alone; write for \
                 example {one} 192.0.2.1:40000, or {} for all connections of this port",
                one.port()
            ))),
        }
    }

    fn are(self, one: Endpoint, other: Endpoint) -> bool {
        match self {
            Self::Port(port) => one.port == port || other.port == port,
            Self::Between(near, far) => (one, other) == (near, far) || (one, other) == (far, near),
        }
    }

    /// The end that was asked about is shown first.
    fn put_first(self, connection: &mut Connection) {
        let [first, second] = &mut connection.ends;
        let is_second = match self {
            Self::Port(port) => first.address.port() != port,
            Self::Between(near, _) => Endpoint::from(first.address) != near,
        };
        if is_second {
            std::mem::swap(first, second);
        }
    }

    fn nothing(self) -> String {
        match self {
            Self::Port(port) => format!(
                "no connection of this network namespace has an end with port {port}; `partner \
                 list` shows those that there are"
            ),
            Self::Between(..) => {
                "no such connection in this network namespace; it may have ended, \
                                  or be in another one (nsenter --net=/run/netns/NAME partner ...)"
                    .into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Endpoint {
        text.parse::<std::net::SocketAddr>().unwrap().into()
    }

    #[test]
    fn a_port_is_that_of_either_end_and_a_pair_is_the_same_in_either_order() {
        let (a, b, c) = (end("127.0.0.1:80"), end("127.0.0.1:40000"), end("127.0.0.2:80"));
        let mapped = end("[::ffff:127.0.0.1]:80");
        let table = [
            (Wanted::Port(80), (a, b), true),
            (Wanted::Port(80), (b, a), true),
            (Wanted::Port(81), (a, b), false),
            (Wanted::Between(a, b), (a, b), true),
            (Wanted::Between(a, b), (b, a), true),
            (Wanted::Between(a, b), (c, b), false),
            (Wanted::Between(a, b), (a, a), false),
            // An IPv4-mapped address is the IPv4 address.
            (Wanted::Between(mapped, b), (a, b), true),
        ];
        for (wanted, (one, other), expected) in table {
            assert_eq!(wanted.are(one, other), expected, "{wanted:?} {one:?} {other:?}");
        }
    }
}
