//! Compiles the C code that the library has in it.

fn main() {
    println!("cargo::rerun-if-changed=src/native.c");
    cc::Build::new().file("src/native.c").compile("fezz_fixture_application");
}
