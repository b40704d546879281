//! What must hold for any bytes that claim to be an agent's certificate, or names of one.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;

use super::leaf::Leaf;
use super::name::PeerName;
use super::{Refused, Role};

const BOTH: [Role; 2] = [Role::Client, Role::Server];
/// A longer certificate is cut at so many of its bytes.
const CUTS: usize = 64;

/// The tags of a URI and of an address among a certificate's names.
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;

/// Reads `data` as a certificate. Returns whether it may be an agent's.
pub fn check_certificate(data: &[u8]) -> bool {
    let for_any = Leaf::read(data, &[]);
    let for_each = BOTH.map(|role| Leaf::read(data, &[role]));
    let for_both = Leaf::read(data, &BOTH);
    let all = for_each.iter().all(Result::is_ok);
    assert_eq!(for_both.is_ok(), all, "{for_each:?}");
    for read in [&for_any, &for_both].into_iter().chain(&for_each) {
        match (read, &for_any) {
            (Ok(leaf), Ok(any)) => {
                assert_eq!((&leaf.name, &leaf.addresses), (&any.name, &any.addresses))
            }
            (Ok(leaf), Err(refused)) => unreachable!("{leaf:?} for a role, {refused} for none"),
            (Err(refused), _) => check_refused(refused),
        }
    }
    let Ok(leaf) = for_any else { return false };
    check_leaf(&leaf, data);
    let and_more = [data, b"\0"].concat();
    assert!(matches!(Leaf::read(&and_more, &[]), Err(Refused::Malformed(_))), "and a byte more");
    for cut in (0..data.len()).step_by(data.len().div_ceil(CUTS)) {
        let cut = Leaf::read(data.get(..cut).unwrap_or(b""), &[]);
        assert!(matches!(cut, Err(Refused::Malformed(_))), "{cut:?}");
    }
    true
}

/// Takes `data` as a URI, and as the names of a certificate that is an agent's but for them.
/// Returns whether it is that of an agent.
pub fn check_certificate_names(data: &[u8]) -> bool {
    let uri = std::str::from_utf8(data).is_ok_and(check_uri);
    let certificate = certificate(data);
    let read = Leaf::read(&certificate, &BOTH);
    match &read {
        Ok(leaf) => {
            check_leaf(leaf, &certificate);
            let names = names(data);
            assert!(names.is_some(), "{leaf:?} of what is no list of names");
            let of = |wanted: u8| {
                let names = names.iter().flatten();
                names.filter(move |(tag, _)| *tag == wanted).map(|(_, value)| *value)
            };
            let uris: Vec<_> = of(URI).filter_map(|uri| std::str::from_utf8(uri).ok()).collect();
            let names: Vec<_> = uris.iter().filter_map(|uri| PeerName::parse(uri).ok()).collect();
            assert_eq!((uris.len(), names), (1, vec![leaf.name.clone()]), "{uris:?}");
            let addresses: Vec<_> = of(ADDRESS).filter_map(address).collect();
            assert_eq!(leaf.addresses, addresses);
        }
        Err(refused) => check_refused(refused),
    }
    // The same as the only name: the certificate says what the URI says.
    if let (Ok(text), true) = (std::str::from_utf8(data), data.is_ascii()) {
        let alone = Leaf::read(&self::certificate(&tagged(URI, data)), &BOTH);
        let name = PeerName::parse(text);
        match alone {
            Ok(leaf) => assert_eq!(Ok(&leaf.name), name.as_ref()),
            Err(refused) => assert_eq!(Err(&refused), name.map_err(Refused::Name).as_ref()),
        }
    }
    uri || read.is_ok()
}

/// One that is accepted is written in one way alone.
fn check_uri(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let plain = |name: &str| {
        (1..=255).contains(&name.len())
            && name.chars().all(|it| it.is_ascii_alphanumeric() || "._-".contains(it))
    };
    let expected = match parts.as_slice() {
        ["spiffe:", "", domain, "partnerd", host] => {
            plain(domain) && plain(host) && *host != "." && *host != ".."
        }
        _ => false,
    };
    let name = match PeerName::parse(text) {
        Ok(name) => name,
        Err(error) => {
            assert!(!expected, "{error}");
            check_refused(&Refused::Name(error));
            return false;
        }
    };
    assert!(expected, "{name}");
    let (domain, host) = (name.domain().as_str(), name.host());
    assert_eq!(text, format!("spiffe://{domain}/partnerd/{host}"));
    assert_eq!(PeerName::parse(&name.to_string()).as_ref(), Ok(&name));
    assert_eq!(PeerName::new(domain, host).as_ref(), Ok(&name));
    true
}

