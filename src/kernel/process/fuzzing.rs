//! What must hold for any bytes that claim to be a text of `/proc`.

use std::os::unix::ffi::OsStrExt;

use super::parse::cgroup::{self, Cgroup};
use super::parse::stat::{self, Stat};
use super::parse::status::{self, Status};
use super::parse::{link, node, single, tty};
use crate::token::{Capabilities, Uid};

/// A longer text is not cut at each of its bytes.
const CUT_EVERYWHERE: usize = 512;

/// Reads `data` as each of the texts. Returns whether it tells something.
pub fn check_proc_texts(data: &[u8]) -> bool {
    let told = [
        check_stat(data),
        check_status(data),
        check_cgroup(data),
        check_links(data),
        check_single_values(data),
        check_node(data),
        check_terminal(data),
    ];
    told.contains(&true)
}

fn check_stat(text: &[u8]) -> bool {
    let Some(found) = stat::stat(text) else { return false };
    let Stat { pid, state, terminal, kernel_thread, start_ticks } = found;
    let open = position(text, b"(");
    let close = text.iter().rposition(|byte| *byte == b')').unwrap_or(0);
    let (before, after) = (part(text, 0, open), part(text, close + 2, text.len()));
    assert!(is_number(part(before, 0, before.len().saturating_sub(1)), pid.into()), "{found:?}");
    let field = |number: usize| after.split(|byte| *byte == b' ').nth(number - 3).unwrap_or(b"");
    assert_eq!(field(3), [state]);
    assert!(is_number(field(22), start_ticks), "{found:?}");
    let device = terminal.map_or(0, u32::cast_signed);
    assert!(is_signed_number(field(7), device.into()), "{found:?}");
    let flags = field(9).iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    assert_eq!(kernel_thread, flags & 0x0020_0000 != 0, "{found:?}");
    assert!(after.split(|byte| *byte == b' ').count() > 20, "field 22 may have been cut off");

    // No name changes what the fields say.
    for name in [&b""[..], b"cat", b") R 1 (", b"))) Z 0 0 0 0 0 0", b"two\nlines", b"\xff"] {
        let other = [before, b"(", name, part(text, close, text.len())].concat();
        assert_eq!(stat::stat(&other), Some(found), "{name:?}");
    }
    // Past the name, a text that was cut off says the same or nothing.
    for cut in cuts(text).filter(|cut| *cut > close) {
        let cut = stat::stat(part(text, 0, cut));
        assert!(cut.is_none() || cut == Some(found), "{cut:?} of {found:?}");
    }
    let rendered = format!(
        "{pid} (a) {} 1 1 1 {device} 1 {} 0 0 0 0 0 0 0 0 0 0 0 0 {start_ticks} 0\n",
        char::from(state),
        if kernel_thread { 0x0020_0000 } else { 0 },
    );
    let again = stat::stat(rendered.as_bytes());
    assert!(!state.is_ascii_graphic() || again == Some(found), "{again:?} of {rendered:?}");
    true
}

fn check_status(text: &[u8]) -> bool {
    let found = status::status(text);
    let below = status::descriptors_below(text);
    let Status { users, groups, supplementary, capabilities } = &found;
    if let Some(users) = users {
        let ids = [users.real.as_raw(), users.effective.as_raw()];
        check_ids(text, b"Uid:", &ids, Some(4));
    }
    if let Some(groups) = groups {
        let ids = [groups.real.as_raw(), groups.effective.as_raw()];
        check_ids(text, b"Gid:", &ids, Some(4));
    }
    if let Some(groups) = supplementary {
        let ids: Vec<u32> = groups.iter().map(|group| group.as_raw()).collect();
        check_ids(text, b"Groups:", &ids, Some(ids.len()));
    }
    if let Some(set) = capabilities {
        let digits = format!("{:016x}", set.bits());
        let line = only_line(text, b"CapEff:").to_ascii_lowercase();
        assert_eq!(line.strip_prefix(b"\t"), Some(digits.as_bytes()));
    }
    if let Some(below) = below {
        check_ids(text, b"FDSize:", &[below], Some(1));
    }

    // A line more, whatever it says, makes no line of another kind believed or doubted.
    let named = [b"Name:\tUid:\\nx\n", text].concat();
    assert_eq!(status::status(&named), found, "after a name");
    // A second line of a kind makes both unbelievable.
    if users.is_some() {
        for place in [&b""[..], text] {
            let rest = part(text, place.len(), text.len());
            let twice = [place, b"\nUid:\t0\t0\t0\t0\n", rest].concat();
            assert_eq!(status::status(&twice).users, None, "two lines");
        }
    }
    // A text that was cut off says the same or nothing.
    for cut in cuts(text) {
        let cut = status::status(part(text, 0, cut));
        assert!(users.is_none() || cut.users.is_none() || cut.users == *users);
        assert!(groups.is_none() || cut.groups.is_none() || cut.groups == *groups);
        let cut_off = cut.supplementary;
        assert!(supplementary.is_none() || cut_off.is_none() || cut_off == *supplementary);
        let cut_off = cut.capabilities;
        assert!(capabilities.is_none() || cut_off.is_none() || cut_off == *capabilities);
    }
    assert_eq!(status::status(render(&found).as_bytes()), found);
    users.is_some() || groups.is_some() || supplementary.is_some() || below.is_some()
}

