//! Streams uploads of any size without buffering them: `curl -T file …/rpc/upload@1.0.0`. The response has the size and
//! the SHA-256. `GET /{mebibytes}` streams a download of that size.
//!
//! A plain `fn` that blocks: it reads the request's body chunk by chunk, and makes the response's from a [`Read`].

use std::io::{self, Read};

use fezz_sdk::http::Method;
use fezz_sdk::{
    Body, BodyStream, FezzError, FezzHttpRequest, FezzHttpResponse, IntoFezzResponse, Json, fezz_function,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The size and hash of an upload.
#[derive(Debug, Serialize)]
struct Received {
    bytes: u64,
    sha256: String,
}

/// One upload, or one download.
#[fezz_function(stream)]
pub fn upload(req: FezzHttpRequest, body: BodyStream) -> Result<FezzHttpResponse, FezzError> {
    if *req.method() == Method::PUT {
        return Ok(Json(receive(body)?).into_fezz_response());
    }
    let mebibytes: u64 = req
        .param("mebibytes")
        .unwrap_or_default()
        .parse()
        .map_err(|_| FezzError::bad_request("that is no size").field("mebibytes", "is a whole number"))?;
    let zeros = Body::from_reader(io::repeat(0).take(mebibytes << 20));
    Ok(zeros.into_fezz_response())
}

fn receive(mut body: BodyStream) -> Result<Received, FezzError> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    while let Some(chunk) = body.next_blocking() {
        let chunk = chunk?;
        hash.update(&chunk);
        bytes += chunk.len() as u64;
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Received { bytes, sha256 })
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;

    use super::*;

    #[test]
    fn an_upload_is_hashed() {
        let answer = TestRequest::put("/").body_stream(["ab", "c"]).call(upload);
        let received = answer.assert_status(200).json();
        assert_eq!(received["bytes"], 3);
        assert!(received["sha256"].as_str().is_some_and(|hash| hash.starts_with("ba7816bf")), "{received}");
    }

    #[test]
    fn a_download_has_the_requested_size() {
        let answer = TestRequest::get("/2").route("/{mebibytes}").call(upload);
        assert_eq!(answer.assert_status(200).body.len(), 2 << 20);
        TestRequest::get("/many").route("/{mebibytes}").call(upload).assert_problem(400);
    }
}
