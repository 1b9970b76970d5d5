//! A function that upgrades connections without a framework. The path says what it does with them.

use fezz_sdk::{FezzError, FezzHttpRequest, FezzHttpResponse, Upgrade, UpgradedConnection, fezz_function};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `/echo` sends back what comes, `/sink` counts it, `/flood/{bytes}` sends so many bytes, `/silent` does nothing at all.
#[fezz_function]
pub async fn upgrades(
    request: FezzHttpRequest,
    upgrade: Result<Upgrade, FezzError>,
) -> Result<FezzHttpResponse, FezzError> {
    if request.path() == "/plain" {
        return Ok(FezzHttpResponse::ok().text(if upgrade.is_ok() { "offered" } else { "not offered" }));
    }
    let upgrade = upgrade?;
    let path = request.path().to_owned();
    let bytes = request.param("bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
    Ok(upgrade.accept(move |connection| async move {
        // Its end is the connection's.
        let _ = match path.as_str() {
            "/echo" => echo(connection).await,
            "/sink" => sink(connection).await,
            "/silent" => std::future::pending().await,
            _ => flood(connection, bytes).await,
        };
    }))
}

async fn echo(mut connection: UpgradedConnection) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = connection.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        connection.write_all(&buffer[..count]).await?;
    }
}

async fn sink(mut connection: UpgradedConnection) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    let mut sum = 0;
    loop {
        let count = connection.read(&mut buffer).await?;
        if count == 0 {
            return connection.write_all(sum.to_string().as_bytes()).await;
        }
        sum += count;
    }
}

async fn flood(mut connection: UpgradedConnection, mut left: usize) -> std::io::Result<()> {
    let piece = vec![b'x'; 16 << 10];
    while left > 0 {
        let count = piece.len().min(left);
        connection.write_all(&piece[..count]).await?;
        left -= count;
    }
    connection.shutdown().await?;
    while connection.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}