/// As the kernel writes it. The saved and the file system ids are not read.
fn render(status: &Status) -> String {
    let mut text = String::new();
    if let Some(users) = status.users {
        let (real, effective) = (users.real.as_raw(), users.effective.as_raw());
        text += &format!("Uid:\t{real}\t{effective}\t7\t7\n");
    }
    if let Some(groups) = status.groups {
        let (real, effective) = (groups.real.as_raw(), groups.effective.as_raw());
        text += &format!("Gid:\t{real}\t{effective}\t7\t7\n");
    }
    if let Some(groups) = &status.supplementary {
        let ids: Vec<String> = groups.iter().map(|it| format!("{} ", it.as_raw())).collect();
        text += &format!("Groups:\t{}\n", ids.concat());
    }
    if let Some(set) = status.capabilities.map(Capabilities::bits) {
        text += &format!("CapEff:\t{set:016x}\n");
    }
    text
}

/// The only line of this kind begins with exactly these numbers, and has so many.
fn check_ids(text: &[u8], key: &[u8], ids: &[u32], count: Option<usize>) {
    let line = only_line(text, key);
    let words: Vec<&[u8]> =
        line.split(|byte| matches!(byte, b'\t' | b' ')).filter(|word| !word.is_empty()).collect();
    assert!(count.is_none_or(|count| words.len() == count), "{words:?}");
    for (id, word) in ids.iter().zip(&words) {
        assert!(is_number(word, (*id).into()), "{id} of {word:?}");
    }
    if key != b"FDSize:" {
        assert!(!ids.contains(&u32::MAX), "nobody");
    }
}

fn only_line<'a>(text: &'a [u8], key: &[u8]) -> &'a [u8] {
    let end = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let lines = part(text, 0, end).split(|byte| *byte == b'\n');
    let mut values = lines.filter_map(|line| line.strip_prefix(key));
    let value = values.next();
    assert!(value.is_some() && values.next().is_none(), "one whole line {key:?}");
    value.unwrap_or(b"")
}

fn check_cgroup(text: &[u8]) -> bool {
    let found = cgroup::cgroup(text);
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    assert_eq!(cgroup::cgroup(part(text, 0, whole)), found, "a line that was cut off counts");
    let Cgroup { path, unit, container } = &found;
    let Some(path) = path else {
        assert!(unit.is_none() && container.is_none(), "{found:?} of no group");
        return false;
    };
    let path = path.as_os_str().as_bytes();
    assert!(path.starts_with(b"/") && path != b"/" && !path.contains(&b'\n'), "{found:?}");
    assert!(contains(text, &[b":", path].concat()), "{found:?}");
    let names = || path.split(|byte| *byte == b'/');
    if let Some(unit) = unit {
        let is = |name: &[u8]| name.strip_prefix(b"_").unwrap_or(name) == unit.as_bytes();
        assert!(names().any(is), "{unit} of {found:?}");
        assert!(!unit.ends_with(".slice") && unit.contains('.'), "{unit}");
    }
    if let Some(id) = container {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(id.len() == 64 && id.bytes().all(digit), "{id}");
        assert!(names().any(|name| contains(name, id.as_bytes())), "{id} of {found:?}");
    }
    let rendered = [b"0::", path, b"\n"].concat();
    assert!(path.ends_with(b" (deleted)") || cgroup::cgroup(&rendered) == found, "{found:?}");
    true
}

fn check_links(text: &[u8]) -> bool {
    let inode = link::socket_inode(text);
    if let Some(inode) = inode {
        let digits = text.strip_prefix(b"socket:[").and_then(|it| it.strip_suffix(b"]"));
        assert!(is_number(digits.unwrap_or(b""), inode.get()), "{inode}");
    }
    let number = link::number(text);
    assert!(number.is_none_or(|number| is_number(text, number.into())), "{number:?}");
    let executable = link::executable(text);
    if let Some((path, deleted)) = &executable {
        let end: &[u8] = if *deleted { b" (deleted)" } else { b"" };
        assert_eq!([path.as_os_str().as_bytes(), end].concat(), text);
    }
    assert_eq!(link::is_initial_pid(text), text == b"pid:[4026531836]");
    inode.is_some() || number.is_some()
}

