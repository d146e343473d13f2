//! Asks the linker for what only the small build needs.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The profile `router` alone has this level. Packed relocations are 380 KB less; the C libraries that load the binary
    // have known them since 2022 (glibc 2.36) and 2023 (musl 1.2.4), and a linker that does not know them says so and goes on.
    if std::env::var("OPT_LEVEL").as_deref() == Ok("z") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
