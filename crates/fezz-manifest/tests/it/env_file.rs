//! `.env` files: the syntax, the line of each problem, and that no message shows the file's text.

use std::collections::BTreeMap;

use fezz_manifest::{MAX_ENV_FILE_BYTES, parse_env_file};

fn read(text: &str) -> Vec<(String, String)> {
    parse_env_file(text.as_bytes()).expect("a file without problems").into_iter().collect()
}

/// Expects one variable `A` with this value.
#[track_caller]
fn expect(line: &str, value: &str) {
    assert_eq!(read(line), [("A".to_owned(), value.to_owned())], "{line:?}");
}

/// Expects exactly these problems, each by its line and a part of its message.
#[track_caller]
fn expect_problems(text: impl AsRef<[u8]>, expected: &[(usize, &str)]) {
    let problems = parse_env_file(text.as_ref()).expect_err("the file has problems");
    assert_eq!(problems.iter().count(), expected.len(), "{problems}");
    for (problem, (line, part)) in problems.iter().zip(expected) {
        assert_eq!(problem.path, format!("line {line}"), "{problems}");
        assert!(problem.message.contains(part), "no {part:?} in:\n{problems}");
    }
}

#[test]
fn files_without_variables() {
    for text in ["", "\n", "\r\n", " \t\n\n", "# A=1", "  # A=1\n#\n", "\u{feff}", "\u{feff}# A=1"] {
        assert_eq!(read(text), [], "{text:?}");
    }
}

#[test]
fn unquoted_values_are_literal() {
    for (line, value) in [
        ("A=", ""),
        ("A=1", "1"),
        (" \tA = 1 \t", "1"),
        ("A=b c", "b c"),
        ("A=b=c==", "b=c=="),
        ("A=it's \"so\"", "it's \"so\""),
        (r"A=\n\\", r"\n\\"),
        ("A=$B ${B} $(B) `B`", "$B ${B} $(B) `B`"),
        ("A=äöü", "äöü"),
    ] {
        expect(line, value);
    }
}

#[test]
fn a_comment_begins_with_a_space_and_a_hash() {
    expect("A=b # c", "b");
    expect("A=b\t#c # d", "b");
    expect("A= # c", "");
    expect("A=#c", "#c");
    expect("A=b#c", "b#c");
    expect("A=b#c #d", "b#c");
    expect("A='b # c' # d", "b # c");
    expect("A=\"b # c\"\t#d", "b # c");
}

#[test]
fn export_is_ignored() {
    expect("export A=1", "1");
    expect("\texport \t A = 1", "1");
    assert_eq!(read("export=1\nexport2=2"), [("export".into(), "1".into()), ("export2".into(), "2".into())]);
    assert_eq!(read("export =1"), [("export".into(), "1".into())]);
    expect_problems("export A", &[(1, "has no `=`")]);
}

#[test]
fn single_quotes_are_literal() {
    expect("A=''", "");
    expect(r#"A= ' b\n\\ $C "d" ' "#, r#" b\n\\ $C "d" "#);
    expect("A='b\n\n  c=d\n# e'\n", "b\n\n  c=d\n# e");
}

#[test]
fn double_quotes_have_escapes() {
    expect(r#"A="""#, "");
    expect(r#"A="\n\r\t\"\\\$""#, "\n\r\t\"\\$");
    expect(r#"A="\\n""#, "\\n");
    expect(r#"A="b\\" # "c""#, "b\\");
    expect(r#"A="$B ${B} 'c'""#, "$B ${B} 'c'");
    expect("A=\"b\n\n  c=d\n# e\"\n", "b\n\n  c=d\n# e");
}

#[test]
fn line_ends_may_be_lf_or_crlf() {
    let expected = [("A".into(), "1".into()), ("B".into(), "2\n3".into()), ("C".into(), "4".into())];
    assert_eq!(read("A=1\nB='2\n3'\nC=4"), expected);
    assert_eq!(read("\u{feff}A=1\r\nB='2\r\n3'\r\n\r\nC=4\r\n"), expected);
}

#[test]
fn all_problems_of_a_file_come_at_once() {
    expect_problems(
        b"A=1\nexport B\n2C=3\nD='4\n5' 6\nA=7\nE=\"8\n\\9\"\nF=\"10\nG=\xFF\n=11\n\0\n\0\xFE\nH=12\r13\n",
        &[
            (2, "has no `=`; write NAME=value"),
            (3, "what stands before the `=` is not a name of a variable; use letters"),
            (5, "follows the quote that closes the value of line 4"),
            (6, "this name is set already at line 1; keep one of them"),
            (8, "has a `\\` that begins none of"),
            (9, "opens a quote that is never closed"),
            (10, "is not UTF-8"),
            (11, "is not a name of a variable"),
            (12, "NUL"),
            (12, "has no `=`"),
            (13, "is not UTF-8"),
            (13, "NUL"),
            (13, "has no `=`"),
            (14, "a carriage return that ends no line"),
        ],
    );
}

#[test]
fn names_are_those_of_env() {
    for name in ["A", "_", "a_1", "PATH"] {
        assert_eq!(read(&format!("{name}=1")), [(name.into(), "1".into())]);
    }
    for name in ["", "1A", "A-B", "A B", "É", "A.B", "export A B", "'A'"] {
        expect_problems(format!("{name}=1"), &[(1, "is not a name of a variable")]);
    }
}

#[test]
fn a_name_counts_even_if_its_value_is_invalid() {
    expect_problems("A='1' 2\nA=3\nA=4\n", &[(1, "follows the quote"), (2, "at line 1"), (3, "at line 1")]);
    expect_problems("A=\"\\x\nB\"\nA=3\n", &[(1, "`\\`"), (3, "at line 1")]);
}

#[test]
fn lines_after_an_unclosed_quote_are_checked() {
    expect_problems(
        "A='b\nB\nC=\"c\\\"\nD",
        &[(1, "never closed"), (2, "has no `=`"), (3, "never closed"), (4, "has no `=`")],
    );
    expect_problems("A=\"b\\", &[(1, "never closed")]);
    expect_problems("A='b'#c", &[(1, "write ` #` before a comment")]);
    expect_problems("A=\"b\\\nc\"", &[(1, "has a `\\`")]);
}

#[test]
fn files_that_are_too_large_or_in_another_encoding_have_one_problem() {
    let mut text = vec![b'\n'; MAX_ENV_FILE_BYTES];
    assert_eq!(parse_env_file(&text), Ok(BTreeMap::new()));
    text.push(b'\n');
    expect_problems(&text, &[(1, "has 262145 bytes; at most 262144 are read")]);
    expect_problems(b"\xFF\xFEA\0=\x001\0", &[(1, "UTF-16")]);
    expect_problems(b"\xFE\xFF\0A\0=\x001", &[(1, "UTF-16")]);
}

#[test]
fn no_message_shows_the_files_text() {
    const SECRET: &str = "hunter2";
    for text in [
        "hunter2",
        "hunter2-=1",
        "A-hunter2=hunter2",
        "export hunter2",
        "A='1' hunter2",
        "A='hunter2",
        "A=\"\\hunter2\"",
        "A=\"\\hunter2",
        "A=hunter2\0",
        "A=1\rhunter2",
        "hunter2=1\nhunter2=2",
        "A=-----BEGIN\nhunter2==\nhunter2==\n",
    ] {
        let problems = parse_env_file(text.as_bytes()).expect_err("a problem");
        assert!(!format!("{problems}{problems:?}").contains(SECRET), "{text:?}: {problems}");
    }
}