fn check_single_values(text: &[u8]) -> bool {
    let value = text.strip_suffix(b"\n").unwrap_or(text);
    let login = single::login_uid(text).map(Uid::as_raw);
    assert_eq!(login, single::session_id(text), "one form of a number");
    assert!(login.is_none_or(|id| is_number(value, id.into()) && id != u32::MAX), "{login:?}");
    if let Some(id) = login {
        assert_eq!(single::session_id(format!("{id}\n").as_bytes()), login);
    }
    if let Some(label) = single::security_label(text) {
        let rest = text.strip_prefix(label.as_bytes()).unwrap_or(b"x");
        assert!(!label.is_empty() && rest.iter().all(|byte| matches!(byte, 0 | b'\n')), "{label}");
    }
    let command = single::command(text);
    if let Some(command) = &command {
        assert_eq!([command.as_bytes(), b"\n"].concat(), text);
        assert!(!command.is_empty());
    }
    login.is_some()
}

fn check_node(text: &[u8]) -> bool {
    let value = text.strip_suffix(b"\n").unwrap_or(text);
    let machine = node::machine_id(text);
    assert!(machine.as_ref().is_none_or(|id| id.as_bytes() == value && id.len() == 32));
    let boot = node::boot_id(text);
    assert!(boot.as_ref().is_none_or(|id| id.as_bytes() == value && id.len() == 36));
    let (since, forks) = (node::boot_time(text), node::forks(text));
    for (key, number) in
        [(&b"btime "[..], since), (b"processes ", forks.map(std::num::NonZeroU64::get))]
    {
        let Some(number) = number else { continue };
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key));
        assert!(is_number(line.unwrap_or(b""), number), "{number} of {line:?}");
    }
    let hides = node::hides_processes(text);
    assert!(!hides || contains(text, b"hidepid=") && contains(text, b" /proc "));
    machine.is_some() || boot.is_some() || since.is_some() || forks.is_some() || hides
}

/// A terminal is found again from its name.
fn check_terminal(data: &[u8]) -> bool {
    let Some(bytes) = data.first_chunk().filter(|_| data.len() == 4) else { return false };
    let device = u32::from_ne_bytes(*bytes);
    let Some(name) = tty::terminal_name(device) else { return false };
    let minor = (device & 0xff) | (device >> 12) & 0x000f_ff00;
    let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let number: u32 = digits.parse().unwrap_or(minor);
    let kind = name.strip_suffix(digits).unwrap_or(&name);
    let (major, minor) = match kind {
        "ttyS" | "ttyAMA" => (if kind == "ttyS" { 4 } else { 204 }, number + 64),
        "tty" => (4, number),
        "console" => (5, 1),
        "pts/" => (136, number),
        "ttyACM" => (166, number),
        "ttyUSB" => (188, number),
        "hvc" => (229, number),
        other => unreachable!("a terminal {other}"),
    };
    let again = (minor & 0xff) | major << 8 | (minor & 0x000f_ff00) << 12;
    assert_eq!(tty::terminal_name(again).as_ref(), Some(&name), "{device:#x} and {again:#x}");
    // Only pseudo-terminals have two numbers.
    assert!(again == device || kind == "pts/", "{device:#x} and {again:#x}");
    true
}

/// Whether the text is this number, and nothing else.
fn is_number(text: &[u8], number: u64) -> bool {
    let zeros = text.iter().take_while(|digit| **digit == b'0').count();
    let significant = part(text, zeros.min(text.len().saturating_sub(1)), text.len());
    significant == number.to_string().as_bytes()
}

/// The same for a number that may be negative; nothing is written "-0".
fn is_signed_number(text: &[u8], number: i64) -> bool {
    match text.strip_prefix(b"-") {
        Some(digits) => number < 0 && is_number(digits, number.unsigned_abs()),
        None => number >= 0 && is_number(text, number.unsigned_abs()),
    }
}

fn cuts(text: &[u8]) -> std::ops::Range<usize> {
    let end = text.len();
    if end <= CUT_EVERYWHERE { 0..end } else { end - 1..end }
}

fn part(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    bytes.get(from..to).unwrap_or(b"")
}

fn position(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).unwrap_or(bytes.len())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    position(bytes, wanted) < bytes.len()
}
