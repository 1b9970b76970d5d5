//! The route table: which route matches a request, and conflicts between routes.

use fezz_manifest::{Found, Methods, Route, RouteTable};
use http::Method;

/// Routes from lines such as `GET,POST /todos/{id}`.
fn routes(lines: &[&str]) -> Vec<Route> {
    let route = |line: &&str| {
        let (methods, path) = line.split_once(' ').expect("a method and a path");
        let methods = match methods {
            "ANY" => Methods::Any,
            "" => Methods::Only(Vec::new()),
            list => Methods::Only(list.split(',').map(|m| m.parse().expect("a method")).collect()),
        };
        Route { path: path.to_owned(), methods, upgrade: false }
    };
    lines.iter().map(route).collect()
}

fn table(lines: &[&str]) -> RouteTable {
    RouteTable::new(&routes(lines)).expect("routes without problems")
}

/// The result as one line: the pattern with its parameters, or why there is none.
fn show(found: &Found<'_, '_>) -> String {
    match found {
        Found::Route(found) => {
            let params: String =
                found.params.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{}{params}{}", found.pattern, if found.head_from_get { " (head)" } else { "" })
        }
        Found::MethodNotAllowed { allow } => format!("not allowed: {allow}"),
        Found::Options { allow } => format!("options: {allow}"),
        Found::BadParameter { name } => format!("bad {name}"),
        Found::NotFound => "not found".to_owned(),
    }
}

#[track_caller]
fn expect(table: &RouteTable, request: &str, expected: &str) {
    let (method, path) = request.split_once(' ').expect("a method and a path");
    let method: Method = method.parse().expect("a method");
    let found = if path == "-" { table.find_root(&method) } else { table.find(path, &method) };
    assert_eq!(show(&found), expected, "{request}");
}

#[test]
fn literals_beat_parameters_beat_wildcards() {
    let table = table(&["GET /a/{x}", "GET /a/new", "GET /b/{*rest}", "GET /b/one"]);
    expect(&table, "GET /a/new", "/a/new");
    expect(&table, "GET /a/newer", "/a/{x} x=newer");
    expect(&table, "GET /a/ne", "/a/{x} x=ne");
    expect(&table, "GET /a/", "not found");
    expect(&table, "GET /a/b/c", "not found");
    expect(&table, "GET /b/one", "/b/one");
    expect(&table, "GET /b/two", "/b/{*rest} rest=two");
}

#[test]
fn a_request_is_matched_by_the_most_literal_pattern() {
    let table = table(&["GET /f/{*rest}", "GET /f/one", "GET /{a}/x/{b}"]);
    expect(&table, "GET /f/one", "/f/one");
    expect(&table, "GET /f/one/two", "/f/{*rest} rest=one/two");
    expect(&table, "GET /f/x/", "/f/{*rest} rest=x/");
    expect(&table, "GET /f/", "not found");
    expect(&table, "GET /f", "not found");
    expect(&table, "GET /g/x/y", "/{a}/x/{b} a=g b=y");
}

#[test]
fn literal_braces_and_escapes_match_verbatim() {
    let table = table(&["GET /{{id}}", "GET /caf%C3%A9", "GET /v{major}/{{x}}"]);
    expect(&table, "GET /{id}", "/{{id}}");
    expect(&table, "GET /caf%C3%A9", "/caf%C3%A9");
    expect(&table, "GET /v2/{x}", "/v{major}/{{x}} major=2");
    expect(&table, "GET /v2/x", "not found");
}

#[test]
fn trailing_slashes_are_significant() {
    let table = table(&["GET /a", "GET /b/"]);
    expect(&table, "GET /a/", "not found");
    expect(&table, "GET /b", "not found");
    expect(&table, "GET /b/", "/b/");
    expect(&table, "GET a", "not found");
}

#[test]
fn parameters_are_percent_decoded_once() {
    let table = table(&["GET /{a}/{b}", "GET /x/y/{*rest}"]);
    expect(&table, "GET /caf%C3%A9/a%2Fb%2525+", "/{a}/{b} a=café b=a/b%25+");
    expect(&table, "GET /100%/%zz", "/{a}/{b} a=100% b=%zz");
    expect(&table, "GET /x/y/a%20b/c", "/x/y/{*rest} rest=a b/c");
    expect(&table, "GET /ok/%FF", "bad b");
    expect(&table, "GET /%C3/%FF", "bad a");
    expect(&table, "POST /ok/%FF", "not allowed: GET, HEAD, OPTIONS");
}

