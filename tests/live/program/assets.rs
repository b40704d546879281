//! What is made of the command line, for packages.

use super::partner;

crate::harness::tests![
    completions_are_there_for_every_shell,
    the_manual_has_a_page_for_every_command,
    a_folder_that_cannot_be_made_is_said,
];

fn completions_are_there_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = partner(1000, &["completions", shell]);
        assert_eq!(ran.status, Some(0), "{shell}: {ran:?}");
        for command in ["who", "list", "watch", "doctor", "policy", "issue"] {
            assert!(ran.out.contains(command), "{shell} lacks {command}");
        }
    }
    let ran = partner(1000, &["completions", "csh"]);
    assert_eq!(ran.status, Some(2), "{ran:?}");
}

fn the_manual_has_a_page_for_every_command() {
    let folder = std::env::temp_dir().join(format!("partner-man-{}", std::process::id()));
    let ran = partner(0, &["man", "--out", folder.to_str().unwrap()]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    for name in ["partner", "partner-who", "partner-policy-test", "partner-ca-issue"] {
        let page = read(&format!("{name}.1"));
        assert!(page.contains(&format!(".TH {name} 1")), "{name}: {page}");
    }
    let names = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(ran.out.lines().count(), names, "each file is named");
    assert!(read("partnerd.8").contains(".TH partnerd 8"));
    assert!(read("partner-who.1").contains("partner who"));
    std::fs::remove_dir_all(&folder).unwrap();
}

fn a_folder_that_cannot_be_made_is_said() {
    let ran = partner(0, &["man", "--out", "/proc/no-such-folder"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.starts_with("partner: /proc/no-such-folder: "), "{}", ran.err);
}
