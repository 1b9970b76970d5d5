//! A client with one connection, for calls that are timed one by one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::exchange::{Exchange, Head};

/// Time limit of an answer.
const LIMIT: Duration = Duration::from_secs(10);

/// A kept-alive connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, BenchError> {
        let open = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LIMIT))?;
            Ok(stream)
        };
        let stream = open().map_err(BenchError::io(format!("connecting to {address}")))?;
        Ok(Self { stream, buffer: vec![0; 64 << 10] })
    }

    /// Calls, checks the answer, and returns how long it took.
    pub(crate) fn call(&mut self, exchange: &Exchange) -> Result<Duration, BenchError> {
        let begin = Instant::now();
        let head = self.exchange(&exchange.request)?;
        let took = begin.elapsed();
        exchange.check(&head, &self.buffer[..head.body.end])?;
        Ok(took)
    }

    /// Calls, and returns the body of any answer.
    pub(crate) fn body(&mut self, request: &[u8]) -> Result<&[u8], BenchError> {
        let head = self.exchange(request)?;
        Ok(&self.buffer[head.body])
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Head, BenchError> {
        self.stream.write_all(request).map_err(BenchError::io("sending a request"))?;
        let mut filled = 0;
        loop {
            let read =
                self.stream.read(&mut self.buffer[filled..]).map_err(BenchError::io("reading an answer"))?;
            if read == 0 {
                return Err(BenchError::Answer("the server closed the connection".to_owned()));
            }
            filled += read;
            if let Some(head) = Head::read(&self.buffer[..filled])? {
                if head.body.end > self.buffer.len() {
                    self.buffer.resize(head.body.end, 0);
                }
                if filled >= head.body.end {
                    return Ok(head);
                }
            }
        }
    }
}