#[test]
fn values_without_escapes_are_borrowed_from_the_request() {
    let table = table(&["GET /{a}/{b}"]);
    let path = String::from("/plain/a%20b");
    let Found::Route(found) = table.find(&path, &Method::GET) else { panic!("no route") };
    let borrowed = |name| matches!(found.params.get(name), Some(std::borrow::Cow::Borrowed(_)));
    assert!(borrowed("a") && !borrowed("b"));
    assert_eq!(found.params.get("c"), None);
    assert_eq!((found.params.len(), found.params.is_empty()), (2, false));
}

#[test]
fn head_goes_to_get_and_options_is_automatic() {
    let table = table(&["GET /a", "HEAD,GET /b", "POST /c", "OPTIONS,POST /d"]);
    expect(&table, "HEAD /a", "/a (head)");
    expect(&table, "HEAD /b", "/b");
    expect(&table, "HEAD /c", "not allowed: POST, OPTIONS");
    expect(&table, "OPTIONS /a", "options: GET, HEAD, OPTIONS");
    expect(&table, "OPTIONS /d", "/d");
    expect(&table, "OPTIONS /e", "not found");
}

#[test]
fn allow_has_a_stable_order() {
    let table = table(&["PROPFIND,DELETE /a", "COPY,GET /a", "POST /a"]);
    expect(&table, "PUT /a", "not allowed: GET, HEAD, POST, DELETE, OPTIONS, COPY, PROPFIND");
    expect(&table, "COPY /a", "/a");
}

#[test]
fn any_matches_methods_without_a_route() {
    let table = table(&["ANY /a", "GET /a", "MKCOL /a", "ANY /b"]);
    let all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    expect(&table, "PUT /a", "/a");
    expect(&table, "OPTIONS /a", "/a");
    expect(&table, "PURGE /a", "/a");
    // GET, a name, takes precedence over ANY.
    expect(&table, "HEAD /a", "/a (head)");
    expect(&table, "HEAD /b", "/b");
    expect(&table, "TRACE /a", &format!("not allowed: {all}, MKCOL"));
    expect(&table, "CONNECT /b", &format!("not allowed: {all}"));
}

#[test]
fn the_root_is_the_slash_route() {
    let table = table(&["GET /hello", "POST /"]);
    expect(&table, "POST -", "/");
    expect(&table, "GET -", "not allowed: POST, OPTIONS");
    expect(&table, "OPTIONS -", "options: POST, OPTIONS");
}

#[test]
fn without_a_slash_route_the_root_is_the_first_without_parameters() {
    let table = table(&["GET /{id}", "POST /a", "GET /b", "GET /a", "HEAD /c", "PROPFIND /d"]);
    expect(&table, "GET -", "/b");
    expect(&table, "HEAD -", "/b (head)");
    expect(&table, "POST -", "/a");
    expect(&table, "PROPFIND -", "/d");
    expect(&table, "PUT -", "not allowed: GET, HEAD, POST, OPTIONS, PROPFIND");
    expect(&table, "OPTIONS -", "options: GET, HEAD, POST, OPTIONS, PROPFIND");
}

#[test]
fn a_table_of_parameters_only_has_no_root() {
    let table = table(&["GET /{id}", "ANY /files/{*rest}"]);
    expect(&table, "GET -", "not found");
    expect(&table, "OPTIONS -", "not found");
}

#[test]
fn indexes_are_those_of_the_patterns() {
    let table = table(&["GET /b", "GET /{x}", "POST /b", "GET /a"]);
    let patterns: Vec<_> = table.patterns().collect();
    assert_eq!(patterns, ["/b", "/{x}", "/a"]);
    for (path, method) in [("/b", Method::POST), ("/z", Method::GET), ("/a", Method::GET)] {
        let Found::Route(found) = table.find(path, &method) else { panic!("no route for {path}") };
        assert_eq!(patterns[found.index], found.pattern);
    }
    let routes: Vec<_> = table.routes().map(|(pattern, methods)| format!("{methods} {pattern}")).collect();
    assert_eq!(routes, ["GET /b", "GET /{x}", "POST /b", "GET /a"]);
}

