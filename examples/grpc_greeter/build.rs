//! Makes Rust of the service's description, with protox: no `protoc` has to be installed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["greeter/v1/greeter.proto"], ["proto"])?;
    // What the reflection service answers with.
    let descriptors = PathBuf::from(std::env::var("OUT_DIR")?).join("greeter.bin");
    std::fs::write(descriptors, files.encode_to_vec())?;
    tonic_prost_build::configure().build_transport(false).compile_fds(files)?;
    Ok(())
}