/// What it says stands in the bytes; and the library that proves who issued it reads the same name.
fn check_leaf(leaf: &Leaf, der: &[u8]) {
    let written = leaf.name.to_string();
    assert_eq!(PeerName::parse(&written).as_ref(), Ok(&leaf.name));
    let (domain, host) = (leaf.name.domain().as_str(), leaf.name.host());
    assert!(contains(der, format!("spiffe://{domain}/partnerd/{host}").as_bytes()), "{written}");
    for address in &leaf.addresses {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        assert!(contains(der, &octets), "{address}");
        assert_eq!(*address, address.to_canonical());
        assert_eq!(leaf.check_address(*address), Ok(()));
    }
    let elsewhere = IpAddr::from([198, 51, 100, 213]);
    if !leaf.addresses.is_empty() && !leaf.addresses.contains(&elsewhere) {
        let refused = leaf.check_address(elsewhere);
        assert!(matches!(refused, Err(Refused::Address { .. })), "{refused:?}");
        check_refused(&refused.err().unwrap_or(Refused::NoIdentity));
    }
    let der = CertificateDer::from(der);
    if let Ok(proven) = webpki::EndEntityCert::try_from(&der) {
        let uris: Vec<_> = proven.valid_uri_names().map(PeerName::parse).collect();
        assert_eq!(uris, [Ok(leaf.name.clone())]);
    }
}

/// A refusal names what was expected, what came and what to do, on one line that is fit to show.
fn check_refused(refused: &Refused) {
    for part in [&refused.expected(), &refused.found(), refused.remedy(), refused.kind()] {
        assert!(!part.is_empty() && !part.contains(char::is_control), "{part:?}");
    }
    let text = refused.to_string();
    assert!(text.starts_with("expected ") && text.contains("; found "), "{text}");
    assert!(text.len() < 2048, "{} bytes", text.len());
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|it| it.to_canonical())
}

/// Tag and value of each of the names, in their simplest reading.
fn names(mut rest: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut names = Vec::new();
    while let [tag, length, after @ ..] = rest {
        let (length, after) = match (*length, after) {
            (short @ ..=0x7f, after) => (usize::from(short), after),
            (0x81, [one, after @ ..]) => (usize::from(*one), after),
            (0x82, [one, two, after @ ..]) => {
                (usize::from(u16::from_be_bytes([*one, *two])), after)
            }
            (0x83, [one, two, three, after @ ..]) => {
                (usize::try_from(u32::from_be_bytes([0, *one, *two, *three])).ok()?, after)
            }
            _ => return None,
        };
        let (value, others) = after.split_at_checked(length)?;
        names.push((*tag, value));
        rest = others;
    }
    rest.is_empty().then_some(names)
}

/// A certificate that is an agent's but for its names and its signature.
fn certificate(names: &[u8]) -> Vec<u8> {
    let sequence = |parts: &[&[u8]]| tagged(0x30, &parts.concat());
    let object = |bytes: &[u8]| tagged(0x06, bytes);
    let extension = |id: &[u8], value: &[u8]| sequence(&[&object(id), &tagged(0x04, value)]);
    let algorithm = sequence(&[&object(&[0x2b, 0x65, 0x70])]);
    let name = sequence(&[]);
    let validity = sequence(&[&tagged(0x17, b"250101000000Z"), &tagged(0x17, b"491231235959Z")]);
    let key = sequence(&[&algorithm, &tagged(0x03, &[0; 33])]);
    // serverAuth and clientAuth.
    let purposes = [1, 2].map(|last| object(&[0x2b, 6, 1, 5, 5, 7, 3, last])).concat();
    let extensions = sequence(&[
        &extension(&[0x55, 0x1d, 0x0f], &tagged(0x03, &[7, 0x80])),
        &extension(&[0x55, 0x1d, 0x25], &sequence(&[&purposes])),
        &extension(&[0x55, 0x1d, 0x11], &sequence(&[names])),
    ]);
    let (version, serial) = (tagged(0xa0, &tagged(0x02, &[2])), tagged(0x02, &[1]));
    let body = sequence(&[
        &version,
        &serial,
        &algorithm,
        &name,
        &validity,
        &name,
        &key,
        &tagged(0xa3, &extensions),
    ]);
    sequence(&[&body, &algorithm, &tagged(0x03, &[0; 65])])
}

fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let [.., one, two, three] = value.len().to_be_bytes();
    let length = match (one, two, three) {
        (0, 0, short @ ..=0x7f) => vec![short],
        (0, 0, _) => vec![0x81, three],
        (0, ..) => vec![0x82, two, three],
        _ => vec![0x83, one, two, three],
    };
    [&[tag], length.as_slice(), value].concat()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
