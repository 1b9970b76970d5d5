//! The thumbnail function on the real host.

use std::io::Cursor;

use fezz_sdk::testing::TestHost;
use image::{GenericImageView, ImageFormat, RgbImage};

#[test]
fn an_image_is_scaled_down() {
    let mut photo = Cursor::new(Vec::new());
    RgbImage::new(640, 480).write_to(&mut photo, ImageFormat::Jpeg).expect("an image");
    let host = TestHost::new().start();
    let answer = host.request("POST", "?size=64", &[], photo.get_ref());
    let small = image::load_from_memory(&answer.assert_status(200).body).expect("an image");
    assert_eq!(small.dimensions(), (64, 48));
    host.request("POST", "", &[], b"text").assert_problem(415);
    host.get("").assert_problem(405);
}