#[track_caller]
fn expect_problems(lines: &[&str], expected: &[&str]) {
    let problems = RouteTable::new(&routes(lines)).expect_err("the routes have problems").to_string();
    let problems: Vec<_> = problems.lines().collect();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, part) in problems.iter().zip(expected) {
        assert!(problem.contains(part), "no {part:?} in {problem}");
    }
}

#[test]
fn duplicates_name_the_earlier_route() {
    expect_problems(
        &["GET /a", "POST /b", "POST,GET /a", "ANY /b", "ANY /b"],
        &[
            "$.routes[2].method: `GET /a` is a route already, at $.routes[0]; remove one of them",
            "$.routes[4].method: `ANY /b` is a route already, at $.routes[3]",
        ],
    );
}

#[test]
fn conflicts_name_the_earliest_route() {
    expect_problems(
        &["GET /x", "GET /a/{id}", "POST /a/{name}", "GET /a/{*rest}", "GET /a/{id}/b", "GET /a/{other}/b"],
        &[
            "$.routes[2].path: `/a/{name}` conflicts with `/a/{id}` at $.routes[1]: some requests",
            "$.routes[3].path: `/a/{*rest}` conflicts with `/a/{id}` at $.routes[1]",
            "$.routes[5].path: `/a/{other}/b` conflicts with `/a/{id}/b` at $.routes[4]",
        ],
    );
    expect_problems(&["GET /f/{*a}", "GET /f/{*b}"], &["`/f/{*b}` conflicts with `/f/{*a}` at $.routes[0]"]);
}

#[test]
fn a_parameter_is_never_empty() {
    let table = table(&["GET /{a}/x", "GET /v{b}/{c}", "GET /w{d}", "GET /{e}"]);
    expect(&table, "GET //x", "not found");
    expect(&table, "GET /a/x", "/{a}/x a=a");
    expect(&table, "GET /v1/x", "/v{b}/{c} b=1 c=x");
    expect(&table, "GET /v/y", "not found");
    expect(&table, "GET /v1/", "not found");
    expect(&table, "GET /w", "/{e} e=w");
}

#[test]
fn parameters_may_have_different_names_in_different_paths() {
    let table = table(&["GET /{a}/x", "GET /{b}/y", "GET /{c}"]);
    expect(&table, "GET /1/x", "/{a}/x a=1");
    expect(&table, "GET /1/y", "/{b}/y b=1");
    expect(&table, "GET /1", "/{c} c=1");
}

#[test]
fn routes_that_do_not_come_from_a_file_are_checked() {
    expect_problems(&[], &["$.routes: must have a route"]);
    let many = "/{p}".repeat(30);
    expect_problems(
        &[" /a", "TRACE,GET,GET /b", "GET //", &format!("GET {many}")],
        &[
            "$.routes[0].method: must name a method",
            "$.routes[1].method: `TRACE` is not served",
            "$.routes[1].method: `GET` is in the list already",
            "$.routes[2].path: holds `//`",
            "$.routes[3].path: has two parameters `p`",
            "$.routes[3].path: has 30 parameters; at most 16",
        ],
    );
}

#[test]
fn the_route_that_takes_the_request_says_whether_it_may_upgrade() {
    let mut all = routes(&["GET /a", "ANY /a", "ANY /b/{c}", "GET /d"]);
    (all[1].upgrade, all[2].upgrade) = (true, true);
    let table = RouteTable::new(&all).expect("routes without problems");
    let may = |path: &str, method: Method| match table.find(path, &method) {
        Found::Route(found) => table.upgrades(found.index, &method),
        other => panic!("{}", show(&other)),
    };
    assert!(!may("/a", Method::GET) && may("/a", Method::POST) && may("/b/x", Method::GET));
    assert!(!may("/a", Method::HEAD) && !may("/d", Method::GET));
}
