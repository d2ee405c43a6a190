//! How the program is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // A program that can lie anywhere in memory writes ninety thousand addresses into five hundred pages of its own
    // before its first instruction, each time it starts, and every fork copies their tables: for a sandbox, which starts
    // it once more and forks it twice, that was a fourth of its time. Libraries, heap and stacks lie at random all the
    // same.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
