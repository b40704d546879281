//! Holds SECURITY.md and docs/hazards.md against the tests that they name.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The functions of all Rust files under this folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let heads = text.split("fn ").skip(1);
            names.extend(heads.filter_map(|head| Some(head.split_once('(')?.0.to_owned())));
        }
    }
}

/// What stands between backticks, of the form of a test's name.
fn named(text: &str) -> BTreeSet<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |word: &&str| {
        let letter = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
        word.chars().all(letter) && word.matches('_').count() >= 2
    };
    quoted.filter(is_name).collect()
}

fn all_functions() -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    for folder in ["src", "tests"] {
        functions(&root().join(folder), &mut there);
    }
    there
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let there = all_functions();
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let named = named(&page);
    assert!(named.len() > 60, "the page names tests: {}", named.len());
    let missing: Vec<_> = named.into_iter().filter(|name| !there.contains(*name)).collect();
    assert!(
        missing.is_empty(),
        "named in SECURITY.md, and no function of src or tests: {missing:?}"
    );
}

#[test]
fn every_invariant_and_every_threat_names_its_tests() {
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| I") || line.starts_with("| **"));
    let mut count = 0;
    for row in rows {
        count += 1;
        let last = row.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap();
        assert!(!named(last).is_empty(), "without a test: {row}");
    }
    assert!(count >= 19, "the tables are there: {count}");
}

#[test]
fn every_hazard_has_tests() {
    let there = all_functions();
    let page = fs::read_to_string(root().join("docs/hazards.md")).unwrap();
    let numbers = page.lines().filter_map(|line| line.strip_prefix("| H")?.split(' ').next());
    let mut expected = 1;
    for number in numbers {
        let number: usize = number.parse().unwrap();
        assert_eq!(number, expected, "the numbers follow each other");
        let prefix = format!("h{number:02}_");
        assert!(there.iter().any(|name| name.contains(&prefix)), "no test begins with {prefix}");
        expected += 1;
    }
    assert!(expected > 31, "the table is there");
}
