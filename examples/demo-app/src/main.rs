//! The demo application as a program; see the library for what it does and which environment variables it reads.

fn main() -> std::process::ExitCode {
    haddock_demo_app::main()
}
