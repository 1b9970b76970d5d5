//! Upgrades to a protocol of the application's own, by hyper's `OnUpgrade`.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::any;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::Setup;
use crate::script::{self, Piece, Socket, Step};

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/lines", any(|request| upgrade(request, lines)))
        .route("/greet-first", any(|request| upgrade(request, greet_first)))
        .route("/count", any(|request| upgrade(request, count)))
        .route("/close", any(|request| upgrade(request, |_| async { Ok(()) })))
        .route(
            "/not-taken",
            any(|| async {
                (
                    StatusCode::SWITCHING_PROTOCOLS,
                    [(header::CONNECTION, "upgrade"), (header::UPGRADE, "lines")],
                )
            }),
        )
        .route("/declined", any(|| async { "declined" }))
}

async fn upgrade<F>(request: Request, serve: fn(TokioIo<Upgraded>) -> F) -> axum::response::Response
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let asked = request.headers().get(header::UPGRADE) == Some(&HeaderValue::from_static("lines"));
    if !asked {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "lines")], "speak lines").into_response();
    }
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let _ = serve(TokioIo::new(upgraded)).await;
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "lines");
    response.body(Body::empty()).unwrap_or_default()
}

/// Answers each line in capitals, and the end with `bye`.
async fn lines(io: TokioIo<Upgraded>) -> std::io::Result<()> {
    let mut io = BufReader::new(io);
    let mut line = String::new();
    while io.read_line(&mut line).await? > 0 {
        io.write_all(line.to_uppercase().as_bytes()).await?;
        line.clear();
    }
    io.write_all(b"bye\n").await?;
    io.shutdown().await
}

async fn greet_first(mut io: TokioIo<Upgraded>) -> std::io::Result<()> {
    io.write_all(b"welcome\n").await?;
    lines(io).await
}

/// Reads to the end and says how much it was.
async fn count(mut io: TokioIo<Upgraded>) -> std::io::Result<()> {
    let (mut total, mut buffer) = (0, vec![0; 65536]);
    loop {
        match io.read(&mut buffer).await? {
            0 => break,
            count => total += count,
        }
    }
    io.write_all(format!("{total}\n").as_bytes()).await?;
    io.shutdown().await
}

pub(crate) fn script() -> Vec<Step> {
    let socket = |name: &str, target, sent| {
        Step::Socket(Socket { name: name.into(), target, protocol: "lines", headers: Vec::new(), sent })
    };
    let bytes = |text: &str| Piece::Bytes(text.as_bytes().to_vec());
    let mut steps = vec![
        socket(
            "lines",
            "/lines",
            vec![Piece::Answered, bytes("one\ntwo\n"), Piece::Pause, bytes("three\n"), Piece::End],
        ),
        socket("early lines", "/lines", vec![bytes("early\n"), Piece::Answered, bytes("late\n"), Piece::End]),
        socket("half a line", "/lines", vec![bytes("ha"), Piece::Answered, bytes("lf"), Piece::End]),
        socket("greeted first", "/greet-first", vec![Piece::Answered, bytes("x\n"), Piece::End]),
        socket("count", "/count", vec![Piece::Answered, Piece::Bytes(vec![7; 4_000_000]), Piece::End]),
        socket(
            "count of early bytes",
            "/count",
            vec![Piece::Bytes(vec![7; 100_000]), Piece::Answered, Piece::Bytes(vec![7; 100_000]), Piece::End],
        ),
        socket("closed by the server", "/close", vec![Piece::Answered]),
        socket("101 that nobody takes", "/not-taken", vec![Piece::Answered, Piece::End]),
        socket("declined", "/declined", vec![Piece::Answered]),
    ];
    for path in ["/lines", "/not-taken", "/declined"] {
        steps.push(script::raw(
            format!("not asked for: {path}"),
            &[&format!("GET {path} HTTP/1.1\r\nhost: (host)\r\nconnection: close\r\n\r\n")],
        ));
        steps.push(script::raw(format!("h2c: {path}"), &[&format!("GET {path} HTTP/1.1\r\nhost: (host)\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n")]));
    }
    steps
}
