//! The C header, generated from the exported functions of `ffi`.

use anyhow::{Context as _, Result, anyhow};

use crate::project::Project;

/// Where the header is kept.
pub(crate) const PATH: &str = "ffi/include/opendb.h";

/// The header as the sources of `ffi` give it.
pub(crate) fn generate(project: &Project) -> Result<String> {
    let package = project.path("ffi");
    let configuration = cbindgen::Config::from_file(package.join("cbindgen.toml"))
        .map_err(|error| anyhow!("reading ffi/cbindgen.toml: {error}"))?;
    let bindings = cbindgen::Builder::new()
        .with_crate(&package)
        .with_config(configuration)
        .generate()
        .context("generating the C header from the sources of ffi")?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).context("the generated C header is not UTF-8")
}
