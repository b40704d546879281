//! Names of terminals from their device numbers. Source: the kernel's `devices.txt`.

/// The name, without `/dev/`, of the terminal with device number `device` as `/proc/<pid>/stat`
/// encodes it; `None` for a device that is not in the table.
pub(crate) fn terminal_name(device: u32) -> Option<String> {
    // The encoding of the kernel's new_encode_dev().
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0x000f_ff00);
    Some(match (major, minor) {
        (4, 0..64) => format!("tty{minor}"),
        (4, 64..256) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".to_owned(),
        // Numbered through; the majors after 136 held 256 each before minors had 20 bits.
        (136, _) => format!("pts/{minor}"),
        (137..=143, 0..256) => format!("pts/{}", (major - 136) * 256 + minor),
        (166, _) => format!("ttyACM{minor}"),
        (188, _) => format!("ttyUSB{minor}"),
        (204, 64..80) => format!("ttyAMA{}", minor - 64),
        (229, _) => format!("hvc{minor}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::terminal_name;

    #[test]
    fn names_what_it_knows() {
        for (device, name) in [
            (0x0401, Some("tty1")),
            (0x0440, Some("ttyS0")),
            (0x0501, Some("console")),
            (0x8800, Some("pts/0")),
            (34817, Some("pts/1")),
            (0x0010_8800 | 0x05, Some("pts/261")),
            (0x8901, Some("pts/257")),
            (0xcc40, Some("ttyAMA0")),
            (0xe500, Some("hvc0")),
            (0x0500, None),
            (0, None),
            (u32::MAX, None),
        ] {
            assert_eq!(terminal_name(device).as_deref(), name, "{device:#x}");
        }
    }
}
