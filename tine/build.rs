//! Makes the Rust of `proto/`, with a compiler in Rust: no protoc is needed.

use std::path::PathBuf;
use std::{env, error, fs};

const FILES: [&str; 3] = ["tine/v1/chain.proto", "tine/v1/events.proto", "tine/v1/wallet.proto"];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    // what reflection tells
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names the folder")?);
    fs::write(out.join("tine.v1.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
