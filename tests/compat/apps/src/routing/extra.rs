//! The routing of axum-extra: typed paths, resources by convention, redirects to the path with or without a slash.

use axum::Router;
use axum::extract::Path;
use axum::routing::{any, get};
use axum_extra::routing::{Resource, RouterExt, TypedPath};
use serde::Deserialize;

use crate::Setup;
use crate::script::{Request, Step, delete, get as fetch, patch, post, put, steps};

#[derive(Deserialize, TypedPath)]
#[typed_path("/shelves/{shelf}/books/{book}")]
struct Book {
    shelf: String,
    book: u32,
}

#[derive(Deserialize, TypedPath)]
#[typed_path("/shelves")]
struct Shelves;

async fn book(Book { shelf, book }: Book) -> String {
    format!("{shelf} {book} {}", Book { shelf: shelf.clone(), book: book + 1 }.to_uri())
}

async fn moved(_: Shelves) -> axum::response::Redirect {
    axum::response::Redirect::to(&Book { shelf: "a b".into(), book: 1 }.to_string())
}

pub(crate) fn router(_: &Setup) -> Router {
    let users = Resource::named("users")
        .index(|| async { "index" })
        .create(|| async { "create" })
        .new(|| async { "new" })
        .show(|Path(id): Path<u64>| async move { format!("show {id}") })
        .edit(|Path(id): Path<u64>| async move { format!("edit {id}") })
        .update(|Path(id): Path<u64>| async move { format!("update {id}") })
        .destroy(|Path(id): Path<u64>| async move { format!("destroy {id}") });
    Router::new()
        .typed_get(book)
        .typed_get(moved)
        .merge(users)
        .route_with_tsr("/slash/", get(|| async { "slash" }))
        .route_with_tsr("/no-slash", any(|| async { "no slash" }))
        .route_with_tsr("/parts/{id}", get(|Path(id): Path<String>| async move { id }))
}

pub(crate) fn script() -> Vec<Step> {
    let paths = [
        "/shelves",
        "/shelves/a/books/1",
        "/shelves/a%20b/books/1",
        "/shelves/a/books/x",
        "/users",
        "/users/",
        "/users/new",
        "/users/7",
        "/users/x",
        "/users/7/edit",
        "/slash/",
        "/slash",
        "/slash?a=b",
        "/no-slash",
        "/no-slash/",
        "/no-slash/?a=b",
        "/parts/7",
        "/parts/7/",
        "/parts/a%20b/",
        "/nowhere",
    ];
    let methods: [fn(&'static str) -> Request; 5] =
        [|path| fetch(path), |path| post(path), |path| put(path), |path| patch(path), |path| delete(path)];
    steps(paths.into_iter().flat_map(|path| methods.map(|method| method(path))))
}
