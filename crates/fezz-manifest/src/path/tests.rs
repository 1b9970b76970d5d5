//! Tests of the rules for a path.

use super::*;

#[track_caller]
fn refused(path: &str, expected: &[&str]) {
    let messages = check(path).expect_err(path);
    assert_eq!(messages.len(), expected.len(), "{path}: {messages:?}");
    for (message, part) in messages.iter().zip(expected) {
        assert!(message.contains(part), "{path}: {message}");
    }
}

#[test]
fn literal_paths_are_valid_and_their_braces_resolved() {
    for path in
        ["/", "/hello", "/hello/", "/a-b_c.d~e", "/caf%C3%A9", "/a:b", "/a*b", "/@me", "/.well-known/x"]
    {
        assert_eq!(check(path), Ok(Pattern { literal: Some(path.to_owned()) }), "{path}");
    }
    assert_eq!(check("/{{a}}/b{{{{").unwrap().literal.as_deref(), Some("/{a}/b{{"));
}

#[test]
fn parameters_and_wildcards_are_valid() {
    for path in
        ["/todos/{id}", "/{a}/{b_2}/", "/files/{*rest}", "/v{major}/x", "/{user-id}", "/{{{id}", "/x{*y}"]
    {
        assert_eq!(check(path), Ok(Pattern { literal: None }), "{path}");
    }
}

#[test]
fn the_syntax_of_axum_0_7_gets_a_suggestion() {
    refused("/:id", &["`:id` is the syntax of axum 0.7; write `{id}`"]);
    refused("/a/*rest", &["write `{*rest}`"]);
    refused("/*", &["write `{*rest}`"]);
    refused("/:id/*", &["write `{id}`", "write `{*rest}`"]);
}

#[test]
fn braces_must_make_a_parameter() {
    refused("/{id", &["`{` without its `}`"]);
    refused("/id}", &["`}` without its `{`"]);
    refused("/{a/b}", &["`{` without its `}`", "`}` without its `{`"]);
    refused("/{}", &["without a name, `{}`"]);
    refused("/{*}", &["without a name, `{*}`"]);
    refused("/{id}.json", &["`.json` after `{id}`"]);
    refused("/{a}{b}", &["`{b}` after `{a}`"]);
    refused("/{id}}}", &["`}}` after `{id}`"]);
    refused("/{1a}", &["named `1a`"]);
    refused("/{a b}", &["named `a b`"]);
    refused("/{a{{b}", &["named `a{{b`"]);
    refused("/{a}/x/{a}", &["two parameters `a`"]);
    refused("/{*rest}/x", &["not at the end"]);
    refused(&"/{a}".repeat(2), &["two parameters `a`"]);
}

#[test]
fn paths_that_no_request_can_match_are_refused() {
    refused("", &["write `/`"]);
    refused("hello", &["write `/hello`"]);
    refused("//", &["`//`"]);
    refused("/a//b", &["`//`"]);
    refused("/a/../b/.", &["`..` as a segment"]);
    refused("/a?b=c", &["`?`"]);
    refused("/a#b", &["`#`"]);
    refused("/a\0b\n", &["'\\0'", "'\\n'"]);
    refused("/a b c", &["`%20`"]);
    refused("/café", &["`%C3%A9`"]);
    refused("/a|b\\", &["`%7C`", "`%5C`"]);
    refused("/%2e%2E/%2e", &["`%2e`, an encoded dot", "`%2E`, an encoded dot"]);
    refused("/%41", &["write `A`"]);
    refused("/%c3%a9", &["write `%C3`", "write `%A9`"]);
    refused("/%00", &["control character"]);
    refused("/100%", &["`%25`"]);
    refused("/%+1", &["`%25`"]);
    refused("/%é", &["`%25`", "`%C3%A9`"]);
}

#[test]
fn lengths_have_limits() {
    refused(&format!("/{}", "a".repeat(MAX_LENGTH)), &["at most 1024"]);
    let many: String = (0..=MAX_PARAMS).map(|i| format!("/{{p{i}}}")).collect();
    refused(&many, &["has 17 parameters"]);
}
