//! Limits of a connection: size of a request head, and timeouts.

use std::time::Duration;

/// Limits of one connection.
///
/// A head limit that is exceeded is a [`Violation`](crate::Violation), which the service answers. An idle
/// connection is closed without a response. The size limits hold for HTTP/1 only.
///
/// There is no timeout for a request body: how long one may take depends on the application.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest request head in bytes, from the request line to the empty line.
    pub max_head_bytes: usize,
    /// Most header lines in a request head.
    pub max_headers: usize,
    /// Head timeout: time from the first byte of a head to its last. The first head's time starts when the
    /// connection is accepted.
    ///
    /// An incomplete head is rejected with [`Violation::HeadTimeout`](crate::Violation::HeadTimeout). A
    /// connection that has sent nothing at all is closed without a response. This one also limits how long an
    /// HTTP/2 client may take for its connection preface.
    pub header_timeout: Duration,
    /// Idle timeout: time from the last write to the first byte of the next request. It does not run while
    /// the service holds an [`InFlight`](crate::InFlight). On HTTP/2 it starts with the end of the last
    /// request or the last part of a response: other writes there may be no more than answers to pings. A
    /// response that the client still acknowledges is no idle time, see
    /// [`Guarded::observed_by`](crate::Guarded::observed_by).
    pub idle_timeout: Duration,
    /// Write timeout: time for which the client may accept no data while some is waiting to be sent. Then the
    /// write fails with [`TimedOut`](std::io::ErrorKind::TimedOut) and the connection closes.
    pub write_timeout: Duration,
}
