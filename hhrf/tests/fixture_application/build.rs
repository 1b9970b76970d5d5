//! Compiles the C code that the library has in it.

fn main() {
    cc::Build::new().file("src/native.c").compile("fezz_fixture_native");
}
