//! The demo application as a program; see `haddock_demo_app` for what it does and which variables it reads.

fn main() -> std::process::ExitCode {
    haddock_demo_app::main()
}
