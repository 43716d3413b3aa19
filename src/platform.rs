//! Where this library can be built. Elsewhere the compiler says so in one sentence, before anything
//! else goes wrong.

#[cfg(not(unix))]
compile_error!(
    "turtle-buffers does not support this system: it needs Linux, or macOS for rings in private memory; Windows is not supported"
);

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "turtle-buffers needs a 64-bit target: positions are 64-bit words that must be read and written at once; 32-bit targets are not supported"
);
