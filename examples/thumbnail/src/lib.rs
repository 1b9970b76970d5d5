//! Thumbnails of images: `curl --data-binary @photo.jpg '…/rpc/thumbnail?size=200' -o small.png`.
//!
//! CPU-bound work belongs in a plain `fn`: it runs on a blocking thread, so it does not delay async calls.

use std::io::Cursor;

use fezz_sdk::http::StatusCode;
use fezz_sdk::{Bytes, FezzError, FezzHttpResponse, Query, fezz_function};
use image::{ImageFormat, ImageReader, Limits};
use serde::Deserialize;

/// Memory limit for a decoded image: a small file can decode to a huge image.
const MAX_MEMORY: u64 = 256 << 20;

/// The maximum width and height of the thumbnail.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    #[serde(default = "default_size")]
    size: u32,
}

fn default_size() -> u32 {
    128
}

/// Scales a PNG or JPEG down to the wanted size, as a PNG.
#[fezz_function]
pub fn thumbnail(Query(wanted): Query<Wanted>, body: Bytes) -> Result<FezzHttpResponse, FezzError> {
    if !(1..=2048).contains(&wanted.size) {
        return Err(FezzError::unprocessable("that is no thumbnail").field("size", "is from 1 to 2048"));
    }
    let mut reader = ImageReader::new(Cursor::new(&body)).with_guessed_format()?;
    if reader.format().is_none() {
        return Err(FezzError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is neither PNG nor JPEG"));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let image = reader
        .decode()
        .map_err(|error| FezzError::unprocessable("the image is damaged, or too large").caused_by(error))?;
    let mut small = Cursor::new(Vec::new());
    image.thumbnail(wanted.size, wanted.size).write_to(&mut small, ImageFormat::Png)?;
    Ok(FezzHttpResponse::ok().header("content-type", "image/png").bytes(small.into_inner()))
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;
    use image::{GenericImageView, RgbImage};

    use super::*;

    fn photo(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_pixel(400, 200, image::Rgb([200, 10, 10]))
            .write_to(&mut bytes, format)
            .expect("an image");
        bytes.into_inner()
    }

    #[test]
    fn images_are_scaled_down() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let answer = TestRequest::post("/?size=100").body(photo(format)).call(thumbnail);
            assert_eq!(answer.assert_status(200).header("content-type"), Some("image/png"));
            let small = image::load_from_memory(&answer.body).expect("an image");
            assert_eq!(small.dimensions(), (100, 50));
        }
    }

    #[test]
    fn invalid_images_are_refused() {
        TestRequest::post("/").body("text").call(thumbnail).assert_problem(415);
        let mut damaged = photo(ImageFormat::Png);
        damaged.truncate(60);
        TestRequest::post("/").body(damaged).call(thumbnail).assert_problem(422);
        TestRequest::post("/?size=0").body(photo(ImageFormat::Png)).call(thumbnail).assert_problem(422);
        TestRequest::post("/?size=big").call(thumbnail).assert_problem(400);
    }
}
