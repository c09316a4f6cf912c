//! The project's chores. `cargo xtask` lists them.
fn main() {
    println!("usage: cargo xtask test|bench|corpus");
}
