//! Clients in statics, kept across evictions: an HTTP client, and a connection pool.

use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

use deadpool::managed::{Manager, Metrics, Pool, RecycleResult};
use fezz_sdk::{FezzError, FezzHttpRequest, FezzHttpResponse};
use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Calls the server named in the request with both, and returns the local address of the pooled connection.
pub(crate) async fn answer(req: &FezzHttpRequest) -> Result<FezzHttpResponse, FezzError> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    static POOL: OnceLock<Pool<Connections>> = OnceLock::new();

    let server = req.query_param("server").ok_or_else(|| FezzError::bad_request("which server?"))?;
    let client = CLIENT.get_or_init(Client::new);
    let text = client.get(format!("http://{server}/rpc/fix/ping")).send().await?.text().await?;

    let address: SocketAddr = server.parse()?;
    let pool = POOL.get_or_init(|| {
        Pool::builder(Connections(address))
            .max_size(1)
            .build()
            .expect("a pool without timeouts needs no runtime")
    });
    let mut connection = pool.get().await.map_err(|error| FezzError::internal(error.to_string()))?;
    connection.write_all(b"GET /rpc/fix/ping HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"pong") {
        if connection.read_buf(&mut answer).await? == 0 {
            return Err(FezzError::internal("the pooled connection was closed"));
        }
    }
    Ok(FezzHttpResponse::ok().text(format!("{text} {}", connection.local_addr()?)))
}

struct Connections(SocketAddr);

impl Manager for Connections {
    type Type = TcpStream;
    type Error = io::Error;

    async fn create(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }

    async fn recycle(&self, _: &mut TcpStream, _: &Metrics) -> RecycleResult<io::Error> {
        Ok(())
    }
}
